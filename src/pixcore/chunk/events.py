"""The events of a chunk, as values, and the observers that receive them.

The first event of an attempt is ``ChunkClaimed``, the last is exactly one ``ChunkEnded``.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from pixcore.errors import Fault
from pixcore.model.chunks import ChunkKey, ChunkResult, Phase, Status
from pixcore.model.images import Accepted, Miss, Rejected
from pixcore.model.requests import ChunkRequest


@frozen
class Event:
    """Something that happened in an attempt at a chunk."""

    chunk: ChunkKey
    attempt: int


@frozen
class ChunkClaimed(Event):
    """The attempt has begun."""

    request: ChunkRequest


@frozen
class PhaseEntered(Event):
    """The attempt has begun another phase."""

    phase: Phase


@frozen
class CandidateMissed(Event):
    """A candidate's bytes could not be obtained."""

    miss: Miss


@frozen
class ImageAccepted(Event):
    """An image was accepted, and counts towards the target."""

    image: Accepted


@frozen
class ImageRejected(Event):
    """A download was rejected."""

    image: Rejected


@frozen
class ImageReplaced(Event):
    """An image took the position of an accepted one that shows the same picture and is rejected now.

    The number of accepted images stays, that of rejected ones grows by one.
    """

    image: Accepted
    rejected: Rejected


@frozen
class ImageWithdrawn(Event):
    """An accepted image is rejected after all, because its bytes turned out to be a placeholder.

    The number of accepted images falls by one, that of rejected ones grows by one.
    """

    image: Rejected


@frozen
class StepRetried(Event):
    """A step has failed ``failures`` times so far and will be retried after ``wait`` seconds."""

    phase: Phase
    failures: int
    wait: float
    error: str


@frozen
class BlobStored(Event):
    """A blob of the chunk is stored: its archive, or one about its candidates. ``seconds`` include retries."""

    key: str
    bytes: int
    seconds: float


@frozen
class CleanupFailed(Event):
    """A file of the work directory could not be removed. ``workspace.sweep`` removes it at a later start."""

    path: Path
    error: str


@frozen
class ChunkEnded(Event):
    """The attempt has ended. This is its last event, after the cleanup."""


@frozen
class ChunkCompleted(ChunkEnded):
    """The chunk is completed: its archive is stored and recorded."""

    result: ChunkResult


@frozen
class ChunkFailed(ChunkEnded):
    """The attempt failed. ``status`` was recorded: failed, or pending for a retry. None: it could not be recorded."""

    error: str
    status: Status | None


@frozen
class ChunkInterrupted(ChunkEnded):
    """The attempt was interrupted from outside. Its claim was given back; that counts as no failure."""


@frozen
class ChunkGivenBack(ChunkEnded):
    """The attempt ended by a fault of the machine or of a service. Its claim was given back; that counts as no failure.

    Attributes:
        error: What is wrong.
        fault: Who is at fault: the machine or a service.
        work: How many bytes of room in the work directory were not enough; 0 if the fault is another.
        store: How many bytes of room in the store were not enough; 0 if the fault is another.
    """

    error: str
    fault: Fault
    work: int = 0
    store: int = 0


@frozen
class ChunkLost(ChunkEnded):
    """Another worker took over the claim. This worker changed nothing since."""

    error: str


Observer = Callable[[Event], None]


def silent(_: Event) -> None:
    """Ignore an event: the observer for callers that need none."""


def combined(*observers: Observer, interrupts: tuple[type[BaseException], ...] = ()) -> Observer:
    """Return an observer that calls several in order. If one fails, the others are called all the same.

    ``interrupts`` are those of the pipeline, as for ``shielded``.
    """
    all_shielded = [shielded(observer, interrupts) for observer in observers]

    def observe(event: Event) -> None:
        for observer in all_shielded:
            observer(event)

    return observe


def shielded(observer: Observer, interrupts: tuple[type[BaseException], ...] = ()) -> Observer:
    """Wrap an observer so that its exceptions do not reach the caller.

    The first exception is logged as a warning of the logger ``pixcore``, later ones are dropped. ``interrupts`` pass
    through: a runner may raise them at any point, such as its time limits.
    """
    failed = False

    def observe(event: Event) -> None:
        nonlocal failed
        try:
            observer(event)
        except interrupts:
            raise
        except Exception:
            if not failed:
                failed = True
                logging.getLogger("pixcore").warning(
                    "observer %r failed; its further failures are not reported", observer, exc_info=True
                )

    return observe
