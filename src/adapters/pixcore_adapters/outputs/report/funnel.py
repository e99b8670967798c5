"""Count the images after each step from candidates to the dataset, and the losses between them by reason."""

from collections import Counter

from attrs import define, field, frozen

from pixcore.model.chunks import ChunkRecord
from pixcore.model.images import COPIES, RejectReason

_EXCLUDED = str(RejectReason.EXCLUDED)  # by curators


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


@define
class Funnel:
    """The steps of the chunks that were added. A chunk without an archive counts with its last attempt."""

    _missed: Counter[str] = field(init=False, factory=Counter[str])
    _rejected: Counter[str] = field(init=False, factory=Counter[str])
    _accepted: int = field(init=False, default=0)
    _stored: int = field(init=False, default=0)

    def add(self, record: ChunkRecord) -> None:
        """Add a chunk."""
        progress = record.result.progress if record.result else record.progress
        self._accepted += progress.accepted
        self._stored += record.result.progress.accepted if record.result else 0
        self._missed.update(progress.missed)
        self._rejected.update(progress.rejected)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The steps. That of excluded images is left out if curators excluded none."""
        duplicates = Counter({reason: count for reason, count in self._rejected.items() if reason in COPIES})
        excluded = Counter({_EXCLUDED: self._rejected[_EXCLUDED]})
        unusable = self._rejected - duplicates - excluded
        wanted = self._accepted + duplicates.total()
        usable = wanted + excluded.total()
        downloaded = usable + unusable.total()
        unfinished = Counter({"chunk_not_complete": self._accepted - self._stored})
        stages = [
            Stage("Candidates", downloaded + self._missed.total()),
            Stage("Downloaded", downloaded, _most_first(self._missed)),
            Stage("Usable images", usable, _most_first(unusable)),
        ]
        stages += [Stage("Not excluded", wanted, _most_first(excluded))] if excluded.total() else []
        return (
            *stages,
            Stage("Not duplicates", self._accepted, _most_first(duplicates)),
            Stage("In the dataset", self._stored, _most_first(unfinished)),
        )


def _most_first(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((+counts).items()), key=lambda one: (-one[1], one[0])))
