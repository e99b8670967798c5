"""From candidates to the images that are stored: how many are left after each step, and why the others are not."""

from collections import Counter
from collections.abc import Iterable

from attrs import frozen

from pixcore.model.chunks import ChunkRecord
from pixcore.model.images import RejectReason

_DUPLICATES = frozenset({RejectReason.DUPLICATE, RejectReason.NEAR_DUPLICATE, RejectReason.SEEN})


@frozen
class Stage:
    """A step: ``left`` passed it, the others are in ``lost`` by reason, most first."""

    name: str
    left: int
    lost: tuple[tuple[str, int], ...] = ()

    @property
    def gone(self) -> int:
        """How many were lost in it."""
        return sum(count for _, count in self.lost)


def funnel(records: Iterable[ChunkRecord]) -> tuple[Stage, ...]:
    """The steps of all chunks together; of a chunk that holds no archive, of its last attempt."""
    missed, unusable, duplicates = Counter[str](), Counter[str](), Counter[str]()
    accepted = stored = 0
    for record in records:
        progress = record.result.progress if record.result else record.progress
        accepted += progress.accepted
        stored += record.result.progress.accepted if record.result else 0
        missed.update(progress.missed)
        for reason, count in progress.rejected.items():
            (duplicates if reason in _DUPLICATES else unusable)[reason] += count
    different = accepted + duplicates.total()
    downloaded = different + unusable.total()
    unfinished = Counter({"chunk_not_complete": accepted - stored})
    return (
        Stage("Candidates", downloaded + missed.total()),
        Stage("Downloaded", downloaded, _most_first(missed)),
        Stage("Usable images", different, _most_first(unusable)),
        Stage("Not duplicates", accepted, _most_first(duplicates)),
        Stage("In the dataset", stored, _most_first(unfinished)),
    )


def _most_first(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((+counts).items()), key=lambda one: (-one[1], one[0])))
