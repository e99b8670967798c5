"""The ``pixcore`` command. Each command is a module of this package, imported when it is called."""

import atexit
import gc
import logging
import os
import sys
from importlib import import_module

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from pixcore import NoValidImages, PixcoreError, TransientError, WorkspaceFull
from pixcore.errors import one_line
from pixcore_runners.cli.document import FAILED, INTERRUPTED, NOTHING, USAGE
from pixcore_runners.observing.logs import escaped

# By what they are for, in the order in which the help shows them; each is `command` of the module of its name.
_GROUPS = {
    "Make a dataset": ("demo", "plan", "run", "status", "retry", "cancel"),
    "Look at it, prove it, hand it on": ("report", "verify", "export"),
    "With workers, on many machines": ("submit", "worker", "reap", "metrics"),
    "What applies, and whether it works": ("check", "config"),
}
_COMMANDS = tuple(name for names in _GROUPS.values() for name in names)

# After how many new objects Python looks for garbage that reference counts do not find, 700 by default: imports make
# a hundred thousand, and next to nothing of that is garbage.
_NEW_OBJECTS = 10_000


class _Lazy(click.RichGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

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

    Try `pixcore demo` first. Exit codes: 0 done, 1 internal error or a service that cannot be reached, 2 usage or
    configuration, 3 partial, 4 nothing collected, 130 interrupted.

    Example: `pixcore run "red panda" --count 100`
    """


def main() -> None:
    """Run the command line and exit with its code; an error is one line on standard error, never a traceback."""
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)  # or what goes with the process anyway would be looked through once more, for 0.1 s
    try:
        sys.exit(pixcore.main(prog_name="pixcore", standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except click.UsageError as error:
        _complain(f"{error.format_message()} (see `{error.ctx.command_path if error.ctx else 'pixcore'} --help`)")
        sys.exit(USAGE)
    except click.Abort:
        _complain("interrupted; what is finished stays, and the same command again goes on from there")
        sys.exit(INTERRUPTED)
    except PixcoreError as error:
        _complain(one_line(error))
        sys.exit(_code(error))
    except Exception as error:  # the last resort: a defect, too, ends in one line and its exit code
        logging.getLogger("pixcore").debug("internal error", exc_info=True)
        _complain(f"internal error: {one_line(error)}; --verbose shows where")
        sys.exit(FAILED)
    finally:
        _let_go()


def _let_go() -> None:
    """Flush what was said. Where nobody reads any more, the interpreter would end with an exit code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _code(error: PixcoreError) -> int:
    match error:
        case NoValidImages():
            return NOTHING
        case TransientError() | WorkspaceFull():
            return FAILED
        case _:
            return USAGE


def _complain(text: str) -> None:
    click.echo(f"pixcore: {escaped(text)}", err=True)
