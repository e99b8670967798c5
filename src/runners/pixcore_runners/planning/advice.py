"""What a user reads about chunks that failed or are short: why, and what to do."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import define, field

from pixcore import Allocation, ChunkRecord, Status
from pixcore.chunk.unfilled import is_exhausted, is_unfilled, may_gain, mendable

NO_DATASET = (
    'no dataset yet; create one, such as: pixcore run "red panda" --count 100; a dataset that was collected in another'
    " folder is listed there"
)


@define
class Ending:
    """How the chunks of a dataset ended, added up one by one, so that their records need not be kept.

    Attributes:
        allocations: Returns those of a chunk's dataset.
        chunks: How many were added.
        archives: How many of them have an archive.
        images: How many images these hold.
        unfilled: How many chunks have ended and lack images.
        lacking: How many of these are not complete: see ``is_exhausted`` for those that are.
        running: How many chunks have not ended.
        left_out: Candidates that were rejected or missed, by reason.
        changed: Stored images that a conversion changed, by the names in ``CHANGES``.
    """

    allocations: Callable[[ChunkRecord], Sequence[Allocation]]
    chunks: int = 0
    archives: int = 0
    images: int = 0
    unfilled: int = 0
    lacking: int = 0
    running: int = 0
    left_out: Counter[str] = field(factory=Counter[str])
    changed: Counter[str] = field(factory=Counter[str])
    _may_gain: bool = False
    _mendable: Counter[str] = field(factory=Counter[str])

    def counted(self, records: Iterable[ChunkRecord]) -> Iterator[ChunkRecord]:
        """Yield the records, and add each."""
        for record in records:
            self.add(record)
            yield record

    def add(self, record: ChunkRecord) -> None:
        """Count a chunk."""
        self.chunks += 1
        self.left_out.update(left_out([record]))
        if record.result:
            self.archives += 1
            self.images += record.result.progress.accepted
            self.changed.update(record.result.tally.get("conversion", {}))
        if not is_unfilled(record):
            self.running += record.status is not Status.COMPLETED or record.result is None
            return
        self.unfilled += 1
        allocations = self.allocations(record)
        if not is_exhausted(record, allocations):
            self.lacking += 1
            self._may_gain = self._may_gain or may_gain(record, allocations)
            self._mendable.update(mendable(record))

    def advice(self, retry: str) -> str:
        """Return the advice for a dataset of which some chunk failed or is short: retry only where that can help.

        ``retry`` is what the user has to type for that, such as ``pixcore retry red-panda``.
        """
        if self._may_gain:
            return f"some chunks failed or are short; to retry them: {retry}"
        if self._mendable:
            listed = ", ".join(f"{reason}: {count}" for reason, count in self._mendable.most_common())
            return (
                "some chunks are short; a retry can help only once you have changed the settings or the folder for"
                f" which candidates were missed ({listed}); then: {retry}"
            )
        return (
            "some chunks are short and a retry cannot fill them: all their candidates were tried, and their lists have"
            " no others; add to the lists and repeat the command, or name more sources and ask for a larger --count"
        )


def held(records: Iterable[ChunkRecord]) -> str:
    """Say how many of the chunks another run holds, and for how long; ``""`` if it holds none."""
    left = [record.lease_left for record in records if record.lease_left > 0]
    return (
        f"chunks that another run holds: {len(left)}; if it died, their leases expire in {max(left):.0f} s"
        if left
        else ""
    )


def left_out(records: Iterable[ChunkRecord]) -> Counter[str]:
    """Count the candidates of all chunks that were rejected or missed, by reason."""
    counts = Counter[str]()
    for record in records:
        progress = record.result.progress if record.result else record.progress
        counts.update(progress.rejected)
        counts.update(progress.missed)
    return counts
