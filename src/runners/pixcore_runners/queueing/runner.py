"""The interface of every runner: send chunks, count those that wait, run them.

A further runner is a folder beside ``celery`` and ``rq``, and one line of ``RUNNERS``.
"""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pixcore import ChunkRecord, InvalidRequest, TransientError
from pixcore.errors import one_line
from pixcore_runners.registry.table import Builtin, Table
from pixcore_runners.settings import Settings


class QueueUnavailable(TransientError):
    """The queue's broker cannot be reached, or takes no messages."""


def unavailable(broker: object, error: Exception) -> QueueUnavailable:
    """Return the error for what a broker's client raised. ``str(broker)`` is its URL without a password."""
    reason = one_line(error)
    if "'maxmemory'" in reason:  # the answer of a Redis that reached it and may evict nothing
        return QueueUnavailable(
            f"the broker {broker} is full ({reason}); raise its maxmemory, or remove deliveries with `pixcore cancel`"
        )
    return QueueUnavailable(
        f"the broker {broker} cannot be used ({reason}); check that it runs and that PIXCORE_BROKER is right"
    )


class Queue(Protocol):
    """Carries deliveries of chunks to workers. The status database, not the queue, holds the state of each chunk."""

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """Enqueue a delivery of each chunk, in order and in bounded memory; return how many were not queued before.

        Chunks of a higher priority are delivered first. With ``ahead``, they come before the deliveries that wait
        already, if the broker can do that. Idempotent: a second delivery of a completed chunk gives the stored result.

        Raises:
            QueueUnavailable: The chunks before the failure are enqueued, the others are not.
        """
        ...

    def discard(self, dataset: str) -> int:
        """Remove the deliveries of a dataset that no worker has taken; return how many.

        Brokers that cannot do that return 0: a delivery of a chunk that has ended costs its worker a few milliseconds.

        Raises:
            QueueUnavailable: Some may be removed.
        """
        ...

    def waiting(self) -> int:
        """Return how many deliveries no worker has taken yet.

        Raises:
            QueueUnavailable: The broker cannot be reached.
        """
        ...


@runtime_checkable
class Runner(Queue, Protocol):
    """Runs chunks: ``direct`` in this process and its forks, ``celery`` and ``rq`` in workers of their queue."""

    def workers(self) -> tuple[int, int]:
        """Return how many workers at the queue's broker run chunks, and how many wait for one. May take some seconds.

        Workers that rest are in neither.

        Raises:
            QueueUnavailable: The broker cannot be reached.
        """
        ...

    def work(self, concurrency: int) -> int:
        """Run chunks, at most ``concurrency`` at a time; return the exit code of the process.

        A worker of a queue ends when SIGINT or SIGTERM stops it, and gives its running chunks back. ``direct`` also
        ends when no chunk is left.

        Raises:
            InvalidRequest: The settings are wrong, or the status database does not exist.
            StatusUnavailable, QueueUnavailable: The status database or the broker cannot be reached.
            KeyboardInterrupt: ``direct`` was stopped.
        """
        ...


# The runners with a queue, by the value of `--runner`; made by (settings).
RUNNERS = Table(
    {
        "celery": Builtin("pixcore_runners.celery.runner:CeleryRunner.of", "celery"),
        "rq": Builtin("pixcore_runners.rq.runner:RqRunner.of", "rq"),
    }
)


def open_runner(name: str, settings: Settings) -> Runner:
    """Return the runner of that name with the broker of the settings; it connects on first use.

    Raises:
        InvalidRequest: There is none, its package is not installed, or no broker is set.
    """
    if (make := RUNNERS.find(name)) is None:
        raise InvalidRequest(f"unknown runner {name!r}; use one of: {', '.join(RUNNERS)}")
    runner: Runner = make(settings)
    return runner
