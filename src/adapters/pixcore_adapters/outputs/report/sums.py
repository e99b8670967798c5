"""Add up the chunks of a dataset for the report, and choose those that it lists. Holds none of the other records."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, evolve, field, frozen

from pixcore.model.chunks import ChunkRecord, Reject, TwinPair
from pixcore_adapters.outputs.report.funnel import Funnel

CHUNKS = 2_000  # listed at most
TWINS = 200  # likewise
_SAMPLES = 40  # for each reason
_HELD = 16 * _SAMPLES  # until every other one is removed


@frozen
class Rejections:
    """``count`` downloads that were rejected for one reason, with samples and the ids of their chunks."""

    reason: str
    count: int
    samples: tuple[tuple[int, Reject], ...]


@define
class ChunkSums:
    """The sums of the chunks that were added, in the order of the dataset.

    Attributes:
        most: How many chunks are listed at most. Those that failed or are short come first.
        chunks: How many chunks there are.
        wanted: How many images they were to collect.
        finished: How many of them have an archive.
        stored: How many images the archives hold, as recorded.
        short: How many of the archives have fewer images than were wanted.
        shortfall: How many images these lack.
        copies: The number of pairs of copies that chunks found and kept.
        twins: The first of these pairs, each with the id of its chunk.
        funnel: The steps from candidates to stored images.
    """

    most: int = CHUNKS
    chunks: int = field(init=False, default=0)
    wanted: int = field(init=False, default=0)
    finished: int = field(init=False, default=0)
    stored: int = field(init=False, default=0)
    short: int = field(init=False, default=0)
    shortfall: int = field(init=False, default=0)
    copies: int = field(init=False, default=0)
    twins: list[tuple[int, TwinPair]] = field(init=False, factory=list[tuple[int, TwinPair]])
    funnel: Funnel = field(init=False, factory=Funnel)
    _lacking: list[ChunkRecord] = field(init=False, factory=list[ChunkRecord])
    _full: list[ChunkRecord] = field(init=False, factory=list[ChunkRecord])
    _rejected: Counter[str] = field(init=False, factory=Counter[str])
    _samples: "dict[str, _Spread]" = field(init=False, factory=dict)

    def counted(self, records: Iterable[ChunkRecord]) -> Iterator[ChunkRecord]:
        """Yield the records, and add each."""
        for record in records:
            self._add(record)
            yield record

    @property
    def listed(self) -> list[ChunkRecord]:
        """The chunks that are listed, by rising index. They lack the parts of records that the report does not show."""
        chosen = [*self._lacking, *self._full[: self.most - len(self._lacking)]]
        return sorted(chosen, key=lambda record: record.chunk.request.index)

    @property
    def rejections(self) -> tuple[Rejections, ...]:
        """Rejected downloads by reason, the most frequent reason first."""
        return tuple(
            Rejections(reason, count, tuple(self._samples[reason].items) if reason in self._samples else ())
            for reason, count in sorted(self._rejected.items(), key=lambda one: (-one[1], one[0]))
        )

    def _add(self, record: ChunkRecord) -> None:
        result = record.result
        self.chunks += 1
        self.wanted += record.chunk.request.target
        self.funnel.add(record)
        self._rejected.update((result.progress if result else record.progress).rejected)
        part = self._full if result and not result.shortfall else self._lacking
        if len(part) < self.most:
            part.append(_shown(record))
        if result is None:
            return
        self.finished += 1
        self.stored += result.progress.accepted
        self.short += result.shortfall > 0
        self.shortfall += result.shortfall
        self.copies += len(result.twins)
        self.twins += ((record.chunk.id, pair) for pair in result.twins[: TWINS - len(self.twins)])
        for reject in result.rejects:
            self._samples.setdefault(reject.reason, _Spread()).add((record.chunk.id, reject))


@define
class _Spread:
    """At most ``_SAMPLES`` of the rejections that were added, spread evenly."""

    _kept: list[tuple[int, Reject]] = field(init=False, factory=list[tuple[int, Reject]])
    _step: int = field(init=False, default=1)
    _added: int = field(init=False, default=0)

    def add(self, sample: tuple[int, Reject]) -> None:
        """Keep the sample, if it is in step; halve the samples if they are too many."""
        if self._added % self._step == 0:
            self._kept.append(sample)
        self._added += 1
        if len(self._kept) > _HELD:
            self._kept, self._step = self._kept[::2], 2 * self._step

    @property
    def items(self) -> Sequence[tuple[int, Reject]]:
        return self._kept[:: -(-len(self._kept) // _SAMPLES)]


def _shown(record: ChunkRecord) -> ChunkRecord:
    """Return the record without its long parts, which the list of chunks does not show."""
    progress = evolve(record.progress, lost={})
    result = record.result and evolve(
        record.result,
        progress=evolve(record.result.progress, lost={}),
        rejects=(),
        twins=(),
        kept="",
        tally={},
        columns={},
    )
    return evolve(record, progress=progress, result=result)
