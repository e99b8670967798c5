"""Process one delivery of a chunk, the same way for every queue: delivered at least once, processed effectively once.

A queue passes the key of a chunk. ``deliver`` returns the result, or when to deliver the chunk again; an exception is
final. Only the status database decides, so a delivery that is repeated, late, or follows the death of a worker is
harmless.
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

# Seconds until the next delivery when the status database cannot be reached.
_PATIENCE = 10.0

# Seconds between two checks whether to stop, while a chunk waits before its next attempt.
_POLL = 0.2

# Seconds added to every wait: a delivery that comes too early would be deferred again.
_MARGIN = 0.5


@frozen
class Later:
    """Deliver the chunk again in ``seconds``, because of ``reason``."""

    seconds: float
    reason: str


class StopFlag:
    """A flag that a worker shares with all of its forks, earlier and later ones. It is never cleared."""

    def __init__(self) -> None:
        self._byte = mmap(-1, 1)  # shared memory without a lock: a killed process could keep a lock for ever

    def set(self) -> None:
        """Set the flag: running chunks are to be given back."""
        self._byte[0] = 1

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return self._byte[0] == 1


@define(eq=False)
class Deliveries:
    """Processes the deliveries to this process. The first delivery creates adapters and pipeline, after any fork.

    Attributes:
        settings: Returns the settings; called once.
        stop: Once it returns true, running chunks are given back and deliveries deferred.
        interrupts: Exceptions that the queue may raise at any point, such as its time limits.
    """

    settings: Callable[[], Settings]
    stop: Callable[[], bool]
    interrupts: tuple[type[BaseException], ...] = ()
    _closed_at_end: ExitStack = field(init=False, factory=ExitStack)
    _parts: "tuple[Assembly, ChunkPipeline] | None" = field(init=False, default=None)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)

    def assembly(self) -> Assembly:
        """Return the adapters of this process.

        Raises:
            InvalidRequest: The settings are wrong, or the status database does not exist.
            StatusUnavailable: The status database cannot be reached.
        """
        return self._open()[0]

    def deliver(self, key: ChunkKey, task_id: str, observer: Observer) -> ChunkResult | Later:
        """Run the chunk; return its result, or when to deliver it again. Its log lines show ``task_id``.

        Raises:
            PermanentError: The chunk has failed permanently, now or earlier, or there is no such chunk.
            Exception: The error of the chunk's last attempt.
        """
        with task(task_id):
            try:
                assembly, pipeline = self._open()
            except TransientError as error:
                return Later(_PATIENCE, str(error))
            both = combined(pipeline.observer, observer, interrupts=self.interrupts)
            try:
                outcome = evolve(pipeline, observer=both, sleep=self._sleep).run(key)
            except KeyboardInterrupt:
                return Later(0.0, "the worker is stopping")
            except Exception as error:
                later = None if isinstance(error, PermanentError) else _after_error(assembly, key, str(error))
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
                return Later(waiting.retry_in + _MARGIN, type(waiting).__name__)

    def close(self) -> None:
        """End the decoders. A later delivery creates adapters and pipeline again. Idempotent."""
        with self._lock:
            self._parts = None
            self._closed_at_end.close()

    def _refresh_card(self, assembly: Assembly, key: ChunkKey) -> None:
        card_refresh.refresh(key.dataset, assembly.status, assembly.store, self.interrupts)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_POLL, left))

    def _open(self) -> tuple[Assembly, ChunkPipeline]:
        with self._lock:
            if self._parts is None:
                assembly = assemble_for_worker(self.settings())
                pipeline = assembly.pipeline(LogObserver(), self.stop, self.interrupts)
                self._parts = assembly, self._closed_at_end.enter_context(pipeline)
            return self._parts


def _after_error(assembly: Assembly, key: ChunkKey, error: str) -> ChunkResult | Later | None:
    """Return what to answer after an attempt raised ``error``; None if the chunk has failed permanently."""
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
            return Later(max(0.0, record.lease_left) + _MARGIN, error)
        case Status.PENDING:
            return Later(record.due_in + _MARGIN, error)
