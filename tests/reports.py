"""Create datasets for the report without a pipeline: archives in a store and their records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from pictures import encoded, photo

from pixcore import Chunk, ChunkRecord, ChunkRequest, ChunkResult, Slice, Status
from pixcore.model.chunks import Attempt, Phase, Progress, Reject
from pixcore.model.rows import COLUMNS, NUMBERS, ROW_VERSION, Row
from pixcore.ports import BlobStore
from pixcore.stored.archives import StoredArchives
from pixcore.stored.near_groups import NearGroup
from pixcore_adapters.archiver.zip import ZipArchiver
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.outputs.report.build import IMAGES, Report, gather

DATASET = "d"


def a_row(number: int, **changes: object) -> Row:
    """Return the row of an image. Values that are not given depend only on the number."""
    values: dict[str, Any] = {column: 0 if column in NUMBERS else "" for column in COLUMNS}
    plain = {
        "file_name": f"images/{number:06d}.jpg",
        "label": "cat",
        "keyword": "cat",
        "source": "urls",
        "url": f"https://example.org/{number}.jpg",
        "title": f"picture {number}",
        "license": "cc0",
        "sha256": f"{number:064x}",
        "width": 64,
        "height": 48,
        "format": "JPEG",
        "bytes": 1000,
        "fetched_at": "2026-01-01T00:00:00Z",
        "row_version": ROW_VERSION,
    }
    return Row(**(values | plain | changes))


@frozen
class StoredDataset:
    """A dataset whose archives are in a store."""

    records: Sequence[ChunkRecord]
    archives: StoredArchives

    def report(
        self,
        *,
        groups: Sequence[NearGroup] = (),
        attempts: Sequence[Attempt] = (),
        most: int = IMAGES,
        dataset: str = DATASET,
    ) -> Report:
        """Gather the report of the dataset."""
        return gather(
            dataset, self.records, self.archives, groups=groups, attempts=attempts, done=lambda: None, most=most
        )


def stored_dataset(
    work: Path,
    chunks: Sequence[Sequence[tuple[Row, bytes]]],
    store: BlobStore | None = None,
    **changes: Any,  # noqa: ANN401 - of the records
) -> StoredDataset:
    """Pack the images of each chunk and store them; ``changes`` are as for ``a_record``."""
    kept = store or MemoryBlobStore()
    records = [_stored(work, number, images, kept, changes) for number, images in enumerate(chunks, 1)]
    return StoredDataset(records, StoredArchives(kept, [ZipArchiver()], work))


def _stored(
    work: Path, number: int, images: Sequence[tuple[Row, bytes]], store: BlobStore, changes: Mapping[str, Any]
) -> ChunkRecord:
    packed = work / "packed"
    packed.mkdir(parents=True, exist_ok=True)
    sources = []
    for place, (row, data) in enumerate(images):
        (packed / str(place)).write_bytes(data)
        sources.append((row, packed / str(place)))
    archive = ZipArchiver().pack(sources, packed / "packed.zip")
    record = a_record(number, accepted=len(images), sha256=archive.sha256, size=archive.size, **changes)
    store.put(
        record.chunk.key.blob_key(".zip"),
        archive.path,
        sha256=archive.sha256,
        size=archive.size,
        content_type="application/zip",
        metadata={},
    )
    return record


def a_record(
    number: int,
    *,
    accepted: int = 0,
    sha256: str = "",
    size: int = 0,
    status: Status = Status.COMPLETED,
    keyword: str = "cat",
    rejected: Mapping[str, int] | None = None,
    missed: Mapping[str, int] | None = None,
    rejects: Sequence[Reject] = (),
    error: str = "",
    attempt: int = 1,
    target: int | None = None,
) -> ChunkRecord:
    """Return a chunk's record; a completed one has a result."""
    wanted = target or max(accepted, 1)
    request = ChunkRequest(number - 1, keyword, wanted, (Slice("urls", "list.csv", 0, 1000),), dataset=DATASET)
    progress = Progress(accepted, rejected or {}, missed or {})
    result = ChunkResult(
        url=f"memory://store/{DATASET}/data/chunk_{number}.zip",
        sha256=sha256,
        bytes=size,
        target=wanted,
        attempt=attempt,
        progress=progress,
        seconds={"download": 3.2, "upload": 0.4},
        rejects=tuple(rejects),
    )
    return ChunkRecord(
        chunk=Chunk(number, request),
        status=status,
        phase=Phase.COMPLETE if status is Status.COMPLETED else Phase.ERROR,
        attempt=attempt,
        failures=0,
        owner="",
        lease_left=0.0,
        running=0.0,
        due_in=0.0,
        cancel_requested=False,
        progress=progress,
        result=result if status is Status.COMPLETED else None,
        error=error,
    )


def jpegs(count: int) -> list[bytes]:
    """Return so many different small JPEGs."""
    return [encoded(photo(number, 64, 48), quality=60) for number in range(count)]
