"""The task ``process_chunk_task`` for any Celery app. The options that make it safe are on the task, not in the app."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from attrs import define, field
from celery import bootsteps, signals
from celery.exceptions import Reject, SoftTimeLimitExceeded

from pixcore import ChunkKey, ChunkRecord, ChunkResult, PixcoreError, Status, StatusUnavailable, TransientError
from pixcore.errors import ChunkUnknown, is_shared, one_line
from pixcore_runners.celery.progress import TaskProgress
from pixcore_runners.observing import logs
from pixcore_runners.observing.pulse import Pulse
from pixcore_runners.planning.caller_chunks import caller_chunk
from pixcore_runners.queueing.delivery import AlreadyFailed, Deliveries, Later, StopFlag
from pixcore_runners.settings import Settings, load_here

# Celery ships no types.
App: TypeAlias = Any
Task: TypeAlias = Any
Request: TypeAlias = Any
Worker: TypeAlias = Any

NAME = "process_chunk_task"  # the name in the system that pixcore replaces, so that its callers need not change

# The header of messages that ``CeleryRunner`` sends. It names the dataset of the planned chunk, so that the deliveries
# of a dataset are found without their bodies. No program waits for the results of these messages.
DATASET = "pixcore_dataset"

# Seconds from the soft time limit, after which a chunk can still record its end, to the hard one, which kills it.
_GRACE = 300.0

# Seconds until the retry of a delivery whose chunk could not be looked up: the first wait, and the longest.
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 60.0


def hard_limit(settings: Settings) -> float:
    """Return the seconds after which the process of a chunk is killed."""
    return settings.chunk_deadline + _GRACE


def register(app: App, settings: Settings | None = None) -> Task:
    """Add the task ``process_chunk_task`` to an app, and return it.

    Leaves the app's configuration and logging alone. Its workers must accept JSON; the ``visibility_timeout`` of a
    Redis broker must be longer than the task's ``time_limit``. Workers that a signal stops give their chunks back.

    Args:
        app: A ``celery.Celery``.
        settings: By default those of this process.

    Raises:
        InvalidRequest: The settings cannot be read.
    """
    settings = load_here().settings if settings is None else settings
    chunks = Chunks(settings)

    def process_chunk_task(self: Task, chunk_id: int, *, metadata: dict[str, Any] | None = None) -> str:
        return chunks.process(self, chunk_id, metadata)

    process_chunk_task.__doc__ = Chunks.process.__doc__
    app.steps["worker"].add(GiveBack)
    return app.task(
        process_chunk_task,
        bind=True,
        name=NAME,
        shared=False,
        chunks=chunks,
        serializer="json",
        throws=(PixcoreError,),  # Celery logs these errors in one line, without a traceback
        max_retries=None,  # a retry is no failure; the status database counts failures
        acks_late=True,
        acks_on_failure=True,
        acks_on_timeout=False,  # killed at the hard limit: delivered again, and deferred until the lease expires
        reject_on_worker_lost=True,
        retry_on_worker_lost=False,  # delivered again; the lease bounds how often a chunk can kill its worker
        track_started=False,  # else an unreachable result backend would fail the delivery; ``TaskProgress`` does it
        soft_time_limit=settings.chunk_deadline,
        time_limit=hard_limit(settings),
    )


@define(eq=False)
class Chunks:
    """The deliveries to the workers of one app."""

    settings: Settings
    pulse: Pulse = field(init=False, factory=Pulse)
    deliveries: Deliveries = field(init=False)
    _stop: StopFlag = field(init=False, factory=StopFlag)
    _sigterm: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.deliveries = Deliveries(lambda: self.settings, self.stopping, (SoftTimeLimitExceeded,))

    def process(self, task: Task, chunk_id: int, metadata: dict[str, Any] | None) -> str:
        """Run a chunk and return the URL of its blob; ``metadata`` holds at least ``keyword``.

        Return why the chunk failed if ``CeleryRunner`` sent this delivery, and the chunk failed before it.

        Raises:
            InvalidRequest: ``metadata`` does not describe the chunk as ``caller_chunk`` requires.
            PermanentError: The chunk has failed permanently.
            Exception: The error of the chunk's last attempt.
        """
        with self._giving_back_on_sigterm(task.request):
            dataset = metadata.get("dataset") if isinstance(metadata, dict) else None
            key = ChunkKey(dataset if isinstance(dataset, str) else "", chunk_id)
            try:
                with self.deliveries.counted(key) as answer:
                    outcome = self._delivered(task, chunk_id, metadata)
                    answer(outcome)
            except SoftTimeLimitExceeded:
                # before the claim, or in the last attempt; the next delivery reads the state of the chunk
                outcome = Later(_FIRST_WAIT, "the time limit was reached", "time_limit")
            if not isinstance(outcome, Later):
                return outcome.url if isinstance(outcome, ChunkResult) else outcome
            try:
                raise task.retry(countdown=outcome.seconds, exc=TransientError(outcome.reason))
            except (Reject, SoftTimeLimitExceeded) as exc:
                # Celery drops a retry that it cannot send, so have the broker deliver this message again
                raise Reject(str(exc), requeue=True) from exc

    def begin(self) -> None:
        """Start with a new stop flag: an earlier worker of this process may have set the old one."""
        self._stop = StopFlag()

    def stop(self, **_: object) -> None:
        """Make every process of the worker give its chunk back."""
        self._stop.set()

    def close(self, **_: object) -> None:
        """End the decoders of this process."""
        self.deliveries.close()

    def stopping(self) -> bool:
        """Return whether this process is to stop."""
        return self._sigterm or self._stop.is_set()

    def _delivered(self, task: Task, chunk_id: int, metadata: dict[str, Any] | None) -> ChunkResult | Later | str:
        """Return the result, when to deliver the chunk again, or why a planned chunk failed earlier.

        A cancel may leave thousands of deliveries that are stale. Each costs one query and one stored result: no
        ``STARTED`` precedes it, and no exception, of which Celery would format and store the traceback.
        """
        request = task.request
        observer = TaskProgress(lambda state, meta: task.update_state(task_id=request.id, state=state, meta=meta))
        started = partial(observer.started, {"pid": os.getpid(), "hostname": request.hostname})
        planned = DATASET in (request.headers or {})
        # whether this delivery is stale if the chunk has failed; a later try may be the one that failed
        stale = planned and not request.retries
        with logs.task(str(request.id)):
            if not planned:  # a caller waits for the result, and its chunk may have to be planned first
                started()
            try:
                record = self.deliveries.resting() or self._record(request, chunk_id, metadata)
            except ChunkUnknown as error:  # its dataset was deleted or renamed
                if not stale:
                    raise
                return one_line(error)
            if isinstance(record, Later):
                return record
            if record.status is Status.FAILED:
                if stale:
                    return f"chunk {record.chunk.key} failed earlier: {record.error}"
                raise AlreadyFailed(record.error)
            if planned:
                started()
        return self.deliveries.deliver(record.chunk.key, str(request.id), observer)

    def _record(self, request: Request, chunk_id: int, metadata: dict[str, Any] | None) -> ChunkRecord | Later:
        """Return the record of the chunk, which is created if a caller describes a new one, or when to try again."""
        try:
            assembly = self.deliveries.assembly()
            record = caller_chunk(chunk_id, metadata, assembly, self._sleep)
            queue = self.settings.queue_at("celery")
            if record.queue != queue:  # another program sent the chunk: if this worker dies, a reaper finds it
                assembly.status.assign([record.chunk.key], queue)
        except PixcoreError as error:
            if is_shared(error) and not isinstance(error, StatusUnavailable):
                return self.deliveries.after_fault(error)
            if not isinstance(error, TransientError):
                raise
            return Later(min(_LONGEST_WAIT, _FIRST_WAIT * (request.retries + 1)), one_line(error), "unavailable")
        except KeyboardInterrupt:
            return Later(0.0, "the worker is stopping", "stopping")
        return record

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        if self.stopping():
            raise KeyboardInterrupt

    @contextmanager
    def _giving_back_on_sigterm(self, request: Request) -> Generator[None]:
        """Give the chunk back on SIGTERM inside the block, if SIGTERM would otherwise kill this process.

        This is so in a process of Celery's pool. Supervisors send SIGTERM to all processes of a worker, and Celery
        sends it to a process whose broker connection is lost.
        """

        def handle(*_: object) -> None:
            self._sigterm = True

        if (
            request.called_directly
            or request.is_eager
            or threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        ):
            yield
            return
        signal.signal(signal.SIGTERM, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._sigterm = False


class GiveBack(bootsteps.Step):  # type: ignore[misc]  # Celery ships no types
    """Connects the task to the start, the stop signal and the end of its app's worker."""

    def create(self, parent: Worker) -> None:
        """See ``celery.bootsteps.Step``. ``parent`` is the worker, before it forks."""
        chunks = parent.app.tasks[NAME].chunks
        chunks.begin()
        signals.worker_shutting_down.connect(chunks.stop, sender=parent.hostname, weak=False)
        signals.worker_process_shutdown.connect(chunks.close, weak=False)
        signals.worker_shutdown.connect(chunks.close, sender=parent, weak=False)
