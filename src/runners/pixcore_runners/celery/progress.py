"""How far a chunk has come, as states of its Celery task."""

import logging
import time
from collections.abc import Callable
from typing import Any

from attrs import define, field
from celery.exceptions import SoftTimeLimitExceeded

from pixcore.chunk.events import ChunkEnded, Event
from pixcore.errors import one_line
from pixcore_runners.queueing.progress import Standing, is_news

# Seconds between two states in the same phase.
_PACE = 1.0

_logger = logging.getLogger("pixcore")


@define(eq=False)
class Progress:
    """An observer for one delivery: state ``PROGRESS``, its meta ``chunk, phase, accepted, target, rejected, missed``.

    Each new phase is told at once, images at most once a second. After the result backend has failed once, nothing
    more is told: waiting for it again and again would take the time that the chunk has.
    """

    store: Callable[[str, dict[str, Any]], object] = field(repr=False)
    clock: Callable[[], float] = time.monotonic
    _standing: Standing = field(init=False, factory=Standing)
    _told: float = field(init=False, default=0.0)
    _away: bool = field(init=False, default=False)

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``."""
        if isinstance(event, ChunkEnded) or not self._standing.take(event):
            return  # of an end Celery tells itself
        if is_news(event) or self.clock() - self._told >= _PACE:
            self._told = self.clock()
            self._store("PROGRESS", self._standing.shown())

    def started(self, process: dict[str, object]) -> None:
        """Tell that a process has the delivery, before anything is known of its chunk."""
        self._store("STARTED", process)

    def _store(self, state: str, meta: dict[str, Any]) -> None:
        if self._away:
            return
        try:
            self.store(state, meta)
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the result backend raises, the chunk is what matters
            self._away = True
            _logger.warning("the progress of this delivery cannot be told: %s", one_line(error))
