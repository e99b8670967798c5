"""``pixcore cancel``: stop a dataset."""

import rich_click as click

from pixcore import InvalidRequest
from pixcore.errors import one_line
from pixcore.model.requests import namespace
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.cli.document import VERSION
from pixcore_runners.cli.shell import Shell, shared
from pixcore_runners.cli.tables import add, plain_table
from pixcore_runners.observing import card_refresh
from pixcore_runners.planning.dataset_plan import dataset_records
from pixcore_runners.queueing.runner import RUNNERS, QueueUnavailable, open_runner


@click.command("cancel")
@click.argument("dataset")
@shared
def command(shell: Shell, dataset: str) -> None:
    """Stop a dataset: pending chunks fail immediately, running ones at the next heartbeat of their worker.

    Completed chunks stay. The deliveries of its chunks are removed from the queue. `''` means the chunks without a
    dataset. `pixcore retry` undoes it.

    Example: `pixcore cancel red-panda`
    """
    assembly = assemble(shell.settings)
    name = namespace(dataset)
    queues = {record.queue for record in dataset_records(name, assembly.status)} - {""}
    cancelled = assembly.status.cancel(name)
    discarded = sum(_discarded(shell, name, queue) for queue in sorted(queues))
    card_refresh.refresh(name, assembly.status, assembly.store)
    document = {"cancelled": cancelled, "discarded": discarded}
    table = plain_table("dataset", *document)
    add(table, name, *document.values())
    shell.show({"version": VERSION, "dataset": name, **document}, table)


def _discarded(shell: Shell, dataset: str, queue: str) -> int:
    """Remove the deliveries of a dataset from a queue; return how many. Say so if that is not possible."""
    runner, reason = queue.partition(":")[0], "the settings name another broker or queue"
    if runner in RUNNERS and queue == shell.settings.queue_at(runner):
        try:
            return open_runner(runner, shell.settings).discard(dataset)
        except (InvalidRequest, QueueUnavailable) as error:
            reason = one_line(error)
    shell.say(f"deliveries stay in the queue {queue}, and workers drop them: {reason}")
    return 0
