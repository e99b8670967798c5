"""What a command shows on standard error while it goes through many alike things: a bar, or now and then a line."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pixcore_runners.cli.shell import Shell

_LINES = 10  # how many a whole pass is worth where there is no terminal


@contextmanager
def counted(shell: Shell, doing: str, total: int) -> Generator[Callable[[], None]]:
    """A function to call after each of ``total`` things; what it shows is gone from a terminal with the block."""
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
    # what goes to standard output is data: let it pass by, unless it would be written into the bar
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bars:
        task = bars.add_task(doing, total=total)
        yield lambda: bars.advance(task)
