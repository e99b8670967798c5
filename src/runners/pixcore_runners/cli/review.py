"""``pixcore review``: choose a dataset's images by eye, in a browser."""

import json
import sys
import threading
from collections.abc import Callable
from functools import partial

import rich_click as click

from pixcore.model.requests import dataset_name
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.deciding import login
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.until_signal import until_signal
from pixcore_runners.planning.dataset_plan import dataset_records


@click.command("review")
@click.argument("dataset", shell_complete=dataset_names)
@click.option("--by", default="", metavar="NAME", help="Who decides. Default: your login name.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port to listen at, on this machine alone; 0 for any free one.",
)
@shared
def command(shell: Shell, dataset: str, by: str, port: int) -> None:
    """Choose the images of DATASET by eye, in a browser on this machine, until Ctrl-C.

    Prints a link that one browser can open, once; press Enter for another link. Every change on the page is stored as a
    decision at once, and several people who share the status database see each other's. Decisions hold for every later
    run; nothing else is written. The page needs no network.

    Example: `pixcore review red-panda`
    """
    from pixcore_adapters.outputs.review.choices import Choices  # noqa: PLC0415 - Pillow and Jinja2 are slow to import, and `--help` needs neither
    from pixcore_adapters.outputs.review.served import served  # noqa: PLC0415 - the same

    name = dataset_name(dataset)
    assembly = assemble(shell.settings)
    records = partial(dataset_records, name, assembly.status)
    records()  # refuses a dataset that does not exist
    assembly.require_dataset(name)
    choices = Choices(name, assembly.decisions, by or login())
    near = partial(assembly.seen.near, name, shell.settings.near_rule)
    with (
        until_signal() as wait_for_signal,
        served(records, assembly.archives, choices, near, port) as link,
    ):
        click.echo(json.dumps({"version": VERSION, "dataset": name, "link": link()}) if shell.as_json else link())
        shell.say("open this link in a browser; Ctrl-C ends the review, and every decision is stored already")
        if sys.stdin and sys.stdin.isatty():
            threading.Thread(target=_renew, args=(link,), daemon=True).start()
        wait_for_signal()


def _renew(link: Callable[[], str]) -> None:
    """Print another link whenever the user presses Enter."""
    for _ in sys.stdin:
        click.echo(link())
