"""``process_chunk_task``, in any Celery app. All that it needs to be safe is on the task itself, nothing in the app."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from attrs import define, field
from celery import bootsteps, signals
from celery.exceptions import Reject, SoftTimeLimitExceeded

from pixcore import ChunkResult, PixcoreError, TransientError
from pixcore.errors import one_line
from pixcore_runners.celery.progress import Progress
from pixcore_runners.observing import logs
from pixcore_runners.planning.caller_chunks import chunk_key
from pixcore_runners.queueing.delivery import Deliveries, Later, StopFlag
from pixcore_runners.settings import Settings, load_here

# Celery ships no types.
App: TypeAlias = Any
Task: TypeAlias = Any
Request: TypeAlias = Any
Worker: TypeAlias = Any

NAME = "process_chunk_task"  # as in the system that pixcore replaces: its callers need not change

# Seconds from the soft time limit, which a chunk still records, to the hard one, which kills its process.
_GRACE = 300.0

# Seconds after which a chunk that could not be described is tried again, the longer the more often; at most.
_PATIENCE, _MOST = 10.0, 60.0


def hard_limit(settings: Settings) -> float:
    """Seconds after which the process that works on a chunk is killed."""
    return settings.chunk_deadline + _GRACE


def register(app: App, settings: Settings | None = None) -> Task:
    """Add the task ``process_chunk_task`` to an app, and give it.

    The app's configuration and logging are left alone. Its workers must accept JSON; a Redis broker's
    ``visibility_timeout`` must be longer than the task's ``time_limit``. Workers that are told to stop give their
    chunks back.

    Args:
        app: A ``celery.Celery``.
        settings: Those of this process if left out.

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
        throws=(PixcoreError,),  # what a chunk fails with is told in a line, without a traceback
        max_retries=None,  # to be delivered again is no failure; those are counted by the status database
        acks_late=True,
        acks_on_failure=True,
        acks_on_timeout=False,  # killed at the hard limit: delivered again, and deferred until the lease has expired
        reject_on_worker_lost=True,
        retry_on_worker_lost=False,  # the same again, later; how often a chunk may kill its worker, its lease bounds
        track_started=False,  # told by ``Progress``: told by Celery, a result backend that is away fails the delivery
        soft_time_limit=settings.chunk_deadline,
        time_limit=hard_limit(settings),
    )


@define(eq=False)
class Chunks:
    """The chunks that come to the workers of one app."""

    settings: Settings
    deliveries: Deliveries = field(init=False)
    _stop: StopFlag = field(init=False, factory=StopFlag)
    _told: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.deliveries = Deliveries(lambda: self.settings, self._stopping, (SoftTimeLimitExceeded,))

    def process(self, task: Task, chunk_id: int, metadata: dict[str, Any] | None) -> str:
        """Work a chunk off and give its blob's URL; ``metadata`` holds at least ``keyword``.

        Raises:
            PermanentError: The chunk has failed for good; InvalidRequest where it is not described as it must be.
            Exception: What its last attempt failed with.
        """
        with self._sigterm_asks(task.request):
            try:
                outcome = self._delivered(task, chunk_id, metadata)
            except SoftTimeLimitExceeded:  # before a chunk was claimed, or at its last attempt: the next one is told so
                outcome = Later(_PATIENCE, "the time limit was reached")
            if isinstance(outcome, ChunkResult):
                return outcome.url
            try:
                raise task.retry(countdown=outcome.seconds, exc=TransientError(outcome.reason))
            except (Reject, SoftTimeLimitExceeded) as unsent:
                # Celery would drop what it cannot send; so this very delivery is to come again
                raise Reject(str(unsent), requeue=True) from unsent

    def begin(self) -> None:
        """A worker begins: whatever an earlier one of this process was told does not concern it."""
        self._stop = StopFlag()

    def stop(self, **_: object) -> None:
        """Have every process of the worker give its chunk back."""
        self._stop.set()

    def close(self, **_: object) -> None:
        """End the decoders of this process."""
        self.deliveries.close()

    def _stopping(self) -> bool:
        return self._told or self._stop.is_set()

    def _delivered(self, task: Task, chunk_id: int, metadata: dict[str, Any] | None) -> ChunkResult | Later:
        request = task.request
        observer = Progress(lambda state, meta: task.update_state(task_id=request.id, state=state, meta=meta))
        with logs.task(str(request.id)):
            observer.started({"pid": os.getpid(), "hostname": request.hostname})
            try:
                assembly = self.deliveries.assembly()
                key = chunk_key(chunk_id, metadata, assembly, self._nap)
                assembly.status.assign(
                    [key], "celery"
                )  # whoever described it: should this worker die, a reaper finds it
            except TransientError as error:
                return Later(min(_MOST, _PATIENCE * (request.retries + 1)), one_line(error))
            except KeyboardInterrupt:
                return Later(0.0, "the worker is stopping")
        return self.deliveries.deliver(key, str(request.id), observer)

    def _nap(self, seconds: float) -> None:
        time.sleep(seconds)
        if self._stopping():
            raise KeyboardInterrupt

    @contextmanager
    def _sigterm_asks(self, request: Request) -> Generator[None]:
        """Give the chunk back on SIGTERM where it would kill: in a pool's process, protected from SIGINT only.

        Supervisors send it to all processes of a worker, and Celery to one whose broker connection is lost.
        """

        def told(*_: object) -> None:
            self._told = True

        if (
            request.called_directly
            or request.is_eager
            or threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        ):
            yield
            return
        signal.signal(signal.SIGTERM, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._told = False


class GiveBack(bootsteps.Step):  # type: ignore[misc]  # Celery ships no types
    """Lets the task know when its app's worker begins, is told to stop, and ends."""

    def create(self, parent: Worker) -> None:
        """See ``celery.bootsteps.Step``; ``parent`` is the worker, which has not forked yet."""
        chunks = parent.app.tasks[NAME].chunks
        chunks.begin()
        signals.worker_shutting_down.connect(chunks.stop, sender=parent.hostname, weak=False)
        signals.worker_process_shutdown.connect(chunks.close, weak=False)
        signals.worker_shutdown.connect(chunks.close, sender=parent, weak=False)
