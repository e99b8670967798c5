"""Count the images after each step from candidates to the dataset, and the losses between them by reason."""

from collections import Counter
from collections.abc import Iterable

from attrs import frozen

from pixcore.model.chunks import ChunkRecord
from pixcore.model.images import COPIES


@frozen
class Stage:
    """A step. ``left`` images passed it; ``lost`` counts the others by reason, the most frequent first."""

    name: str
    left: int
    lost: tuple[tuple[str, int], ...] = ()

    @property
    def gone(self) -> int:
        """Return how many were lost in this step."""
        return sum(count for _, count in self.lost)


def funnel(records: Iterable[ChunkRecord]) -> tuple[Stage, ...]:
    """Add up the steps of all chunks. A chunk without an archive counts with its last attempt."""
    missed, unusable, duplicates = Counter[str](), Counter[str](), Counter[str]()
    accepted = stored = 0
    for record in records:
        progress = record.result.progress if record.result else record.progress
        accepted += progress.accepted
        stored += record.result.progress.accepted if record.result else 0
        missed.update(progress.missed)
        for reason, count in progress.rejected.items():
            (duplicates if reason in COPIES else unusable)[reason] += count
    usable = accepted + duplicates.total()
    downloaded = usable + unusable.total()
    unfinished = Counter({"chunk_not_complete": accepted - stored})
    return (
        Stage("Candidates", downloaded + missed.total()),
        Stage("Downloaded", downloaded, _most_first(missed)),
        Stage("Usable images", usable, _most_first(unusable)),
        Stage("Not duplicates", accepted, _most_first(duplicates)),
        Stage("In the dataset", stored, _most_first(unfinished)),
    )


def _most_first(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((+counts).items()), key=lambda one: (-one[1], one[0])))
