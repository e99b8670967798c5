"""Show the progress of a chunk as states of its Celery task."""

import logging
import time
from collections.abc import Callable
from typing import Any

from attrs import define, field
from celery.exceptions import SoftTimeLimitExceeded

from pixcore.chunk.events import ChunkEnded, Event
from pixcore.errors import one_line
from pixcore_runners.queueing.progress import ChunkProgress, is_milestone

# Seconds between two states in the same phase.
_INTERVAL = 1.0

_logger = logging.getLogger("pixcore")


@define(eq=False)
class TaskProgress:
    """An observer that stores the state ``PROGRESS`` with ``chunk, phase, accepted, target, rejected, missed``.

    A new phase is stored immediately, images at most once a second. After the result backend has failed once, nothing
    more is stored: repeated waits for it would use up the time of the chunk.
    """

    store: Callable[[str, dict[str, Any]], object] = field(repr=False)
    clock: Callable[[], float] = time.monotonic
    _progress: ChunkProgress = field(init=False, factory=ChunkProgress)
    _stored_at: float = field(init=False, default=0.0)
    _failed: bool = field(init=False, default=False)

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``."""
        if isinstance(event, ChunkEnded) or not self._progress.update(event):
            return  # Celery stores the end itself
        if is_milestone(event) or self.clock() - self._stored_at >= _INTERVAL:
            self._stored_at = self.clock()
            self._store("PROGRESS", self._progress.as_json())

    def started(self, process: dict[str, object]) -> None:
        """Store that a process has the delivery, before its chunk is known."""
        self._store("STARTED", process)

    def _store(self, state: str, meta: dict[str, Any]) -> None:
        if self._failed:
            return
        try:
            self.store(state, meta)
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:  # noqa: BLE001 - no error of the result backend may fail the chunk
            self._failed = True
            _logger.warning("the progress of this delivery is no longer stored: %s", one_line(error))
