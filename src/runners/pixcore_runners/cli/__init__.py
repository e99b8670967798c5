"""The ``pixcore`` command. Each subcommand is a module of this package, imported when it is called."""

import atexit
import gc
import os
import re
import sys
from importlib import import_module
from typing import NoReturn

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from pixcore_runners.cli.commands import FAILED, GROUPS, INTERRUPTED, NOTHING, START, SUMMARIES, USAGE

# The number of new objects after which Python's garbage collector runs, 700 by default. Imports create 100,000 objects,
# and almost none of them is garbage.
_NEW_OBJECTS = 10_000


class _Lazy(click.RichGroup):
    """A group whose subcommands are imported when they are used. Its help takes their summaries from the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*SUMMARIES]  # `list` may be the module of that command

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUMMARIES:
            return None
        if ctx.meta.get(__name__):
            return click.RichCommand(name=cmd_name, help=SUMMARIES[cmd_name])
        command: click.Command = import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_help(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]
        ctx.meta[__name__] = True
        super().format_help(ctx, formatter)


@click.group(cls=_Lazy, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pixcore")
@click.rich_config(
    help_config={
        "command_groups": {"pixcore": [{"name": name, "commands": [*names]} for name, names in GROUPS.items()]}
    }
)
@click.pass_context
def pixcore(ctx: click.Context) -> None:
    """Turn keywords, URL lists and folders into clean, de-duplicated image datasets.

    Try `pixcore demo` first. Exit codes: 0 done, 1 internal error, or a machine or service that does not work, 2 usage
    or configuration, 3 partial, 4 nothing collected, 130 interrupted.

    Example: `pixcore run "red panda" --count 100`
    """
    if ctx.invoked_subcommand is None:
        click.echo(START, err=True, nl=False)
        ctx.exit(USAGE)


def main() -> None:
    """Run the command line and exit with its code. An error is one line on standard error, never a traceback."""
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)  # else the garbage collector would run once more at exit, for 0.1 s
    try:
        sys.exit(pixcore.main(prog_name="pixcore", standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except Exception as error:  # noqa: BLE001 - also a defect ends in one line and an exit code
        _fail(error)
    finally:
        _flush()


def _flush() -> None:
    """Flush stdout and stderr. On a closed pipe, redirect to /dev/null so that Python does not exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(error: Exception) -> NoReturn:
    """Print the error as one line and exit with its code."""
    import logging  # noqa: PLC0415 - these imports take longer than the help

    from pixcore import NoValidImages, PixcoreError, StoreFull, TransientError, WorkspaceFull  # noqa: PLC0415
    from pixcore.errors import one_line, shortened  # noqa: PLC0415

    code = USAGE
    match error:
        case click.UsageError():
            message = shortened(" ".join(error.format_message().split()))  # click lists choices on lines of their own
            message = f"{message} ({_remedy(error)})"
        case click.Abort():
            message = "interrupted; finished work is kept, run the same command again to continue"
            code = INTERRUPTED
        case PixcoreError():
            message = one_line(error)
            if isinstance(error, NoValidImages):
                code = NOTHING
            elif isinstance(error, (TransientError, WorkspaceFull, StoreFull)):
                code = FAILED
        case _:
            logging.getLogger("pixcore").debug("internal error", exc_info=error)
            message = f"internal error: {one_line(error)}; run again with --verbose for the traceback"
            code = FAILED
    _print_error(message)
    sys.exit(code)


def _remedy(error: click.UsageError) -> str:
    """Return where to read more and, if an argument is missing, the example of the command."""
    see = f"see `{error.ctx.command_path if error.ctx else 'pixcore'} --help`"
    text = " ".join((error.ctx.command.help or "").split()) if error.ctx else ""
    example = re.search("Example: (`[^`]+`)", text) if isinstance(error, click.MissingParameter) else None
    return f"example: {example[1]}; {see}" if example else see


def _print_error(text: str) -> None:
    import logging  # noqa: PLC0415 - as above

    from pixcore_runners.observing.logs import escaped, logs_json  # noqa: PLC0415

    if logs_json():
        logging.getLogger("pixcore").error("%s", text)
        return
    click.echo(f"pixcore: {escaped(text)}", err=True)
