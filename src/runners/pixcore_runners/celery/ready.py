"""The ready app: Celery configured so that no chunk is lost, and its worker."""

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

from celery import Celery, bootsteps
from celery.app.log import Logging
from celery.concurrency import solo

from pixcore import InvalidRequest, PixcoreError
from pixcore_runners.assembly.assembly import assemble_for_worker
from pixcore_runners.assembly.rest import SharedRest, check_queue, pausing, worker_rest
from pixcore_runners.celery.resting import StopTakingChunks
from pixcore_runners.celery.task import NAME, App, Worker, hard_limit, register
from pixcore_runners.observing.logs import FORMATTERS, ChunkContext, stop_logging_to_stderr, this_worker
from pixcore_runners.observing.pulse import LATE
from pixcore_runners.queueing.health import Loop, answer_probes
from pixcore_runners.queueing.redis_version import require_redis
from pixcore_runners.settings import Settings, load_here

# Seconds until a connection attempt or a request to a server times out.
TIMEOUT = 5

_LEAST = (6, 2)  # kombu's workers send ZADD with GT

# Seconds from the hard time limit until Redis gives a delivery to another worker.
_MARGIN = 300


def make_app(settings: Settings | None = None) -> App:
    """Return an app with the task, and with the broker, result backend and queue of the settings. Connects to nothing.

    Without ``settings``, those of this process are read.

    Raises:
        InvalidRequest: No broker is set, or the settings cannot be read.
    """
    settings = load_here().settings if settings is None else settings
    app = Celery("pixcore", set_as_current=False, log=WorkerLogging)
    app.conf.update(_configuration(settings))
    register(app, settings).chunks.deliveries.rest = SharedRest()
    app.steps["worker"].add(CheckSettings)
    app.steps["consumer"].add(StopTakingChunks)
    return app


def work(settings: Settings, concurrency: int) -> int:
    """Run chunks, ``concurrency`` at a time, until a signal stops this process; return its exit code.

    The code is 0 after any stop signal, and another one if the worker gave up, for example without its broker.

    Raises:
        InvalidRequest: No broker is set, or a worker cannot use the settings.
        StatusUnavailable: The status database cannot be reached.
    """
    app = make_app(settings)
    require_versions(settings)
    check_queue(assemble_for_worker(settings), "celery")
    worker = app.Worker(
        hostname=f"pixcore-{os.getpid()}@{socket.gethostname()}",  # each worker of a machine needs its own name
        concurrency=concurrency,
        loglevel=_own_level(settings),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    return 0 if app.tasks[NAME].chunks.deliveries.stop() else int(worker.exitcode or 0)


class WorkerLogging(Logging):  # type: ignore[misc]  # Celery ships no types
    """Celery's logging, in pixcore's format. Records of the logger ``pixcore`` go to the same place, once."""

    def setup_task_loggers(self, loglevel: Any = None, logfile: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Celery's signature
        """See ``celery.app.log.Logging``. Celery calls it only if it configures logging."""
        stop_logging_to_stderr()  # Celery redirects standard error into its logging
        logger = logging.getLogger("pixcore")
        self.setup_handlers(logger, logfile, "", False)
        level = self._settings.log_level
        logger.setLevel(level.upper() if level else loglevel or self.loglevel)
        logger.propagate = False
        return super().setup_task_loggers(loglevel, logfile, *args, **kwargs)

    def setup_handlers(self, logger: Any, logfile: Any, format: Any, colorize: Any, **kwargs: Any) -> Any:  # noqa: A002, ANN401 - Celery's signature
        """See ``celery.app.log.Logging``. Celery's own formats are not used."""
        del format, colorize, kwargs
        if not self._is_configured(logger):
            handler = self._detect_handler(logfile)
            handler.addFilter(ChunkContext(this_worker()))
            handler.setFormatter(FORMATTERS[self._settings.log_format]())
            logger.addHandler(handler)
        return logger

    @property
    def _settings(self) -> Settings:
        settings: Settings = self.app.tasks[NAME].chunks.settings
        return settings


class CheckSettings(bootsteps.Step):  # type: ignore[misc]  # Celery ships no types
    """Ends a worker with wrong settings before it takes messages. Makes it rest if it could run no chunk now.

    The pools gevent and eventlet switch between tasks only where a library waits as they expect. A chunk waits for its
    decoder processes in other ways: images would be judged as if their decoders had died.
    """

    def create(self, parent: Worker) -> None:
        """See ``celery.bootsteps.Step``. ``parent`` is the worker."""
        if parent.pool_cls.is_green:
            raise SystemExit("pixcore: a pool of greenlets cannot run chunks; use --pool=prefork, which is the default")
        chunks = parent.app.tasks[NAME].chunks
        # a solo pool runs chunks in the loop itself
        late = LATE + (hard_limit(chunks.settings) if issubclass(parent.pool_cls, solo.TaskPool) else 0.0)
        try:
            require_versions(chunks.settings)
            check_queue(assemble_for_worker(chunks.settings), "celery")
            answer_probes(chunks.settings, "celery", [Loop(chunks.pulse, chunks.deliveries.rest)], late)
        except PixcoreError as error:
            raise SystemExit(f"pixcore: {error}") from error
        worker_rest(chunks.settings, chunks.deliveries.rest, pausing(chunks.stopping)).begin_if_unfit()


def require_versions(settings: Settings) -> None:
    """Refuse a Redis that is too old as the broker or for results; see ``require_redis``.

    Raises:
        InvalidRequest: It is too old.
    """
    for url in {settings.broker, settings.result_backend}:
        require_redis(url, _LEAST, "Celery")


def _own_level(settings: Settings) -> str:
    """Return the least level of Celery's own lines: that of pixcore's, but never DEBUG."""
    return "INFO" if settings.log_level in (None, "debug") else str(settings.log_level).upper()


def _verified(url: str) -> str:
    """Return the URL with an option by which Celery verifies the server's certificate, unless the URL has one."""
    if urlsplit(url).scheme != "rediss" or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}ssl_cert_reqs=required"


def _configuration(settings: Settings) -> dict[str, Any]:
    if settings.broker is None:
        raise InvalidRequest(
            "Celery needs a broker, and none is set; set PIXCORE_BROKER to a URL such as redis://localhost:6379/0"
        )
    broker = _verified(settings.broker.reveal())
    backend = broker if urlsplit(broker).scheme in ("redis", "rediss") else None
    if settings.result_backend is not None:
        backend = _verified(settings.result_backend.reveal())
    return {
        "broker_url": broker,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "visibility_timeout": int(hard_limit(settings)) + _MARGIN,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": 6 * TIMEOUT,  # longer than a worker waits for the next message
            "socket_keepalive": True,
        },
        "result_backend": backend,
        "result_expires": 3600,
        "result_serializer": "json",
        # so that an unreachable result backend costs seconds and not minutes
        "result_backend_transport_options": {"retry_policy": {"max_retries": 1}},
        "redis_socket_connect_timeout": TIMEOUT,
        "redis_socket_timeout": TIMEOUT,
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_default_queue": settings.queue,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
    }
