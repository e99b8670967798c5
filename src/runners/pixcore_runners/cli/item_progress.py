"""Progress on standard error while a command goes through many items: a bar on a terminal, else a few lines."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pixcore_runners.cli.shell import Shell

_LINES = 10  # how many lines are printed in all if there is no terminal


@contextmanager
def item_progress(shell: Shell, doing: str, total: int) -> Generator[Callable[[], None]]:
    """Give the block a function to call after each of ``total`` items. A bar disappears when the block ends."""
    console = Console(stderr=True)
    if shell.quiet or shell.verbose or not console.is_terminal:
        done = count(1)

        def line() -> None:
            so_far = next(done)
            if so_far * _LINES // total > (so_far - 1) * _LINES // total:
                shell.say(f"{doing}: {so_far} of {total}")

        yield line
        return
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # standard output is data: pass it through, unless the terminal would show it inside the bar
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bars:
        task = bars.add_task(doing, total=total)
        yield lambda: bars.advance(task)
