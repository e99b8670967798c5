"""Remove the deliveries of a dataset from its queues."""

from collections.abc import Iterable

from pixcore import InvalidRequest, StatusRepo
from pixcore.errors import one_line
from pixcore_runners.cli.shell import Shell
from pixcore_runners.queueing.runner import RUNNERS, QueueUnavailable, open_runner


def queues_of(dataset: str, status: StatusRepo) -> list[str]:
    """Return the queues that deliver the chunks of a dataset."""
    return sorted({record.queue for record in status.find(dataset)} - {""})


def discard_deliveries(shell: Shell, dataset: str, queues: Iterable[str]) -> int:
    """Remove the deliveries of a dataset from its queues; return how many.

    Say so if that is not possible. Workers drop deliveries that stay.
    """
    return sum(_discarded(shell, dataset, queue) for queue in queues)


def _discarded(shell: Shell, dataset: str, queue: str) -> int:
    runner, reason = queue.partition(":")[0], "the settings name another broker or queue"
    if runner in RUNNERS and queue == shell.settings.queue_at(runner):
        try:
            return open_runner(runner, shell.settings).discard(dataset)
        except (InvalidRequest, QueueUnavailable) as error:
            reason = one_line(error)
    shell.say(f"deliveries stay in the queue {queue}, and workers drop them: {reason}")
    return 0
