"""One delivery of a chunk by a queue, the same for every queue: delivered at least once, worked off effectively once.

A queue hands over a chunk's key. What comes back is the result, or when to deliver the chunk again; what is raised is
final. The status database alone decides: a delivery that comes twice, late or after its worker died does no harm.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from mmap import mmap

from attrs import define, evolve, field, frozen

from pixcore import (
    ChunkKey,
    ChunkPipeline,
    ChunkResult,
    Done,
    Exhausted,
    PermanentError,
    Status,
    StatusUnavailable,
    TransientError,
)
from pixcore.chunk.events import Observer, combined
from pixcore_runners.assembly.assembly import Assembly, assemble_for_worker
from pixcore_runners.observing import card_refresh
from pixcore_runners.observing.logs import LogObserver, task
from pixcore_runners.settings import Settings

# How long to leave a status database alone that cannot be reached, in seconds.
_PATIENCE = 10.0

# How often a chunk that waits before another try looks whether it should stop, in seconds.
_GLANCE = 0.2

# Added to every wait, in seconds: a delivery that comes a moment too early would have to come a third time.
_LATE = 0.5


@frozen
class Later:
    """The chunk is to be delivered again in so many ``seconds``, because ``reason``."""

    seconds: float
    reason: str


class StopFlag:
    """Set in a worker, seen by itself and by every process that it has forked or will fork; never cleared."""

    def __init__(self) -> None:
        self._byte = mmap(-1, 1)  # shared with forks, and without a lock that a killed process could keep

    def set(self) -> None:
        """Ask for running chunks to be given back."""
        self._byte[0] = 1

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._byte[0] == 1


@define(eq=False)
class Deliveries:
    """The deliveries to this process. Adapters and pipeline are made by the first one: after every fork.

    Attributes:
        settings: Gives the settings; called once.
        stop: Once true, running chunks are given back and deliveries deferred.
        interrupts: Exceptions that the queue raises in the middle of anything, such as its time limits.
    """

    settings: Callable[[], Settings]
    stop: Callable[[], bool]
    interrupts: tuple[type[BaseException], ...] = ()
    _opened: ExitStack = field(init=False, factory=ExitStack)
    _works: "tuple[Assembly, ChunkPipeline] | None" = field(init=False, default=None)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)

    def assembly(self) -> Assembly:
        """The adapters of this process.

        Raises:
            InvalidRequest: The settings are wrong, or the status database is not set up yet.
            StatusUnavailable: It cannot be reached.
        """
        return self._made()[0]

    def deliver(self, key: ChunkKey, task_id: str, observer: Observer) -> ChunkResult | Later:
        """Work the chunk off, or say when to deliver it again; ``task_id`` is named in its log lines.

        Raises:
            PermanentError: The chunk has failed for good, now or earlier, or there is no such chunk.
            Exception: What its last attempt failed with.
        """
        with task(task_id):
            try:
                assembly, pipeline = self._made()
            except TransientError as error:
                return Later(_PATIENCE, str(error))
            told = combined(pipeline.observer, observer, interrupts=self.interrupts)
            try:
                outcome = evolve(pipeline, observer=told, sleep=self._nap).run(key)
            except KeyboardInterrupt:
                return Later(0.0, "the worker is stopping")
            except Exception as error:
                later = None if isinstance(error, PermanentError) else _settled(assembly, key, str(error))
                if later is None:
                    self._refresh_card(assembly, key)
                    raise
                return later
            if isinstance(outcome, Done | Exhausted):
                self._refresh_card(assembly, key)
        match outcome:
            case Done(result):
                return result
            case Exhausted(reason):
                raise PermanentError(reason)
            case waiting:
                return Later(waiting.retry_in + _LATE, type(waiting).__name__)

    def close(self) -> None:
        """End the decoders; the next delivery would make everything anew."""
        with self._lock:
            self._works = None
            self._opened.close()

    def _refresh_card(self, assembly: Assembly, key: ChunkKey) -> None:
        card_refresh.refresh(key.dataset, assembly.status, assembly.store, self.interrupts)

    def _nap(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_GLANCE, left))

    def _made(self) -> tuple[Assembly, ChunkPipeline]:
        with self._lock:
            if self._works is None:
                assembly = assemble_for_worker(self.settings())
                pipeline = assembly.pipeline(LogObserver(), self.stop, self.interrupts)
                self._works = assembly, self._opened.enter_context(pipeline)
            return self._works


def _settled(assembly: Assembly, key: ChunkKey, error: str) -> ChunkResult | Later | None:
    """What an attempt that raised has left behind: None where the chunk has failed."""
    try:
        record = assembly.status.get(key)
    except StatusUnavailable:
        return Later(_PATIENCE, error)
    match record.status:
        case Status.FAILED:
            return None
        case Status.COMPLETED:
            return record.result
        case Status.PROCESSING:
            return Later(max(0.0, record.lease_left) + _LATE, error)
        case Status.PENDING:
            return Later(record.due_in + _LATE, error)
