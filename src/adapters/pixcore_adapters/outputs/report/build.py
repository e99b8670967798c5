"""Gather the contents of a report from the ports, with one archive on the local disk and a few images in memory."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing

from attrs import define, field, frozen

from pixcore.errors import InvalidRequest, StoreNotFound, one_line
from pixcore.model.chunks import Attempt, ChunkKey, ChunkRecord, Reject, TwinPair
from pixcore.model.originals import collected_sha256
from pixcore.ports.seen_images import NearGroup, NearPair
from pixcore.stored.archives import StoredArchives
from pixcore_adapters.outputs.dropped import DroppedImages
from pixcore_adapters.outputs.report.figures import Figures
from pixcore_adapters.outputs.report.funnel import Stage, funnel
from pixcore_adapters.thumbnails import Encoding, Thumbnails

IMAGES = 10_000  # shown at most; browsers open larger pages slowly
_PAIRS = 200
_DROPPED = 2500  # shown at most: each has a preview of up to 4 kB, and a copy brings the kept image into the page
_SAMPLES = 40  # for each reason


@frozen
class Shown:
    """An image in the page: its row, the id of its chunk and its thumbnail, or ``b""`` if that could not be made."""

    chunk: int
    row: Mapping[str, object]
    thumbnail: bytes


@frozen
class ShownPair:
    """A pair of near-duplicates.

    Attributes:
        group: The number of its group, from 1.
        pair: The two images and their distances.
        places: The positions of the two in the report's images; None for one that is not shown.
    """

    group: int
    pair: NearPair
    places: tuple[int | None, int | None]


@frozen
class ShownTwins:
    """A pair of copies of one picture that a chunk found and kept.

    Attributes:
        chunk: The chunk's id.
        pair: The two images by URL, and what decided that they are copies.
        places: As in ``ShownPair``.
    """

    chunk: int
    pair: TwinPair
    places: tuple[int | None, int | None]


@frozen
class Rejections:
    """``count`` downloads that were rejected for one reason, with samples and the ids of their chunks."""

    reason: str
    count: int
    samples: tuple[tuple[int, Reject], ...]


@frozen
class Line:
    """A chunk and its attempts, the oldest first."""

    record: ChunkRecord
    attempts: tuple[Attempt, ...]


@frozen
class Report:
    """The contents of the page.

    Attributes:
        dataset: The dataset's name.
        lines: The chunks by rising index.
        stages: The steps from candidates to stored images.
        stored: How many images the archives hold, as recorded.
        figures: Counts of all images that were read.
        images: The images that are shown; fewer than ``figures`` counts if there are too many.
        side: The width and height of the thumbnails, about, in pixels.
        encoding: Their format.
        groups: The number of groups of near-duplicates.
        pairs: The number of near pairs.
        near: The pairs that are shown, the nearest ones first; without those of ``twins``.
        copies: The number of pairs of copies that chunks found and kept.
        twins: Those of them that are shown, in the order of their chunks.
        dropped: The images that rules and better copies dropped.
        kept: The places in ``images`` of those that are kept instead, by sha256.
        rejections: Rejected downloads by reason, the most frequent reason first.
        unread: For each chunk whose archive could not be read, by its id, the error.
    """

    dataset: str
    lines: tuple[Line, ...]
    stages: tuple[Stage, ...]
    stored: int
    figures: Figures
    images: tuple[Shown, ...]
    side: int
    encoding: Encoding
    groups: int
    pairs: int
    near: tuple[ShownPair, ...]
    copies: int
    twins: tuple[ShownTwins, ...]
    dropped: DroppedImages
    kept: Mapping[str, int]
    rejections: tuple[Rejections, ...]
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
    """Read every archive of the dataset once, and call ``done`` after each image.

    All images are counted. At most ``most`` are shown, spread evenly over the dataset, and those of the pairs that are
    shown. The report names an archive that is missing or damaged, and lacks its images. The same dataset gives the same
    report.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As the store and the local disk raise them.
    """
    stored = sum(record.result.progress.accepted for record in records if record.result)
    twins = [(record.chunk.id, pair) for record in records if record.result for pair in record.result.twins]
    nearest = _nearest(groups, {(chunk, frozenset((pair.one, pair.other))) for chunk, pair in twins[:_PAIRS]})
    paired: set[object] = {image.sha256 for _, pair in nearest for image in (pair.one, pair.other)}
    paired |= {(chunk, url) for chunk, pair in twins[:_PAIRS] for url in (pair.one, pair.other)}
    dropped = DroppedImages(min(most, _DROPPED))
    dropped.read(records, archives)
    paired |= {one.twin for one in dropped.pairs}
    thumbnails = Thumbnails.for_count(min(stored, most) + len(paired))
    reading = _Reading(archives, thumbnails, stored, most, paired, done)
    for record in records:
        if record.result:
            reading.read(record)
    places = {name: place for place, shown in enumerate(reading.images) for name in _names(shown.chunk, shown.row)}
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
        encoding=reading.thumbnails.encoding,
        groups=len(groups),
        pairs=sum(group.count for group in groups),
        near=tuple(
            ShownPair(number, pair, (places.get(pair.one.sha256), places.get(pair.other.sha256)))
            for number, pair in nearest
        ),
        copies=len(twins),
        twins=tuple(
            ShownTwins(chunk, pair, (places.get((chunk, pair.one)), places.get((chunk, pair.other))))
            for chunk, pair in twins[:_PAIRS]
        ),
        dropped=dropped,
        kept={twin: places[twin] for one in dropped.pairs if (twin := one.twin) in places},
        rejections=_rejections(records),
        unread=reading.unread,
    )


@define
class _Reading:
    """The images read so far.

    It selects at most ``most`` of the ``stored`` images, and those of which one of the ``_names`` is in ``wanted``.
    """

    archives: StoredArchives
    thumbnails: Thumbnails
    stored: int
    most: int
    wanted: Collection[object]
    done: Callable[[], None]
    figures: Figures = field(init=False, factory=Figures)
    images: list[Shown] = field(init=False, factory=list[Shown])
    unread: dict[int, str] = field(init=False, factory=dict[int, str])
    _passed: int = field(init=False, default=0)  # images of earlier chunks, readable or not

    def read(self, record: ChunkRecord) -> None:
        """Count a completed chunk's images, and select some."""
        try:
            with closing(self._selected(record)) as images, closing(self.thumbnails.all_of(images)) as thumbnails:
                for row, thumbnail in thumbnails:
                    self.images.append(Shown(record.chunk.id, row, thumbnail))
        except (InvalidRequest, StoreNotFound) as error:
            self.unread[record.chunk.id] = one_line(error)
        self._passed += record.result.progress.accepted if record.result else 0

    def _selected(self, record: ChunkRecord) -> Generator[tuple[Mapping[str, object], bytes]]:
        with closing(self.archives.images(record)) as images:
            for place, (row, data) in enumerate(images, self._passed):
                self.figures.add(row)
                if self._selects(place) or any(name in self.wanted for name in _names(record.chunk.id, row)):
                    yield row, data
                self.done()

    def _selects(self, place: int) -> bool:
        if self.stored <= self.most:
            return True
        return (place + 1) * self.most // self.stored > place * self.most // self.stored


def _names(chunk: int, row: Mapping[str, object]) -> tuple[object, ...]:
    """Return what pairs call an image: the sha256 of the collected image, or the id of its chunk and its URL."""
    return collected_sha256(row), (chunk, str(row.get("url")))


def _nearest(groups: Sequence[NearGroup], twins: Collection[tuple[int, frozenset[str]]]) -> list[tuple[int, NearPair]]:
    """Return the nearest pairs that are not among the ``twins``, each with the number of its group."""
    pairs = (
        (number, pair) for number, group in enumerate(groups, 1) for pair in group.pairs if not _is_twin(pair, twins)
    )
    return sorted(pairs, key=lambda one: one[1].phash + one[1].dhash)[:_PAIRS]  # stable: groups stay in order


def _is_twin(pair: NearPair, twins: Collection[tuple[int, frozenset[str]]]) -> bool:
    """Return whether these are a chunk's twins, each given by the chunk's id and the two URLs."""
    return (
        pair.one.chunk == pair.other.chunk and (pair.one.chunk.id, frozenset((pair.one.url, pair.other.url))) in twins
    )


def _rejections(records: Iterable[ChunkRecord]) -> tuple[Rejections, ...]:
    counts = Counter[str]()
    samples: dict[str, list[tuple[int, Reject]]] = {}
    for record in records:
        counts.update((record.result.progress if record.result else record.progress).rejected)
        for reject in record.result.rejects if record.result else ():
            samples.setdefault(reject.reason, []).append((record.chunk.id, reject))
    return tuple(
        Rejections(reason, count, tuple(_spread(samples.get(reason, []), _SAMPLES)))
        for reason, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )


def _spread(samples: Sequence[tuple[int, Reject]], most: int) -> Iterable[tuple[int, Reject]]:
    """Return at most ``most`` of the samples, spread evenly."""
    return samples[:: -(-len(samples) // most)] if samples else ()
