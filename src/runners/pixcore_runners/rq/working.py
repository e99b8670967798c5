"""pixcore's worker: RQ's worker that gives chunks back when it is stopped, and detects killed workers sooner."""

import logging
import os
import signal
import time
from functools import partial
from types import FrameType
from typing import Any

import rq
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from pixcore import PixcoreError, StatusUnavailable
from pixcore.chunk.events import silent
from pixcore.errors import is_shared, one_line
from pixcore_runners.assembly.assembly import assemble_for_worker
from pixcore_runners.assembly.rest import check_queue, pausing, worker_rest
from pixcore_runners.direct.forks import signals_held, signals_to_default
from pixcore_runners.observing.logs import FORMATTERS, ChunkContext, log_to_stderr, this_worker
from pixcore_runners.queueing.delivery import StopFlag
from pixcore_runners.queueing.health import Loop, answer_probes
from pixcore_runners.queueing.runner import unavailable
from pixcore_runners.rq.broker import broker_errors, connected, queue_names
from pixcore_runners.rq.chunk import deliveries, failed_earlier
from pixcore_runners.rq.supervisor import supervise
from pixcore_runners.settings import Settings

# How often a command is tried before the worker gives up: a broker may take 15 s to restart.
_TRIES = 11

# In seconds: how often an idle worker looks for jobs of killed workers, how often a busy one sends a heartbeat, and
# after how long without a heartbeat its job counts as lost.
_MAINTENANCE = 15
_HEARTBEAT = 10
_LOST = 30

_LEVEL = "WARNING"  # of RQ's own lines; the logger pixcore reports the chunks

_logger = logging.getLogger("pixcore")


def work(settings: Settings, concurrency: int) -> int:
    """Run chunks, ``concurrency`` at a time, until SIGTERM or Ctrl-C; return the exit code.

    Running chunks are then given back at their next image. A second signal, more than a second later, kills them.

    Raises:
        InvalidRequest: The settings are wrong, no broker is set, or the status database does not exist.
        StatusUnavailable, QueueUnavailable: The status database or the broker cannot be reached.
    """
    try:
        assembly = assemble_for_worker(settings)
        check_queue(assembly, "rq")
        with assembly.pipeline(silent):
            pass  # finds mistakes now, and imports once what every work-horse would import
    except PixcoreError as error:
        if not is_shared(error) or isinstance(error, StatusUnavailable):
            raise  # else the worker rests
    with broker_errors(settings):
        connected(settings, tries=1).ping()
    _log(settings)
    deliveries.settings = lambda: settings
    loops = [Loop() for _ in range(concurrency)]
    answer_probes(settings, "rq", loops)
    if concurrency == 1:
        return _one(settings, loops[0])
    return supervise([partial(_one, settings, loop) for loop in loops])


def _one(settings: Settings, loop: Loop) -> int:
    _log(settings)
    loop.pulse.pause()
    loop.rest.reset()
    connection = connected(settings, tries=_TRIES)
    queues = [rq.Queue(name, connection, serializer=JSONSerializer) for name in queue_names(settings).values()]
    try:
        worker = ChunkWorker(
            queues,
            loop=loop,
            connection=connection,
            serializer=JSONSerializer,
            maintenance_interval=_MAINTENANCE,
            worker_ttl=_MAINTENANCE + 15,  # RQ waits 15 s less than this for a job, and then does maintenance
            job_monitoring_interval=_HEARTBEAT,
        )
        _logger.info("worker %s takes chunks from the queue %s at %s", worker.name, settings.queue, settings.broker)
        worker.rest.begin_if_unfit()
        worker.work(with_scheduler=True, logging_level=_LEVEL)
    except RedisError as error:
        lost = f"{unavailable(settings.broker, error)}; then start the worker again"
        _logger.error(lost)  # noqa: TRY400 - users need no traceback
        return 1
    if not worker.stop.is_set():
        _logger.error("the worker has ended without a stop signal; start it again")
        return 1
    return 0


class ChunkWorker(rq.Worker):
    """Runs each chunk of a queue in a forked process, and the scheduler of deferred jobs in another."""

    max_connection_wait_time = 5.0

    def __init__(self, *args: object, loop: Loop, **kwargs: object) -> None:
        self.loop = loop
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # RQ's arguments
        self.stop = StopFlag()
        deliveries.stop = self.stop.is_set
        deliveries.rest = loop.rest
        self.rest = worker_rest(deliveries.settings(), deliveries.rest, pausing(self.stop.is_set, self._beat))
        self._beaten = 0.0

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:  # noqa: ANN401 - as RQ
        """Take the next job, once this machine and the services can run it."""
        if self.loop.rest.resting:
            self.set_state(WorkerStatus.SUSPENDED)
        self.rest.until_fit(self.stop.is_set)
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Run the job in a work-horse, or remove it if its chunk failed earlier: the status database has the error."""
        error = failed_earlier(job)
        if error is None:
            super().execute_job(job, queue)
            return
        self.connection.delete(job.key)  # all that Redis holds of a job that never ran
        _logger.info("job %s is removed: its chunk failed earlier: %s", job.id, error)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Tell RQ, and the probes of supervisors, that the loop of this worker runs.

        RQ sends three heartbeats for each job. Each is one request here, instead of three.
        """
        self.loop.pulse.beat()
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
            return
        with self.connection.pipeline(transaction=False) as requests:
            super().heartbeat(timeout, requests)
            requests.execute()

    def _beat(self) -> None:
        """Send RQ a heartbeat while the worker rests, so that it does not count as dead."""
        if time.monotonic() - self._beaten >= _HEARTBEAT:
            self._beaten = time.monotonic()
            self.heartbeat()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Make the running chunk be given back, then end."""
        self.stop.set()
        if os.getpid() == self.pid:  # and not a work-horse that was just forked
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ gives it no types

    def setup_work_horse_signals(self) -> None:
        """Ignore stop signals in a work-horse: only its worker stops it, so that it can give its chunk back."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Return after how many seconds without a heartbeat of its worker a job counts as lost."""
        del job, working_time
        return _LOST

    def handle_exception(self, job: Job, *exc_info: object) -> None:
        """Log in one line why a job has failed. RQ keeps the traceback with the job."""
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
    """A scheduler that ends with its worker, even if the worker is killed, so that another one can take over."""

    inherited: Redis
    worker: int

    def start(self) -> object:
        """Start the scheduler in a process of its own."""
        # the fork must not hold the connections: Redis would deliver a job to a worker that was killed while waiting
        self.inherited.connection_pool.disconnect(inuse_connections=False)
        self.worker = os.getpid()
        return super().start()  # type: ignore[no-untyped-call]  # RQ gives it no types

    def work(self) -> None:
        """Run the scheduler in its process."""
        signals_to_default()
        super().work()  # type: ignore[no-untyped-call]  # RQ gives it no types

    def heartbeat(self) -> None:
        """Send a heartbeat; stop if the worker is gone."""
        super().heartbeat()  # type: ignore[no-untyped-call]  # RQ gives it no types
        if os.getppid() != self.worker:
            self.request_stop()  # type: ignore[no-untyped-call]  # RQ gives it no types


def _log(settings: Settings) -> None:
    """Log as the settings say, and name this process as the worker."""
    log_to_stderr(settings.log_level or "info", settings.log_format, this_worker())
    handler = logging.StreamHandler()
    handler.addFilter(ChunkContext(this_worker()))
    handler.setFormatter(FORMATTERS[settings.log_format]())
    rq_logger = logging.getLogger("rq")
    # with a handler here, RQ adds no handler, which would write to standard output
    rq_logger.handlers, rq_logger.propagate = [handler], False
    rq_logger.setLevel(_LEVEL)
