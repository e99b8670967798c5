"""The ready app: Celery set up so that no chunk is lost, and a worker of it."""

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

from celery import Celery, bootsteps
from celery.app.log import Logging

from pixcore import InvalidRequest, PixcoreError
from pixcore_runners.assembly.assembly import assemble_for_worker
from pixcore_runners.celery.task import NAME, App, Worker, hard_limit, register
from pixcore_runners.observing.logs import ChunkContext, OneLine
from pixcore_runners.settings import Settings, load_here

# Seconds that a server may take to connect or to answer.
PATIENCE = 5

# Seconds from the hard time limit to the moment when Redis gives a delivery to another worker.
_MARGIN = 300


def make_app(settings: Settings | None = None) -> App:
    """An app with the task, its broker, result backend and queue as the settings say; connects to nothing.

    Raises:
        InvalidRequest: There is no broker, or the settings of this process, taken if none are given, cannot be read.
    """
    settings = load_here().settings if settings is None else settings
    app = Celery("pixcore", set_as_current=False, log=WorkerLogging)
    app.conf.update(_configuration(settings))
    register(app, settings)
    app.steps["worker"].add(Refuse)
    return app


def work(settings: Settings, concurrency: int) -> int:
    """Work chunks off, ``concurrency`` at a time, until this process is told to stop; gives its exit code.

    That is 0 if it was told to, whatever the signal, and something else if it gave up, such as without its broker.

    Raises:
        InvalidRequest: There is no broker, or the settings will not do for a worker.
        StatusUnavailable: The status database cannot be reached.
    """
    app = make_app(settings)
    assemble_for_worker(settings)
    worker = app.Worker(
        hostname=f"pixcore-{os.getpid()}@{socket.gethostname()}",  # several on a machine need names of their own
        concurrency=concurrency,
        loglevel="INFO",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    return 0 if app.tasks[NAME].chunks.deliveries.stop() else int(worker.exitcode or 0)


class WorkerLogging(Logging):  # type: ignore[misc]  # Celery ships no types
    """Celery's own, and the lines of the logger ``pixcore`` in their own form: once each, where Celery's go."""

    def setup_task_loggers(self, loglevel: Any = None, logfile: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Celery has them
        """See ``celery.app.log.Logging``; called only where Celery sets up logging at all."""
        logger = logging.getLogger("pixcore")
        self.setup_handlers(logger, logfile, "", False, formatter=lambda *_, **__: OneLine())
        for handler in logger.handlers:
            handler.addFilter(ChunkContext())
        logger.setLevel(loglevel or self.loglevel)
        logger.propagate = False
        return super().setup_task_loggers(loglevel, logfile, *args, **kwargs)


class Refuse(bootsteps.Step):  # type: ignore[misc]  # Celery ships no types
    """Keeps a worker that could work off nothing from starting, and so from taking messages."""

    def create(self, parent: Worker) -> None:
        """See ``celery.bootsteps.Step``; ``parent`` is the worker."""
        try:
            assemble_for_worker(parent.app.tasks[NAME].chunks.settings)
        except PixcoreError as error:
            raise SystemExit(f"pixcore: {error}") from error


def _verified(url: str) -> str:
    """The URL, which has Celery look at the server's certificate unless it says otherwise."""
    if urlsplit(url).scheme != "rediss" or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}ssl_cert_reqs=required"


def _configuration(settings: Settings) -> dict[str, Any]:
    if settings.broker is None:
        raise InvalidRequest(
            "no broker is set, but queues need one; set PIXCORE_BROKER to a URL such as redis://localhost:6379/0"
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
            "socket_connect_timeout": PATIENCE,
            "socket_timeout": 6 * PATIENCE,  # longer than a worker's wait for the next message
            "socket_keepalive": True,
        },
        "result_backend": backend,
        "result_expires": 3600,
        "result_serializer": "json",
        # a result backend that is away costs seconds, not minutes
        "result_backend_transport_options": {"retry_policy": {"max_retries": 1}},
        "redis_socket_connect_timeout": PATIENCE,
        "redis_socket_timeout": PATIENCE,
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_default_queue": settings.queue,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
    }
