"""What every command shares: its options, the settings they lead to, and where it writes.

Standard output is data, standard error is everything else.
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import rich_click as click
from attrs import frozen
from rich.console import Console
from rich.table import Table

from pixcore_runners.observing.logs import log_to_stderr
from pixcore_runners.settings import Loaded, Settings, load_here

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])


def adding(*parameters: Callable[[F], F]) -> Callable[[F], F]:
    """A decorator that gives a command these options and arguments, which its help lists in this order."""

    def decorate(command: F) -> F:
        for parameter in reversed(parameters):
            command = parameter(command)
        return command

    return decorate


_common = adding(
    click.option("--store", metavar="URL", help="Where archives go, such as file:./out."),
    click.option("--status", metavar="URL", help="The status database, such as sqlite:///./status.db."),
    click.option("--config", metavar="FILE", type=click.Path(dir_okay=False), help="Instead of ./pixcore.toml."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    click.option("--quiet", is_flag=True, help="No progress on standard error."),
    click.option("--verbose", is_flag=True, help="Log lines on standard error."),
)


# For commands that write into the store.
creating = adding(
    click.option(
        "--create-container",
        is_flag=True,
        default=None,
        help="Make the store's container or bucket where it is missing.",
    )
)


@frozen
class Shell:
    """One call of the command: its settings and its two streams."""

    loaded: Loaded
    as_json: bool
    quiet: bool
    verbose: bool

    @property
    def settings(self) -> Settings:
        """What applies to this call."""
        return self.loaded.settings

    def say(self, text: str) -> None:
        """One line for the person at the terminal."""
        if not self.quiet:
            # not by click, which writes past the bars that may be there, and so into them
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def show(self, document: Mapping[str, Any], table: Table, *footer: str) -> None:
        """The command's data: the document with ``--json``, else the table and lines below it."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2))  # in ASCII: nothing in it can steer a terminal
            return
        # a pipe has no width: never fold the columns of what another program may read
        console = Console(width=None if sys.stdout.isatty() else 10_000)
        console.print(table)
        for line in footer:
            click.echo(line)


def shared(command: Callable[Concatenate[Shell, P], None]) -> Callable[..., None]:
    """Give a command the options common to all and hand it a Shell; its other options set settings of their name."""

    @wraps(command)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        named: dict[str, Any] = dict(kwargs)
        as_json, quiet, verbose = (bool(named.pop(name)) for name in ("as_json", "quiet", "verbose"))
        flags = {name: named.pop(name) for name in Settings.names() if name in named}
        config = named.pop("config")
        given = {name: value for name, value in flags.items() if value not in (None, ())}
        loaded = load_here(flags=given, config=Path(config) if config else None)
        if verbose:
            log_to_stderr(verbose=True)
        command(Shell(loaded, as_json, quiet, verbose), *args, **named)

    return _common(called)
