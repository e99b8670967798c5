"""The interface by which fetchers share a pace: how many requests run at once, and how far apart they start.

A key is the name of what is limited, such as a host. The implementations know nothing of hosts.
"""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen


@frozen
class Wish:
    """The slots that a party has and wants; a slot is the right to run one request.

    Attributes:
        key: What is limited.
        held: The slots that the party may be using now.
        wanted: The slots that it could use.
        most: The slots that all parties may use at once.
    """

    key: str
    held: int
    wanted: int
    most: int


class Party(Protocol):
    """One of the fetchers that share a pace. Use it from one event loop."""

    @property
    def beat(self) -> float:
        """Seconds after which ``slots`` has to be called again for each key of which the party holds or wants slots."""
        ...

    async def slots(self, wishes: Sequence[Wish]) -> Sequence[int]:
        """Return for each wish how many slots the party may use from now on.

        A smaller number than ``held`` asks the party to use fewer, because other parties lack slots. The slots count as
        its own until it says in a later call that it holds fewer. With neither ``held`` nor ``wanted`` it is forgotten.
        """
        ...

    async def start(self, key: str, spacing: float, earliest: float = 0.0) -> float:
        """Reserve a start and return the seconds until it. The next start of any party is ``spacing`` seconds later.

        The start is at least ``earliest`` seconds from now.
        """
        ...

    async def close(self) -> None:
        """Give up all slots. Call it once, at the end."""
        ...


class Pacing(Protocol):
    """What parties join to share a pace. May be used by several threads."""

    def join(self) -> Party:
        """Return a new party."""
        ...
