"""What a report tells, gathered from the ports: one archive on the local disk at a time, one image in memory."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing

from attrs import define, field, frozen

from pixcore.errors import InvalidRequest, StoreNotFound, one_line
from pixcore.model.chunks import Attempt, ChunkKey, ChunkRecord, Reject
from pixcore.ports.seen_images import NearPair
from pixcore.stored.archives import StoredArchives
from pixcore.stored.near_groups import NearGroup
from pixcore_adapters.outputs.report.figures import Figures
from pixcore_adapters.outputs.report.funnel import Stage, funnel
from pixcore_adapters.outputs.report.thumbnails import Thumbnails

IMAGES = 10_000  # shown at most; more would be a page that no browser opens quickly
_PAIRS = 200
_SAMPLES = 40  # of one reason


@frozen
class Shown:
    """An image in the page: its row, its chunk and its thumbnail, ``b""`` where there is none."""

    chunk: int
    row: Mapping[str, object]
    thumbnail: bytes


@frozen
class Twins:
    """A pair of near-duplicates out of the ``group``, counted from 1; ``places`` of its two in the report's images."""

    group: int
    pair: NearPair
    places: tuple[int | None, int | None]


@frozen
class Refused:
    """``count`` downloads that were rejected for one reason, and some of them with their chunks' ids."""

    reason: str
    count: int
    samples: tuple[tuple[int, Reject], ...]


@frozen
class Line:
    """A chunk and its attempts, the first one first."""

    record: ChunkRecord
    attempts: tuple[Attempt, ...]


@frozen
class Report:
    """Everything that the page tells.

    Attributes:
        dataset: Its name.
        lines: Its chunks by rising index.
        stages: From candidates to stored images.
        stored: How many images its archives hold, as recorded.
        figures: Counts of all images that were read.
        images: Those shown; fewer than ``figures`` counts where there are too many.
        side: About how many pixels wide and high the thumbnails are.
        groups: How many groups of near-duplicates there are.
        pairs: How many near pairs.
        twins: Those shown, the nearest ones first.
        refused: By reason, the most frequent first.
        unread: Why a chunk's archive could not be read, by the chunk's id.
    """

    dataset: str
    lines: tuple[Line, ...]
    stages: tuple[Stage, ...]
    stored: int
    figures: Figures
    images: tuple[Shown, ...]
    side: int
    groups: int
    pairs: int
    twins: tuple[Twins, ...]
    refused: tuple[Refused, ...]
    unread: Mapping[int, str]


def gather(
    dataset: str,
    records: Sequence[ChunkRecord],
    archives: StoredArchives,
    *,
    groups: Sequence[NearGroup],
    attempts: Iterable[Attempt],
    done: Callable[[], None],
    most: int = IMAGES,
) -> Report:
    """Read every archive of the dataset once. ``done`` is called after each image.

    All images are counted; at most ``most`` are shown, spread evenly over the dataset, and those of the near pairs. An
    archive that is missing or damaged is noted and costs the page its images. The same dataset gives the same report.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As the store and the local disk say.
    """
    stored = sum(record.result.progress.accepted for record in records if record.result)
    nearest = _nearest(groups)
    paired = {image.sha256 for _, pair in nearest for image in (pair.one, pair.other)}
    thumbnails = Thumbnails.of_so_many(min(stored, most) + len(paired))
    reading = _Reading(archives, thumbnails, stored, most, paired, done)
    for record in records:
        if record.result:
            reading.read(record)
    places = {str(shown.row.get("sha256")): place for place, shown in enumerate(reading.images)}
    tried: dict[ChunkKey, list[Attempt]] = {}
    for attempt in attempts:
        tried.setdefault(attempt.chunk, []).append(attempt)
    return Report(
        dataset=dataset,
        lines=tuple(Line(record, tuple(tried.get(record.chunk.key, ()))) for record in records),
        stages=funnel(records),
        stored=stored,
        figures=reading.figures,
        images=tuple(reading.images),
        side=reading.thumbnails.side,
        groups=len(groups),
        pairs=sum(len(group.pairs) for group in groups),
        twins=tuple(
            Twins(number, pair, (places.get(pair.one.sha256), places.get(pair.other.sha256)))
            for number, pair in nearest
        ),
        refused=_refused(records),
        unread=reading.unread,
    )


@define
class _Reading:
    """What has been read so far. At most ``most`` of ``stored`` images are shown, and those ``wanted``, by sha256."""

    archives: StoredArchives
    thumbnails: Thumbnails
    stored: int
    most: int
    wanted: Collection[str]
    done: Callable[[], None]
    figures: Figures = field(init=False, factory=Figures)
    images: list[Shown] = field(init=False, factory=list[Shown])
    unread: dict[int, str] = field(init=False, factory=dict[int, str])
    _passed: int = field(init=False, default=0)  # images in the chunks before, whether they could be read or not

    def read(self, record: ChunkRecord) -> None:
        """Count a completed chunk's images, and show some."""
        try:
            with closing(self.archives.images(record)) as images:
                for place, (row, data) in enumerate(images, self._passed):
                    self.figures.add(row)
                    if self._has_its_turn(place) or row.get("sha256") in self.wanted:
                        self.images.append(Shown(record.chunk.id, row, self.thumbnails.of(data)))
                    self.done()
        except (InvalidRequest, StoreNotFound) as error:
            self.unread[record.chunk.id] = one_line(error)
        self._passed += record.result.progress.accepted if record.result else 0

    def _has_its_turn(self, place: int) -> bool:
        if self.stored <= self.most:
            return True
        return (place + 1) * self.most // self.stored > place * self.most // self.stored


def _nearest(groups: Sequence[NearGroup]) -> list[tuple[int, NearPair]]:
    """The nearest pairs, each with the number of its group."""
    pairs = ((number, pair) for number, group in enumerate(groups, 1) for pair in group.pairs)
    return sorted(pairs, key=lambda one: one[1].phash + one[1].dhash)[:_PAIRS]  # a stable sort: groups stay in order


def _refused(records: Iterable[ChunkRecord]) -> tuple[Refused, ...]:
    counts = Counter[str]()
    samples: dict[str, list[tuple[int, Reject]]] = {}
    for record in records:
        counts.update((record.result.progress if record.result else record.progress).rejected)
        for reject in record.result.rejects if record.result else ():
            samples.setdefault(reject.reason, []).append((record.chunk.id, reject))
    return tuple(
        Refused(reason, count, tuple(_some(samples.get(reason, []), _SAMPLES)))
        for reason, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )


def _some(samples: Sequence[tuple[int, Reject]], most: int) -> Iterable[tuple[int, Reject]]:
    """So many of them, spread evenly."""
    return samples[:: -(-len(samples) // most)] if samples else ()
