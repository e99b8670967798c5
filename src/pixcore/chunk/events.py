"""What happens to a chunk, as values; whoever wants to know is an Observer.

A chunk's events begin with ``ChunkClaimed`` and end with exactly one ``ChunkEnded``, after which nothing happens.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from pixcore.model.chunks import ChunkKey, ChunkResult, Phase, Status
from pixcore.model.images import Accepted, Miss, Rejected
from pixcore.model.requests import ChunkRequest


@frozen
class Event:
    """Something that happened to an attempt at a chunk."""

    chunk: ChunkKey
    attempt: int


@frozen
class ChunkClaimed(Event):
    """The attempt begins."""

    request: ChunkRequest


@frozen
class PhaseEntered(Event):
    """The attempt went on to another phase."""

    phase: Phase


@frozen
class CandidateMissed(Event):
    """A candidate's bytes could not be had."""

    miss: Miss


@frozen
class ImageAccepted(Event):
    """An image counts towards the target."""

    image: Accepted


@frozen
class ImageRejected(Event):
    """A download is not wanted."""

    image: Rejected


@frozen
class StepRetried(Event):
    """A step failed ``failures`` times so far and is tried again after ``wait`` seconds."""

    phase: Phase
    failures: int
    wait: float
    error: str


@frozen
class CleanupFailed(Event):
    """Something of the work directory could not be removed; a later start sweeps it."""

    path: Path
    error: str


@frozen
class ChunkEnded(Event):
    """The last event of an attempt, after the clean-up."""


@frozen
class ChunkCompleted(ChunkEnded):
    """The archive is stored and recorded."""

    result: ChunkResult


@frozen
class ChunkFailed(ChunkEnded):
    """The attempt failed. ``status`` is what was recorded: failed, pending for another try, or None if unrecorded."""

    error: str
    status: Status | None


@frozen
class ChunkInterrupted(ChunkEnded):
    """The attempt was stopped from outside and its claim given back, no failure counted."""


@frozen
class ChunkLost(ChunkEnded):
    """The claim was taken over; this worker changed nothing."""

    error: str


Observer = Callable[[Event], None]


def silent(_: Event) -> None:
    """The observer that does not care."""


def everyone(*observers: Observer, interrupts: tuple[type[BaseException], ...] = ()) -> Observer:
    """One observer that tells each of several, in order; one that fails does not keep it from the rest.

    ``interrupts`` are those of the pipeline, as for ``shielded``.
    """
    guarded = [shielded(observer, interrupts) for observer in observers]

    def tell(event: Event) -> None:
        for observer in guarded:
            observer(event)

    return tell


def shielded(observer: Observer, interrupts: tuple[type[BaseException], ...] = ()) -> Observer:
    """Wrap an observer so that its failure is logged once, as a warning of the logger ``pixcore``, and goes no further.

    ``interrupts`` are exceptions that a runner raises from outside in the middle of anything, such as a time limit:
    they pass through.
    """
    failed = False

    def tell(event: Event) -> None:
        nonlocal failed
        try:
            observer(event)
        except interrupts:
            raise
        except Exception:
            if not failed:
                failed = True
                logging.getLogger("pixcore").warning(
                    "observer %r failed and is ignored from now on when it does", observer, exc_info=True
                )

    return tell
