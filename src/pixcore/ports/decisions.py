"""Decisions: remember what curators decided about single images of a dataset."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from pixcore.model.decisions import Decision


class Decisions(Protocol):
    """Holds at most two decisions for each image of a dataset: whether it is kept, and its label.

    Of two decisions about the same (``Decision.key``), the one with the later ``at`` counts; of two at the same second,
    the one that was recorded later. So decisions of two databases may be merged in any order.
    """

    def now(self) -> datetime:
        """Return the time for a new decision, in UTC and whole seconds.

        All who share a database get the time of one clock, so a wrong clock of a machine cannot outdate a decision.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        ...

    def record(self, decisions: Iterable[Decision]) -> int:
        """Store decisions, all or none; return how many changed something. Idempotent.

        A decision that is stored already, or older than the stored one about the same, changes nothing.

        Raises:
            StatusUnavailable: The database cannot be reached; nothing was stored.
        """
        ...

    def take_back(self, decisions: Iterable[Decision]) -> int:
        """Remove decisions, all or none; return how many were removed. Idempotent.

        A decision that is no longer stored exactly like this stays, because somebody has decided anew since.

        Raises:
            StatusUnavailable: The database cannot be reached; nothing was removed.
        """
        ...

    def read(self, dataset: str) -> Iterator[Decision]:
        """Yield the decisions of a dataset by rising ``Decision.key``. Bounded memory.

        A decision that is recorded or taken back meanwhile may or may not be yielded.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        ...
