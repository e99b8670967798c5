"""What a dataset's chunks add up to: their records in one pass, in memory that does not grow with the dataset."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from attrs import define, field, frozen

from pixcore.model.chunks import ChunkRecord, ChunkResult, Status
from pixcore.model.rows import COLUMN_TYPES, required

ARCHIVES = 200

# The columns of archives that were made before pixcore recorded their columns.
_FIRST_COLUMNS = {column: COLUMN_TYPES[column] for column in required(1)}

_WORDS = 10_000  # counted one by one at most
_LONGEST = 200  # characters of a word that are looked at


@frozen
class StoredArchive:
    """A chunk's archive in the dataset's folder.

    Attributes:
        chunk: The chunk's id.
        path: Where it is below the folder.
        sha256: Its checksum.
        bytes: Its size.
        formats: The formats of its images; empty if they were not recorded.
        columns: The type of each column of its rows: ``"string"`` or ``"integer"``.
    """

    chunk: int
    path: str
    sha256: str
    bytes: int
    formats: tuple[str, ...]
    columns: Mapping[str, str]


@define
class Words:
    """How often words occur; of those that come after the first 10,000, only how often they all do.

    A word is one text or several, each looked at as far as its 200th character.
    """

    others: int = 0
    _counts: dict[tuple[str, ...], int] = field(factory=dict[tuple[str, ...], int])

    def add(self, count: int, *word: str) -> None:
        """Count a word so many times more; none is no mention."""
        key = tuple(text[:_LONGEST] for text in word)
        if not count:
            return
        if key in self._counts or len(self._counts) < _WORDS:
            self._counts[key] = self._counts.get(key, 0) + count
        else:
            self.others += count

    def top(self, most: int) -> list[tuple[tuple[str, ...], int]]:
        """The most frequent words, ties by their letters."""
        return sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))[:most]

    @property
    def total(self) -> int:
        """How often all words occur."""
        return sum(self._counts.values()) + self.others


@define
class Counts:
    """The sums over a dataset's chunks.

    Attributes:
        dataset: Its name.
        archives: Chunks with an archive, and of them ``short`` with fewer images than planned.
        failed: Chunks that failed and have none.
        unsettled: Chunks that may still change.
        images: Images in the archives.
        bytes: What the archives weigh.
        wanted: Images that all chunks were to have.
        sources, licenses, formats: Images by what their rows say, ``""`` where that is nothing or not recorded.
        labels: Images by label and keyword.
        missed, rejected: Candidates that were left out, by reason.
        suffixes: Archives by how their names end.
        described: The archives; none where there are more than ``ARCHIVES``.
        mixed_columns: Whether the rows of the archives do not all have the same columns.
    """

    dataset: str
    archives: int = 0
    short: int = 0
    failed: int = 0
    unsettled: int = 0
    images: int = 0
    bytes: int = 0
    wanted: int = 0
    sources: Words = field(factory=Words)
    licenses: Words = field(factory=Words)
    formats: Words = field(factory=Words)
    labels: Words = field(factory=Words)
    missed: Words = field(factory=Words)
    rejected: Words = field(factory=Words)
    suffixes: Words = field(factory=Words)
    described: list[StoredArchive] = field(factory=list[StoredArchive])
    mixed_columns: bool = False
    _columns: Mapping[str, str] = field(factory=dict[str, str])

    def add(self, record: ChunkRecord) -> None:
        """Count a chunk. One that has failed anew still has its earlier archive, which loaders find."""
        self.unsettled += record.status in (Status.PENDING, Status.PROCESSING)
        self.wanted += record.chunk.request.target
        progress = record.result.progress if record.result else record.progress
        for words, reasons in ((self.missed, progress.missed), (self.rejected, progress.rejected)):
            for reason, count in reasons.items():
                words.add(count, reason)
        if record.result:
            self._add_archive(record, record.result)
        else:
            self.failed += record.status is Status.FAILED

    def _add_archive(self, record: ChunkRecord, result: ChunkResult) -> None:
        request, images = record.chunk.request, result.progress.accepted
        self.archives += 1
        self.short += result.shortfall > 0
        self.images += images
        self.bytes += result.bytes
        self.labels.add(images, request.label or request.keyword, request.keyword)
        for words, column in ((self.sources, "source"), (self.licenses, "license"), (self.formats, "format")):
            told = result.tally.get(column, {})
            for word, count in told.items():
                words.add(count, word)
            words.add(images - sum(told.values()), "")
        columns = result.columns or _FIRST_COLUMNS
        self._columns = self._columns or columns
        self.mixed_columns |= columns != self._columns
        suffix = PurePosixPath(result.url).suffix
        self.suffixes.add(1, suffix)
        if self.archives > ARCHIVES:
            self.described.clear()
            return
        path = record.chunk.key.blob_key(suffix).removeprefix(f"{self.dataset}/")
        formats = tuple(sorted(result.tally.get("format", {})))
        self.described.append(StoredArchive(record.chunk.id, path, result.sha256, result.bytes, formats, columns))


def count(dataset: str, records: Iterable[ChunkRecord]) -> Counts:
    """Add up the dataset's chunks; the same records give the same counts."""
    counts = Counts(dataset)
    for record in records:
        counts.add(record)
    return counts
