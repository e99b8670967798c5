"""What every command shares: options, settings and output.

Standard output is data, standard error is everything else.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import rich_click as click
from attrs import evolve, frozen
from rich.console import Console
from rich.table import Table

from pixcore_runners.observing.logs import log_to_stderr, this_worker
from pixcore_runners.settings import Loaded, Settings, load_here

_logger = logging.getLogger("pixcore")

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])


def with_options(*parameters: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds options and arguments to a command, in the order of its help."""

    def decorate(command: F) -> F:
        for parameter in reversed(parameters):
            command = parameter(command)
        return command

    return decorate


_common = with_options(
    click.option("--store", metavar="URL", help="Where archives are stored, such as file:./out."),
    click.option("--status", metavar="URL", help="The status database, such as sqlite:///./status.db."),
    click.option(
        "--config", metavar="FILE", type=click.Path(dir_okay=False), help="Read FILE instead of ./pixcore.toml."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    click.option("--quiet", is_flag=True, help="Print no progress on standard error, and log lines from WARNING on."),
    click.option("--verbose", is_flag=True, help="Print log lines on standard error, from DEBUG on."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Format of log lines. Default: text."),
)


# For commands that write into the store.
container_option = with_options(
    click.option(
        "--create-container",
        is_flag=True,
        default=None,
        help="Create the store's container or bucket if it does not exist.",
    )
)


@frozen
class Shell:
    """One call of a command: its settings and its output."""

    loaded: Loaded
    as_json: bool
    quiet: bool
    verbose: bool
    logs: bool = False

    @property
    def settings(self) -> Settings:
        """The settings of this call."""
        return self.loaded.settings

    def logging(self) -> "Shell":
        """Return the shell of a command that runs as a service: what it says are log lines, from ``log_level`` on."""
        log_to_stderr(self.settings.log_level or "info", self.settings.log_format, this_worker())
        return evolve(self, logs=True)

    def say(self, text: str) -> None:
        """Print one line for the user on standard error, unless ``quiet``. A service logs it at INFO."""
        if self.logs:
            _logger.info("%s", text)
        elif not self.quiet:
            # not by click, which would write into progress bars
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def show(self, document: Mapping[str, Any], table: Table, *footer: str) -> None:
        """Print the command's data: the document with ``--json``, else the table and the lines below it."""
        if self.as_json:
            click.echo(json.dumps(document, indent=2))  # in ASCII, so that nothing in it can control a terminal
            return
        # a pipe has no width: do not fold columns that another program may read
        console = Console(width=None if sys.stdout.isatty() else 10_000)
        console.print(table)
        for line in footer:
            click.echo(line)


def shared(command: Callable[Concatenate[Shell, P], None]) -> Callable[..., None]:
    """Add the common options to a command and pass it a Shell. Options with the name of a setting set it."""

    @wraps(command)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        named: dict[str, Any] = dict(kwargs)
        as_json, quiet, verbose = (bool(named.pop(name)) for name in ("as_json", "quiet", "verbose"))
        flags = {name: named.pop(name) for name in Settings.names() if name in named}
        config = named.pop("config")
        given = {name: value for name, value in flags.items() if value not in (None, ())}
        if quiet or verbose:
            given["log_level"] = "debug" if verbose else "warning"
        loaded = load_here(flags=given, config=Path(config) if config else None)
        if verbose:
            log_to_stderr("debug", loaded.settings.log_format)
        command(Shell(loaded, as_json, quiet, verbose), *args, **named)

    return _common(called)
