"""The ``pixcore`` command. Each subcommand is a module of this package, imported when it is called."""

import atexit
import gc
import logging
import os
import sys
from importlib import import_module

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from pixcore import NoValidImages, PixcoreError, StoreFull, TransientError, WorkspaceFull
from pixcore.errors import one_line, shortened
from pixcore_runners.cli.document import FAILED, INTERRUPTED, NOTHING, USAGE
from pixcore_runners.observing.logs import escaped, logs_json

# The subcommands by purpose, in the order of the help. Each is `command` in the module of its name.
_GROUPS = {
    "Make a dataset": ("demo", "inaturalist", "plan", "run", "status", "retry", "cancel"),
    "Keep datasets": ("list", "copy", "rename", "delete"),
    "Inspect, verify and export it": ("report", "outcomes", "why", "verify", "export", "push"),
    "Decide about single images": ("review", "exclude", "include", "relabel", "decisions", "apply"),
    "Use workers on many machines": ("submit", "worker", "reap", "metrics"),
    "Check the configuration": ("check", "config"),
}
_COMMANDS = tuple(name for names in _GROUPS.values() for name in names)

# The number of new objects after which Python's garbage collector runs, 700 by default. Imports create 100,000 objects,
# and almost none of them is garbage.
_NEW_OBJECTS = 10_000


class _Lazy(click.RichGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*_COMMANDS]  # `list` may be the module of that command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pixcore")
@click.rich_config(
    help_config={
        "command_groups": {"pixcore": [{"name": name, "commands": [*names]} for name, names in _GROUPS.items()]}
    }
)
def pixcore() -> None:
    """Turn keywords, URL lists and folders into clean, de-duplicated image datasets.

    Try `pixcore demo` first. Exit codes: 0 done, 1 internal error, or a machine or service that does not work, 2 usage
    or configuration, 3 partial, 4 nothing collected, 130 interrupted.

    Example: `pixcore run "red panda" --count 100`
    """


def main() -> None:
    """Run the command line and exit with its code. An error is one line on standard error, never a traceback."""
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)  # else the garbage collector would run once more at exit, for 0.1 s
    try:
        sys.exit(pixcore.main(prog_name="pixcore", standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.UsageError as error:
        message = shortened(" ".join(error.format_message().split()))  # click lists choices on lines of their own
        _print_error(f"{message} (see `{error.ctx.command_path if error.ctx else 'pixcore'} --help`)")
        sys.exit(USAGE)
    except click.Abort:
        _print_error("interrupted; finished work is kept, run the same command again to continue")
        sys.exit(INTERRUPTED)
    except PixcoreError as error:
        _print_error(one_line(error))
        sys.exit(_code(error))
    except Exception as error:  # a defect also ends in one line and an exit code
        logging.getLogger("pixcore").debug("internal error", exc_info=True)
        _print_error(f"internal error: {one_line(error)}; run again with --verbose for the traceback")
        sys.exit(FAILED)
    finally:
        _flush()


def _flush() -> None:
    """Flush stdout and stderr. On a closed pipe, redirect to /dev/null so that Python does not exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _code(error: PixcoreError) -> int:
    match error:
        case NoValidImages():
            return NOTHING
        case TransientError() | WorkspaceFull() | StoreFull():
            return FAILED
        case _:
            return USAGE


def _print_error(text: str) -> None:
    if logs_json():
        logging.getLogger("pixcore").error("%s", text)
        return
    click.echo(f"pixcore: {escaped(text)}", err=True)
