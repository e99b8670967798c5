"""``pixcore config``: what applies, and why."""

import rich_click as click

from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table


@click.group("config")
def command() -> None:
    """Look at the configuration.

    Example: `pixcore config show`
    """


@command.command("show")
@shared
def show(shell: Shell) -> None:
    """Show each setting, its value and where it comes from; passwords are masked.

    Example: `pixcore config show --json`
    """
    table = plain_table("setting", "value", "from")
    settings = []
    for name, value in shell.loaded.shown().items():
        origin = shell.loaded.origins[name]
        add(table, name, _words(value), origin)
        settings.append({"name": name, "value": value, "from": origin})
    shell.show({"version": VERSION, "settings": settings}, table)


def _words(value: object) -> str:
    match value:
        case None | []:
            return "(none)"
        case list():
            return ", ".join(value)
        case _:
            return str(value)
