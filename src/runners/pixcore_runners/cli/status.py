"""``pixcore status``: how the datasets stand."""

import rich_click as click

from pixcore.model import Status, dataset_name
from pixcore_runners.assembly import assemble
from pixcore_runners.cli.document import VERSION, document
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, chunk_table, plain_table
from pixcore_runners.datasets import known_dataset


@click.command("status")
@click.argument("dataset", default="")
@shared
def command(shell: Shell, dataset: str) -> None:
    """Show every dataset, or the chunks of one.

    Example: `pixcore status red-panda --json`
    """
    status = assemble(shell.settings).status
    if dataset:
        name = dataset_name(dataset)
        records = known_dataset(name, status)
        shell.show(document(name, records), chunk_table(records))
        return
    table = plain_table("dataset", *Status)
    datasets = []
    for name, found in status.summary().items():
        counts = {str(state): found.get(state, 0) for state in Status}
        add(table, name or "(none)", *counts.values())
        datasets.append({"dataset": name, **counts})
    if not datasets:
        shell.say("no dataset yet; `pixcore run` makes one")
    shell.show({"version": VERSION, "datasets": datasets}, table)
