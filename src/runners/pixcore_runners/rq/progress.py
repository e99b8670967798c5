"""Show the progress of a running chunk in ``job.meta``."""

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
from pixcore_runners.queueing.progress import ChunkProgress, is_milestone

_SECOND = 1.0
_TIMEOUT = 2.0  # of requests to Redis, in seconds

_logger = logging.getLogger("pixcore")


@define(eq=False)
class JobProgress:
    """An observer inside a ``with`` block: writes phases immediately, images at most every ``interval`` seconds.

    Writes ``{"chunk", "phase", "accepted", "target", "rejected", "missed"}``, and always the last state. A thread
    writes, so that the chunk never waits for Redis. The first failure is logged; none fails the chunk.
    """

    write: Callable[[Mapping[str, object]], object]
    interval: float = _SECOND
    _state: Mapping[str, object] = field(init=False, factory=dict[str, object])
    _progress: ChunkProgress = field(init=False, factory=ChunkProgress)
    _changed: threading.Event = field(init=False, factory=threading.Event)
    _at_once: threading.Event = field(init=False, factory=threading.Event)
    _ended: bool = field(init=False, default=False)
    _failed: bool = field(init=False, default=False)
    _thread: threading.Thread = field(init=False)

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the progress of a job, with a connection of its own."""
        kind, pool_kind, options = parse_connection(job.connection)
        bounded = {
            "socket_timeout": _TIMEOUT,
            "socket_connect_timeout": _TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        }
        redis = kind(connection_pool=ConnectionPool(connection_class=pool_kind, **(options | bounded)))

        def write(state: Mapping[str, object]) -> None:
            job.meta = dict(state)  # RQ saves it when it defers the job
            redis.hset(job.key, "meta", job.serializer.dumps(job.meta))

        return cls(write)

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``."""
        if not self._progress.update(event):
            return
        self._state = self._progress.as_json()  # a new object: the thread may be reading the old one
        if is_milestone(event):
            self._at_once.set()
        self._changed.set()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write_changes, name="pixcore-progress", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._at_once.set()
        self._changed.set()
        self._thread.join(2 * _TIMEOUT)

    def _write_changes(self) -> None:
        ended, written = False, self._state
        while not ended:
            self._changed.wait()
            self._changed.clear()
            self._at_once.clear()
            ended = self._ended  # read before the state: no state follows once it is set
            state = self._state
            if state is not written:
                written = state
                self._write(state)
            self._at_once.wait(0 if ended else self.interval)

    def _write(self, state: Mapping[str, object]) -> None:
        try:
            self.write(state)
        except RedisError as error:
            if not self._failed:
                self._failed = True
                _logger.warning("the progress of chunk %s cannot be written: %s", state["chunk"], one_line(error))
