"""``pixcore cancel``: stop a dataset."""

import rich_click as click

from pixcore.model.requests import namespace
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.completion import dataset_names
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.queues import discard_deliveries, queues_of
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.observing import card_refresh
from pixcore_runners.planning.dataset_plan import require_chunks


@click.command("cancel")
@click.argument("dataset", shell_complete=dataset_names)
@shared
def command(shell: Shell, dataset: str) -> None:
    """Stop a dataset: pending chunks fail immediately, running ones at the next heartbeat of their worker.

    Completed chunks stay. The deliveries of its chunks are removed from the queue. `''` means the chunks without a
    dataset. `pixcore retry` undoes it.

    Example: `pixcore cancel red-panda`
    """
    assembly = assemble(shell.settings)
    name = namespace(dataset)
    require_chunks(name, assembly.status)
    cancelled = assembly.status.cancel(name)
    discarded = discard_deliveries(shell, name, queues_of(name, assembly.status))
    card_refresh.refresh(name, assembly.status, assembly.store)
    document = {"cancelled": cancelled, "discarded": discarded}
    table = plain_table("dataset", *document)
    add(table, name, *document.values())
    shell.show({"version": VERSION, "dataset": name, **document}, table)
