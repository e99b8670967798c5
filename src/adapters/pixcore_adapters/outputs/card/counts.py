"""Add up the records of a dataset's chunks in one pass, in memory that does not grow with the dataset."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from attrs import define, field, frozen

from pixcore.model.chunks import ChunkRecord, ChunkResult, Status
from pixcore.model.rows import COLUMN_TYPES, required

ARCHIVES = 200  # described one by one at most

# The columns of archives that were made before pixcore recorded their columns.
_FIRST_COLUMNS = {column: COLUMN_TYPES[column] for column in required(1)}

_VALUES = 10_000  # counted one by one at most
_LONGEST = 200  # characters of a value that are compared


@frozen
class DescribedArchive:
    """A chunk's archive in the dataset's folder.

    Attributes:
        chunk: The chunk's id.
        path: Where it is below the folder.
        sha256: Its checksum.
        bytes: Its size.
        formats: The formats of its images; empty if they were not recorded.
        columns: The type of each column of its rows: ``"string"`` or ``"integer"``.
        version: That of its format: see ``pixcore.model.archives.Archive``.
    """

    chunk: int
    path: str
    sha256: str
    bytes: int
    formats: tuple[str, ...]
    columns: Mapping[str, str]
    version: int


@define
class Frequencies:
    """How often values occur, such as labels or reasons. Only the first 10,000 different values are counted separately.

    A value is one text or several; texts that start with the same 200 characters count as the same.

    Attributes:
        others: The occurrences of all values that are not counted separately.
    """

    others: int = 0
    _counts: dict[tuple[str, ...], int] = field(factory=dict[tuple[str, ...], int])

    def add(self, count: int, *value: str) -> None:
        """Add ``count`` occurrences of a value; zero is ignored."""
        key = tuple(text[:_LONGEST] for text in value)
        if not count:
            return
        if key in self._counts or len(self._counts) < _VALUES:
            self._counts[key] = self._counts.get(key, 0) + count
        else:
            self.others += count

    def items(self) -> Iterable[tuple[tuple[str, ...], int]]:
        """Return the values that are counted separately, with their counts, in the order in which they occurred."""
        return self._counts.items()

    def top(self, most: int) -> list[tuple[tuple[str, ...], int]]:
        """Return the most frequent values with their counts; equally frequent ones in alphabetical order."""
        return sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))[:most]

    @property
    def total(self) -> int:
        """Return how often all values occur."""
        return sum(self._counts.values()) + self.others


@define
class DatasetCounts:
    """The sums over a dataset's chunks.

    Attributes:
        dataset: The dataset's name.
        archives: Chunks that have an archive.
        short: Chunks that have an archive with fewer images than planned.
        failed: Chunks that failed and have no archive.
        unsettled: Chunks that are pending or being processed.
        images: Images in the archives.
        bytes: The size of all archives.
        wanted: Images that all chunks together were planned to have.
        sources, licenses, formats: Images by the values in their rows; ``""`` if a row has none or it was not recorded.
        labels: Images by label and keyword.
        changes: Images by what their conversion changed.
        stored_as: The conversion of the images, in words; empty if they are stored as they are.
        missed, rejected: Candidates that were left out, by reason.
        suffixes: Archives by the extension of their names.
        former: Those of format version 1.
        columns: The columns of all archives, each with ``"string"`` or ``"integer"``.
        unrecorded: Archives whose columns were not recorded; they have at least those of the first version.
        described: The archives; empty if there are more than ``ARCHIVES``.
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
    sources: Frequencies = field(factory=Frequencies)
    licenses: Frequencies = field(factory=Frequencies)
    formats: Frequencies = field(factory=Frequencies)
    labels: Frequencies = field(factory=Frequencies)
    changes: Frequencies = field(factory=Frequencies)
    stored_as: str = ""
    missed: Frequencies = field(factory=Frequencies)
    rejected: Frequencies = field(factory=Frequencies)
    suffixes: Frequencies = field(factory=Frequencies)
    former: Frequencies = field(factory=Frequencies)
    columns: dict[str, str] = field(factory=dict[str, str])
    unrecorded: int = 0
    described: list[DescribedArchive] = field(factory=list[DescribedArchive])
    mixed_columns: bool = False

    def add(self, record: ChunkRecord) -> None:
        """Count a chunk. A chunk that failed after it was completed keeps its archive, which loaders find."""
        self.unsettled += record.status in (Status.PENDING, Status.PROCESSING)
        self.wanted += record.chunk.request.target
        progress = record.result.progress if record.result else record.progress
        for frequencies, reasons in ((self.missed, progress.missed), (self.rejected, progress.rejected)):
            for reason, count in reasons.items():
                frequencies.add(count, reason)
        if record.result:
            self._add_archive(record, record.result)
        else:
            self.failed += record.status is Status.FAILED

    def _add_archive(self, record: ChunkRecord, result: ChunkResult) -> None:
        request, images = record.chunk.request, result.progress.accepted
        self.archives += 1
        self.short += result.shortfall > 0
        self.stored_as = request.store_as.described() if request.store_as else self.stored_as
        for name, changed in result.tally.get("conversion", {}).items():
            self.changes.add(changed, name)
        self.images += images
        self.bytes += result.bytes
        for label, count in result.tally.get("label", {request.label or request.keyword: images}).items():
            self.labels.add(count, label, request.keyword)
        for frequencies, column in ((self.sources, "source"), (self.licenses, "license"), (self.formats, "format")):
            recorded = result.tally.get(column, {})
            for value, count in recorded.items():
                frequencies.add(count, value)
            frequencies.add(images - sum(recorded.values()), "")
        columns = result.columns or _FIRST_COLUMNS
        self.unrecorded += not result.columns
        self.mixed_columns |= self.archives > 1 and columns != self.columns
        for column, kind in columns.items():
            self.columns[column] = kind if self.columns.get(column, kind) == kind else "string"
        suffix = PurePosixPath(result.url).suffix
        self.suffixes.add(1, suffix)
        self.former.add(result.archive_version == 1, suffix)
        if self.archives > ARCHIVES:
            self.described.clear()
            return
        path = record.chunk.key.blob_key(suffix).removeprefix(f"{self.dataset}/")
        formats = tuple(sorted(result.tally.get("format", {})))
        version = result.archive_version
        self.described.append(
            DescribedArchive(record.chunk.id, path, result.sha256, result.bytes, formats, columns, version)
        )


def count(dataset: str, records: Iterable[ChunkRecord]) -> DatasetCounts:
    """Add up the dataset's chunks; the same records give the same counts."""
    counts = DatasetCounts(dataset)
    for record in records:
        counts.add(record)
    return counts
