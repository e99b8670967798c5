"""Process one delivery of a chunk, the same way for every queue: delivered at least once, processed effectively once.

A queue passes the key of a chunk. ``deliver`` returns the result, or when to deliver the chunk again; an exception is
final. Only the status database decides, so a delivery that is repeated, late, or follows the death of a worker is
harmless.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from mmap import mmap

from attrs import define, evolve, field, frozen

from pixcore import (
    Busy,
    ChunkKey,
    ChunkPipeline,
    ChunkResult,
    Done,
    Elsewhere,
    Exhausted,
    PermanentError,
    PixcoreError,
    Status,
    StatusRepo,
    StatusUnavailable,
    TransientError,
)
from pixcore.chunk.events import ChunkEnded, ChunkGivenBack, Event, Observer, combined
from pixcore.errors import ChunkUnknown, is_shared, one_line
from pixcore.model.claims import Outcome
from pixcore.stored.identity import identity_of
from pixcore_runners.assembly.assembly import Assembly, assemble_for_worker
from pixcore_runners.assembly.rest import SharedRest
from pixcore_runners.observing import card_refresh
from pixcore_runners.observing.chunk_lines import LogObserver
from pixcore_runners.observing.delivered import DeliveryEnded
from pixcore_runners.observing.logs import task
from pixcore_runners.settings import Settings

# Seconds until the next delivery when the status database cannot be reached.
_PATIENCE = 10.0

# Seconds between two checks whether to stop, while a chunk waits before its next attempt.
_POLL = 0.2

# Seconds added to every wait: a delivery that comes too early would be deferred again.
_MARGIN = 0.5


@frozen
class Later:
    """Deliver the chunk again in ``seconds``, because of ``reason``; ``outcome`` is as for ``DeliveryEnded``."""

    seconds: float
    reason: str
    outcome: str


class AlreadyFailed(PermanentError):
    """The chunk failed for good before this delivery, for example because its dataset was cancelled."""


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
        rest: The rest of the worker that this process belongs to. None: the worker cannot rest, so chunks that are
            given back are deferred for some seconds instead.
    """

    settings: Callable[[], Settings]
    stop: Callable[[], bool]
    interrupts: tuple[type[BaseException], ...] = ()
    rest: SharedRest | None = None
    _closed_at_end: ExitStack = field(init=False, factory=ExitStack)
    _parts: "tuple[Assembly, ChunkPipeline] | None" = field(init=False, default=None)
    _status: StatusRepo | None = field(init=False, default=None)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)
    _rests: int = field(init=False, default=0)

    def resting(self) -> Later | None:
        """Return when to deliver a chunk to another worker, if this one rests."""
        if self.rest is None or not self.rest.resting:
            return None
        self._sleep(_POLL)  # else the delivery could return to this worker many times before it stops taking chunks
        return Later(0.0, "the worker rests", "resting")

    @contextmanager
    def counted(self, key: ChunkKey) -> Generator[Callable[[ChunkResult | Later | str], None]]:
        """Count the delivery of the block for the metrics of this process. The block passes on what it answers.

        Deliveries before the first one that could open the adapters are not counted.
        """
        answers: list[ChunkResult | Later | str] = []
        outcome = "failed"
        try:
            yield answers.append
            outcome = _outcome(answers[0])
        except AlreadyFailed:
            outcome = "failed_earlier"
            raise
        except self.interrupts:
            outcome = "time_limit"
            raise
        finally:
            if self._parts:
                self._parts[1].observer(DeliveryEnded(key, 0, outcome))

    def failed_earlier(self, key: ChunkKey) -> str | None:
        """Return the error of a chunk that failed permanently or is gone; None if neither, or if it cannot be read.

        Costs one query. Starts no decoder and does not use the store, so a process that forks may call it.
        """
        try:
            if self._status is None:
                self._status = assemble_for_worker(self.settings()).status
            record = self._status.get(key)
        except ChunkUnknown as error:  # its dataset was deleted or renamed
            return one_line(error)
        except PixcoreError:
            return None
        return record.error if record.status is Status.FAILED else None

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
            PermanentError: The chunk has failed permanently now.
            AlreadyFailed: It failed earlier, or there is no such chunk any more.
            Exception: The error of the chunk's last attempt.
        """
        with task(task_id):
            if later := self.resting():
                return later
            try:
                assembly, pipeline = self._open()
            except PixcoreError as error:
                return self.after_fault(error)
            ended = _Ended(self.rest)
            all_ = combined(pipeline.observer, observer, ended, interrupts=self.interrupts)
            try:
                outcome = evolve(pipeline, observer=all_, sleep=self._sleep).run(key)
            except KeyboardInterrupt:
                return Later(0.0, "the worker is stopping", "stopping")
            except ChunkUnknown as error:  # its dataset was deleted or renamed: the delivery is stale
                raise AlreadyFailed(one_line(error)) from error
            except Exception as error:
                answer = self._after_error(assembly, key, error, ended.event)
                if answer is None:
                    self._refresh_card(assembly, key)
                    raise
                return answer
            if isinstance(outcome, Done):
                # if this delivery ran no attempt, the worker that did may have died before it wrote the card
                self._refresh_card(assembly, key, only_if_missing=ended.event is None)
        return _answer(outcome)

    def after_fault(self, error: PixcoreError) -> Later:
        """Return when to deliver a chunk again that could not be claimed. The worker rests if it is able to.

        Raises:
            PixcoreError: The settings are wrong, or the chunk.
        """
        if not isinstance(error, TransientError) and not is_shared(error):
            raise error
        if self.rest and is_shared(error) and not isinstance(error, StatusUnavailable):
            self.rest.begin()
            return Later(0.0, str(error), "unavailable")
        return Later(_PATIENCE, str(error), "unavailable")

    def close(self) -> None:
        """End the decoders. A later delivery creates adapters and pipeline again. Idempotent."""
        with self._lock:
            self._parts = None
            self._closed_at_end.close()

    def _after_error(
        self, assembly: Assembly, key: ChunkKey, error: Exception, ended: ChunkEnded | None
    ) -> ChunkResult | Later | None:
        """Return what to answer after an attempt raised ``error``; None if the chunk has failed permanently."""
        if isinstance(ended, ChunkGivenBack):
            return Later(0.0 if self.rest else _PATIENCE, ended.error, "given_back")
        if isinstance(error, PermanentError) and not is_shared(error):
            return None
        return _recorded(assembly, key, str(error))

    def _refresh_card(self, assembly: Assembly, key: ChunkKey, *, only_if_missing: bool = False) -> None:
        card_refresh.refresh(
            key.dataset, assembly.status, assembly.store, self.interrupts, only_if_missing=only_if_missing
        )

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_POLL, left))

    def _open(self) -> tuple[Assembly, ChunkPipeline]:
        with self._lock:
            if self.rest and self._rests != self.rest.ended:  # clients may hold credentials from before the rest
                self._rests = self.rest.ended
                self._parts = None
                self._closed_at_end.close()
            if self._parts is None:
                assembly = assemble_for_worker(self.settings())
                opened = assembly.pipeline(LogObserver(), self.stop, self.interrupts)
                self._parts = assembly, self._closed_at_end.enter_context(opened)
            assembly, pipeline = self._parts
            if not pipeline.store_identity:  # the first plan gives the store one, perhaps after this worker has started
                pipeline = evolve(pipeline, store_identity=identity_of(assembly.store))
                self._parts = assembly, pipeline
            return assembly, pipeline


@define(eq=False)
class _Ended:
    """An observer that notes how the attempt ended, and makes the worker rest if the chunk was given back."""

    rest: SharedRest | None
    event: ChunkEnded | None = field(init=False, default=None)

    def __call__(self, event: Event) -> None:
        if isinstance(event, ChunkEnded):
            self.event = event
        if self.rest:
            self.rest.observe(event)


def _outcome(answer: ChunkResult | Later | str) -> str:
    match answer:
        case Later(outcome=outcome):
            return outcome
        case ChunkResult():
            return "completed"
        case _:
            return "failed_earlier"


def _answer(outcome: Outcome) -> ChunkResult | Later:
    match outcome:
        case Done(result):
            return result
        case Exhausted(reason):
            raise AlreadyFailed(reason)
        case Elsewhere():
            return Later(
                _PATIENCE, "the chunk belongs to another store; a worker of that store must run it", "elsewhere"
            )
        case waiting:
            name = type(waiting).__name__
            return Later(waiting.retry_in + _MARGIN, name, "busy" if isinstance(waiting, Busy) else "not_due")


def _recorded(assembly: Assembly, key: ChunkKey, error: str) -> ChunkResult | Later | None:
    """Return what to answer after an attempt raised ``error``, by its record; None if the chunk has failed for good."""
    try:
        record = assembly.status.get(key)
    except StatusUnavailable:
        return Later(_PATIENCE, error, "unavailable")
    match record.status:
        case Status.FAILED:
            return None
        case Status.COMPLETED:
            return record.result
        case Status.PROCESSING:
            return Later(max(0.0, record.lease_left) + _MARGIN, error, "busy")
        case Status.PENDING:
            return Later(record.due_in + _MARGIN, error, "retried")
