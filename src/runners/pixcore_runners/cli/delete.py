"""``pixcore delete``: delete a dataset."""

import sys

import rich_click as click

from pixcore import DatasetSummary, InvalidRequest
from pixcore.model.requests import dataset_name
from pixcore.stored.removal import delete_dataset
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.moving import mover, name_the_rest
from pixcore_runners.cli.queues import discard_deliveries, queues_of
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table, size


@click.command("delete")
@click.argument("dataset", shell_complete=dataset_names)
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
def command(shell: Shell, dataset: str, yes: bool) -> None:
    """Delete DATASET: archives, outcomes, previews, listings, card, decisions, and its part of the status database.

    Asks first on a terminal; elsewhere, --yes is needed. Refuses while workers hold chunks of it. If it is interrupted,
    the next call finishes it. Files below the dataset's name that pixcore did not write for it stay, and are named.
    The original files of folders are never touched.

    Example: `pixcore delete red-panda --yes`
    """
    name = dataset_name(dataset)
    assembly = assemble(shell.settings)
    found = {one.name: one for one in assembly.datasets.summaries()}
    if name in found:
        assembly.require_dataset(name)
        if not yes and found[name].change is None:
            _ask(found[name])
    queues = queues_of(name, assembly.status)
    removed = delete_dataset(name, mover=mover(shell, assembly), datasets=assembly.datasets)
    discard_deliveries(shell, name, queues)
    name_the_rest(shell, removed.left)
    table = plain_table("deleted", "blobs")
    add(table, name, removed.blobs)
    shell.show({"version": VERSION, "dataset": name, "blobs": removed.blobs, "left": list(removed.left)}, table)


def _ask(found: DatasetSummary) -> None:
    """Ask whether to delete.

    Raises:
        InvalidRequest: The answer is no, or there is no terminal to answer.
    """
    what = f"dataset {found.name} with its {found.images} images, {size(found.bytes)}"
    if not sys.stdin.isatty():
        raise InvalidRequest(f"this would delete {what}; confirm it with --yes")
    if not click.confirm(f"Delete {what}?", err=True):
        raise InvalidRequest("not confirmed; nothing was deleted")
