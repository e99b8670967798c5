"""How far a running chunk has come, in ``job.meta``, for whoever looks at the queue."""

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from attrs import define, field
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import RedisError
from redis.retry import Retry
from rq.connections import parse_connection
from rq.job import Job

from pixcore.chunk.events import Event
from pixcore.errors import one_line
from pixcore_runners.queueing.progress import Standing, is_news

_SECOND = 1.0
_PATIENCE = 2.0  # how long to wait for Redis, in seconds

_logger = logging.getLogger("pixcore")


@define(eq=False)
class JobProgress:
    """An Observer inside a ``with`` block: has phases written at once, images every ``interval`` seconds at most.

    What is written is ``{"chunk", "phase", "accepted", "target", "rejected", "missed"}``, the last state always. A
    thread does it, so that the chunk never waits for Redis; what cannot be written is told once and not missed.
    """

    write: Callable[[Mapping[str, object]], object]
    interval: float = _SECOND
    _state: Mapping[str, object] = field(init=False, factory=dict[str, object])
    _standing: Standing = field(init=False, factory=Standing)
    _changed: threading.Event = field(init=False, factory=threading.Event)
    _at_once: threading.Event = field(init=False, factory=threading.Event)
    _ended: bool = field(init=False, default=False)
    _failed: bool = field(init=False, default=False)
    _thread: threading.Thread = field(init=False)

    @classmethod
    def of(cls, job: Job) -> Self:
        """The progress of a job, over a connection of its own."""
        kind, pool_kind, options = parse_connection(job.connection)
        bounded = {
            "socket_timeout": _PATIENCE,
            "socket_connect_timeout": _PATIENCE,
            "retry": Retry(NoBackoff(), 0),
        }
        redis = kind(connection_pool=ConnectionPool(connection_class=pool_kind, **(options | bounded)))

        def write(state: Mapping[str, object]) -> None:
            job.meta = dict(state)  # what RQ saves when it defers the job
            redis.hset(job.key, "meta", job.serializer.dumps(job.meta))

        return cls(write)

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``."""
        if not self._standing.take(event):
            return
        self._state = self._standing.shown()  # a new one: the thread may be reading the old one
        if is_news(event):
            self._at_once.set()
        self._changed.set()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._keep, name="pixcore-progress", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._at_once.set()
        self._changed.set()
        self._thread.join(2 * _PATIENCE)

    def _keep(self) -> None:
        ended, told = False, self._state
        while not ended:
            self._changed.wait()
            self._changed.clear()
            self._at_once.clear()
            ended = self._ended  # before the state is looked at: nothing comes after it
            state = self._state
            if state is not told:
                told = state
                self._tell(state)
            self._at_once.wait(0 if ended else self.interval)

    def _tell(self, state: Mapping[str, object]) -> None:
        try:
            self.write(state)
        except RedisError as error:
            if not self._failed:
                self._failed = True
                _logger.warning("the progress of %s cannot be shown: %s", state["chunk"], one_line(error))
