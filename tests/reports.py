"""Create datasets for the report without a pipeline: archives in a store and their records."""

import gzip
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from pictures import encoded, photo

from pixcore import Chunk, ChunkRecord, ChunkRequest, ChunkResult, Slice, Status
from pixcore.chunk.publish import archive_at
from pixcore.model.archives import StoredBlob
from pixcore.model.chunks import Attempt, Phase, Progress, Reject
from pixcore.model.outcomes import OUTCOMES, PREVIEWS
from pixcore.model.rows import COLUMNS, NUMBERS, ROW_VERSION, Row
from pixcore.ports import BlobStore, NearGroup
from pixcore.stored.archives import StoredArchives
from pixcore_adapters.archiver.zip import ZipArchiver
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.outputs.report.build import IMAGES, Report, gather

DATASET = "d"

# Texts that run in a page which does not escape them.
PROBES = (
    "<img src=x onerror=hacked=1>",
    "<script>hacked=1</script>",
    "</script><script>hacked=1</script>",
    "</style><script>hacked=1</script>",
    "--><svg onload=hacked=1>",
    "\"><iframe srcdoc='<script>parent.hacked=1</script>'>",
    "' autofocus onfocus=hacked=1 x='",
    "javascript:hacked=1",
    "data:text/html,<script>hacked=1</script>",
    'https://x.example/"onmouseover=hacked=1 x="',
    "{{ 7*7 }}{% raw %}${hacked=1}",
    "&lt;b&gt;&amp;",
    "\u202egnp.exe \u2066\x00\x07\u2028 👩\u200d🚀 " + "x" * 10_000,
)

MEASURED = 100  # the dogs are from an archive without measures


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
    records = [stored_chunk(work, number, images, kept, changes) for number, images in enumerate(chunks, 1)]
    return StoredDataset(records, StoredArchives(kept, [ZipArchiver()], work))


def stored_chunk(
    work: Path, number: int, images: Sequence[tuple[Row, bytes]], store: BlobStore, changes: Mapping[str, Any]
) -> ChunkRecord:
    """Pack the images of a chunk and store them; return its record. ``changes`` are as for ``a_record``."""
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


def with_outcomes(
    record: ChunkRecord,
    store: BlobStore,
    lines: Sequence[Mapping[str, object]],
    pictures: Mapping[str, bytes],
    spare: Path,
) -> ChunkRecord:
    """Store these outcomes and previews of a chunk, and record them."""
    assert record.result
    outcomes, previews = spare / "outcomes", spare / "previews"
    text = b"".join(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n" for line in lines)
    outcomes.write_bytes(gzip.compress(text))
    with zipfile.ZipFile(previews, "w") as packed:
        for sha256, picture in pictures.items():
            packed.writestr(f"{sha256}.webp", picture)
    recorded = []
    for path, suffix in ((outcomes, OUTCOMES), (previews, PREVIEWS)):
        made = archive_at(path, 0)
        key = record.chunk.key.outcomes_key(suffix)
        store.put(key, path, sha256=made.sha256, size=made.size, content_type="x/y", metadata={})
        recorded.append(StoredBlob(made.size, made.sha256))
    return evolve(record, result=evolve(record.result, outcomes=recorded[0], previews=recorded[1]))


def a_copy(number: int, twin: Row, **changes: object) -> dict[str, object]:
    """Return the outcome of an image that was dropped for the image of a row."""
    line = {"source": "urls", "query": "l", "position": number, "url": f"https://example.org/copy-{number}.jpg"}
    line |= {"outcome": "near_duplicate", "detail": f"same picture, cropped by {number} %", "bytes": 900}
    line |= {"sha256": f"{number + 10**6:064x}", "width": 32, "height": 24, "twin": twin.sha256, "twin_url": twin.url}
    return line | changes


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


def measures(number: int) -> dict[str, object]:
    """Return the measures and flags of an image of the first chunk: the 10th is the softest, the 20th the sharpest."""
    if number >= MEASURED:
        return {}
    flags = ",".join(flag for flag, every in (("dark", 5), ("blurry", 10)) if number % every == 0)
    sharpness = {10: 120, 20: 990}.get(number, 500 + number)
    return {"sharpness": sharpness, "aspect": 1333, "colourfulness": 415, "frames": 1, "mode": "RGB", "flags": flags}
