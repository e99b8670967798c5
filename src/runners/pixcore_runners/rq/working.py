"""pixcore's own worker: RQ's, which gives chunks back when it is told to stop, and misses killed ones sooner."""

import logging
import os
import signal
from types import FrameType

import rq
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from pixcore.chunk.events import silent
from pixcore.errors import one_line
from pixcore_runners.assembly.assembly import assemble_for_worker
from pixcore_runners.direct.forks import signals_afresh, signals_held
from pixcore_runners.observing.logs import ChunkContext, OneLine, log_to_stderr
from pixcore_runners.queueing.delivery import StopFlag
from pixcore_runners.rq.broker import answering, connected
from pixcore_runners.rq.chunk import deliveries
from pixcore_runners.rq.crew import crew
from pixcore_runners.settings import Settings

# How often a command is tried again before the worker gives up: a broker may take a quarter of a minute to restart.
_TRIES = 11

# In seconds. How often a worker that is free looks for jobs whose worker was killed; how often one that is not says
# that it is alive; and after how long without a word its job is taken for lost.
_MAINTENANCE = 15
_HEARTBEAT = 10
_SILENCE = 30

_LEVEL = "WARNING"  # of RQ's own lines; the logger pixcore tells what becomes of the chunks

_logger = logging.getLogger("pixcore")


def work(settings: Settings, concurrency: int) -> int:
    """Work chunks off, so many at a time, until told to stop by SIGTERM or Ctrl-C; gives the exit code.

    Running chunks are given back then, at their next image; a second signal, more than a second later, kills them.

    Raises:
        InvalidRequest: The settings are wrong, no broker is set, or the status database is not set up yet.
        StatusUnavailable, QueueUnavailable: It cannot be reached.
    """
    with assemble_for_worker(settings).pipeline(silent):
        pass  # what is wrong with it is found now, and what it imports need not be imported by every work-horse
    with answering(settings):
        connected(settings, tries=1).ping()
    _log()
    deliveries.settings = lambda: settings
    if concurrency == 1:
        return _one(settings)
    return crew(lambda: _one(settings), concurrency)


def _one(settings: Settings) -> int:
    connection = connected(settings, tries=_TRIES)
    jobs = rq.Queue(settings.queue, connection, serializer=JSONSerializer)
    try:
        worker = ChunkWorker(
            [jobs],
            connection=connection,
            serializer=JSONSerializer,
            maintenance_interval=_MAINTENANCE,
            worker_ttl=_MAINTENANCE + 15,  # RQ waits for a job 15 seconds less than that, and only then maintains
            job_monitoring_interval=_HEARTBEAT,
        )
        _logger.info("worker %s takes chunks from the queue %s at %s", worker.name, settings.queue, settings.broker)
        worker.work(with_scheduler=True, logging_level=_LEVEL)
    except RedisError as error:
        _logger.error("the broker %s was lost: %s", settings.broker, one_line(error))  # noqa: TRY400 - for users
        return 1
    if not worker.stop.is_set():
        _logger.error("the worker has ended, though nobody told it to; start it again")
        return 1
    return 0


class ChunkWorker(rq.Worker):
    """Takes chunks from a queue, each in a process of its own; with it runs the scheduler of deferred ones."""

    max_connection_wait_time = 5.0

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # RQ's own, all of them
        self.stop = StopFlag()
        deliveries.stop = self.stop.is_set

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Have the running chunk given back, then end."""
        self.stop.set()
        if os.getpid() == self.pid:  # and no work-horse that has just been forked
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ gives it no types

    def setup_work_horse_signals(self) -> None:
        """A work-horse is stopped by its worker: a signal to all processes must not end it before it gives back."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """After how many seconds without a word from its worker a job is taken for lost."""
        del job, working_time
        return _SILENCE

    def handle_exception(self, job: Job, *exc_info: object) -> None:
        """Say in one line why a job has failed; RQ keeps the traceback with the job."""
        error = exc_info[1]
        if isinstance(error, BaseException):
            _logger.error("job %s has failed: %s", job.id, one_line(error))

    def _start_scheduler(self, *_: object, **__: object) -> None:
        self.scheduler = _Scheduler(
            self.queues, connection=self.connection, logging_level=_LEVEL, serializer=self.serializer
        )
        self.scheduler.inherited = self.connection
        with signals_held():
            self.scheduler.acquire_locks(auto_start=True)  # type: ignore[no-untyped-call]  # RQ gives it no types


class _Scheduler(RQScheduler):
    """Ends with its worker, however that ends, and leaves its place to another one's."""

    inherited: Redis
    worker: int

    def start(self) -> object:
        """Start a process of its own."""
        # none of them may live on there: Redis would give a job to a worker that was killed while it waited for one
        self.inherited.connection_pool.disconnect(inuse_connections=False)
        self.worker = os.getpid()
        return super().start()  # type: ignore[no-untyped-call]  # RQ gives it no types

    def work(self) -> None:
        """Work in that process."""
        signals_afresh()
        super().work()  # type: ignore[no-untyped-call]  # RQ gives it no types

    def heartbeat(self) -> None:
        """Look whether the worker is alive."""
        super().heartbeat()  # type: ignore[no-untyped-call]  # RQ gives it no types
        if os.getppid() != self.worker:
            self.request_stop()  # type: ignore[no-untyped-call]  # RQ gives it no types


def _log() -> None:
    if not _logger.handlers:  # else the command has said how much
        log_to_stderr(verbose=False)
    handler = logging.StreamHandler()
    handler.addFilter(ChunkContext())
    handler.setFormatter(OneLine())
    theirs = logging.getLogger("rq")  # with a handler here, RQ adds none of its own, which write to standard output
    theirs.handlers, theirs.propagate = [handler], False
    theirs.setLevel(_LEVEL)
