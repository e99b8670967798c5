"""``pixcore config``: show the settings and their origins."""

import rich_click as click

from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table


@click.group("config")
def command() -> None:
    """Show the configuration.

    Example: `pixcore config show`
    """


@command.command("show")
@shared
def show(shell: Shell) -> None:
    """Show each setting, its value and where the value comes from. Passwords are masked.

    Example: `pixcore config show --json`
    """
    table = plain_table("setting", "value", "from")
    settings = []
    for name, value in shell.loaded.shown().items():
        origin = shell.loaded.origins[name]
        add(table, name, _text(value), origin)
        settings.append({"name": name, "value": value, "from": origin})
    shell.show({"version": VERSION, "settings": settings}, table)


def _text(value: object) -> str:
    match value:
        case None | []:
            return "(none)"
        case list():
            return ", ".join(value)
        case _:
            return str(value)
