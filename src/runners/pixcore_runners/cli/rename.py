"""``pixcore rename``: give a dataset another name."""

import rich_click as click

from pixcore.model.requests import dataset_name
from pixcore.stored.removal import rename_dataset
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.moving import mover, name_the_rest
from pixcore_runners.cli.queues import discard_deliveries, queues_of
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.observing import card_refresh


@click.command("rename")
@click.argument("dataset", shell_complete=dataset_names)
@click.argument("name")
@shared
def command(shell: Shell, dataset: str, name: str) -> None:
    """Rename DATASET to NAME, in the store and in the status database.

    The blobs are copied below the new name, by the server if it can; then the status database changes in one
    transaction; then the old blobs are deleted. So the dataset is always whole under one of its names. If it is
    interrupted, the next call finishes it. Refuses while workers hold chunks. Chunks that wait in a queue have to be
    sent again under the new name, which `pixcore reap` does.

    Example: `pixcore rename red-panda red-pandas`
    """
    old, new = dataset_name(dataset), dataset_name(name)
    assembly = assemble(shell.settings)
    assembly.require_dataset(old)
    assembly.require_dataset(new)
    queues = queues_of(old, assembly.status)
    renamed = rename_dataset(old, new, mover=mover(shell, assembly), status=assembly.status, datasets=assembly.datasets)
    discard_deliveries(shell, old, queues)
    card_refresh.refresh(new, assembly.status, assembly.store)
    name_the_rest(shell, renamed.left)
    table = plain_table("renamed", "to", "blobs")
    add(table, old, new, renamed.blobs)
    document = {"dataset": new, "renamed": old, "blobs": renamed.blobs, "left": list(renamed.left)}
    shell.show({"version": VERSION, **document}, table)
