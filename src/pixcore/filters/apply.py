"""Which of a chunk's images are kept: those that the validator accepted, large enough, and none twice."""

from collections.abc import Generator, Iterable
from functools import partial

from pixcore.filters.duplicates import drop_duplicates
from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.quality import Quality


def selected(verdicts: Iterable[Accepted | Rejected], quality: Quality) -> Generator[Accepted | Rejected]:
    """Turn each accepted image that is too small or shown already into a rejection; keep order and everything else."""
    return drop_duplicates(map(partial(_large_enough, quality), verdicts), quality.near)


def _large_enough(quality: Quality, verdict: Accepted | Rejected) -> Accepted | Rejected:
    if isinstance(verdict, Accepted) and (fault := quality.too_small(verdict.width, verdict.height)):
        return Rejected(verdict.download, RejectReason.TOO_SMALL, fault)
    return verdict
