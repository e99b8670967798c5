"""Gather the contents of a report from the ports, with one archive on the local disk and a few images in memory."""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing

from attrs import define, field, frozen

from pixcore.errors import InvalidRequest, StoreNotFound, one_line
from pixcore.model.chunks import Attempt, ChunkKey, ChunkRecord, TwinPair
from pixcore.model.originals import collected_sha256
from pixcore.ports.seen_images import NearGroup, NearPair
from pixcore.stored.archives import StoredArchives
from pixcore_adapters.outputs.dropped import DroppedImages
from pixcore_adapters.outputs.report.figures import Figures
from pixcore_adapters.outputs.report.sums import ChunkSums
from pixcore_adapters.thumbnails import Encoding, Thumbnails

IMAGES = 10_000  # shown at most; browsers open larger pages slowly
_PAIRS = 200
_DROPPED = 2500  # shown at most: each has a preview of up to 4 kB, and a copy brings the kept image into the page


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
class Line:
    """A chunk and its attempts, the oldest first."""

    record: ChunkRecord
    attempts: tuple[Attempt, ...]


@frozen
class Report:
    """The contents of the page.

    Attributes:
        dataset: The dataset's name.
        sums: The sums of all chunks.
        lines: The chunks that are listed, by rising index.
        figures: Counts of all images that were read.
        images: The images that are shown; fewer than ``figures`` counts if there are too many.
        side: The width and height of the thumbnails, about, in pixels.
        encoding: Their format.
        groups: The number of groups of near-duplicates.
        pairs: The number of near pairs.
        near: The pairs that are shown, the nearest ones first; without those of ``twins``.
        twins: Pairs of copies that chunks found and kept, in the order of their chunks.
        dropped: The images that rules and better copies dropped.
        kept: The places in ``images`` of those that are kept instead, by sha256.
        unread: For each chunk whose archive could not be read, by its id, the error.
    """

    dataset: str
    sums: ChunkSums
    lines: tuple[Line, ...]
    figures: Figures
    images: tuple[Shown, ...]
    side: int
    encoding: Encoding
    groups: int
    pairs: int
    near: tuple[ShownPair, ...]
    twins: tuple[ShownTwins, ...]
    dropped: DroppedImages
    kept: Mapping[str, int]
    unread: Mapping[int, str]


def gather(
    dataset: str,
    records: Iterable[ChunkRecord],
    archives: StoredArchives,
    *,
    groups: Sequence[NearGroup],
    attempts: Iterable[Attempt],
    done: Callable[[], None],
    most: int = IMAGES,
) -> Report:
    """Read every archive of the dataset once, and call ``done`` after each image.

    The records are gone through twice, and not held. All images are counted. At most ``most`` are shown, spread evenly
    over the dataset, and those of the pairs that are shown. The report names an archive that is missing or damaged, and
    lacks its images. The same dataset gives the same report.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As the store and the local disk raise them.
    """
    dropped, sums = DroppedImages(min(most, _DROPPED)), ChunkSums()
    dropped.read(sums.counted(records), archives)
    nearest = _nearest(groups, {(chunk, frozenset((pair.one, pair.other))) for chunk, pair in sums.twins})
    paired: set[object] = {image.sha256 for _, pair in nearest for image in (pair.one, pair.other)}
    paired |= {(chunk, url) for chunk, pair in sums.twins for url in (pair.one, pair.other)}
    paired |= {one.twin for one in dropped.pairs}
    thumbnails = Thumbnails.for_count(min(sums.stored, most) + len(paired))
    reading = _Reading(archives, thumbnails, sums.stored, most, paired, done)
    for record in records:
        if record.result:
            reading.read(record)
    places = {name: place for place, shown in enumerate(reading.images) for name in _names(shown.chunk, shown.row)}
    listed = sums.listed
    tried: dict[ChunkKey, list[Attempt]] = {record.chunk.key: [] for record in listed}
    for attempt in attempts:
        if attempt.chunk in tried:
            tried[attempt.chunk].append(attempt)
    return Report(
        dataset=dataset,
        sums=sums,
        lines=tuple(Line(record, tuple(tried[record.chunk.key])) for record in listed),
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
        twins=tuple(
            ShownTwins(chunk, pair, (places.get((chunk, pair.one)), places.get((chunk, pair.other))))
            for chunk, pair in sums.twins
        ),
        dropped=dropped,
        kept={twin: places[twin] for one in dropped.pairs if (twin := one.twin) in places},
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
