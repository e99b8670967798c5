"""What is shown of large datasets: CPU, time and memory of outcomes, report and list at 10,000 and 100,000 images.

    .venv/bin/python benchmarks/bench_large.py --full

The archives repeat 250 small JPEG files; each image has its own row. For every five images, one more was dropped as a
near-duplicate, with a preview. Each command runs in a process of its own. Its memory must not grow with the dataset
once the report shows as many images as it may.
"""

import sys
import tempfile
from pathlib import Path

from figures import arguments
from process_cost import Cost, run

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from pictures import encoded, photo
from reports import DATASET, a_copy, a_row, stored_chunk, with_outcomes

from pixcore import ChunkRecord, ChunkResult, Claimed
from pixcore.model.rows import Row
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.upgrade import migrate

CHUNK = 500
FILES = 250
DROPPED = 5  # images for each one that was dropped
COMMAND = (sys.executable, "-c", "from pixcore_runners.cli import main; main()")
ROOTS = ("src", "src/adapters", "src/runners")
COMMANDS = {
    "outcomes, jsonl": ("outcomes", DATASET, "--format", "jsonl"),
    "outcomes, table": ("outcomes", DATASET),
    "report": ("report", DATASET, "--out", "page.html"),
    "list": ("list",),
}


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, images=(10_000, 100_000))
    files = [encoded(photo(seed, 160, 120), quality=80) for seed in range(FILES)]
    found: dict[int, dict[str, Cost]] = {}
    for images in (args.images // 10, args.images):
        with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as folder:
            make(Path(folder), files, images)
            found[images] = {name: measured(Path(folder), *words) for name, words in COMMANDS.items()}
    for name in COMMANDS:
        print(name)
        for images, costs in found.items():
            cost = costs[name]
            print(
                f"  {images:>7,} images {cost.cpu:7.1f} s of CPU {cost.seconds:7.1f} s {cost.peak() / 1e6:7.0f} MB,"
                f" {1000 * cost.cpu / images:5.2f} ms of CPU an image"
            )


def make(folder: Path, files: list[bytes], images: int) -> None:
    """Store a dataset of that many images, and record it as the commands find it by their defaults."""
    data = folder / "pixcore-data"
    data.mkdir()
    store = LocalBlobStore(data / "blobs")
    status = SqlStatusRepo(f"sqlite:///{data}/status.db")
    migrate(status.engine)
    for first in range(0, images, CHUNK):
        number = first // CHUNK + 1
        rows = [a_row(place, width=160, height=120) for place in range(first, min(first + CHUNK, images))]
        pictures = [(row, files[place % FILES]) for place, row in enumerate(rows, first)]
        stored = stored_chunk(folder / "spare", number, pictures, store, {})
        record(status, with_dropped(stored, store, rows, files, folder / "spare"))


def with_dropped(
    record: ChunkRecord, store: LocalBlobStore, rows: list[Row], files: list[bytes], spare: Path
) -> ChunkRecord:
    """Store the outcomes of a chunk's images and of those that were dropped for one of them."""
    accepted = [
        {"source": "urls", "query": "l", "position": place, "url": row.url, "outcome": "accepted", "sha256": row.sha256}
        for place, row in enumerate(rows)
    ]
    copies = [
        a_copy(record.chunk.id * CHUNK + place, row, position=CHUNK + place)
        for place, row in enumerate(rows[::DROPPED])
    ]
    previews = {str(copy["sha256"]): files[place % FILES] for place, copy in enumerate(copies)}
    return with_outcomes(record, store, [*accepted, *copies], previews, spare)


def record(status: SqlStatusRepo, completed: ChunkRecord) -> None:
    """Record a chunk as completed."""
    (chunk,) = status.ensure([completed.chunk.request])
    match status.claim(chunk.key, "bench", 60.0), completed.result:
        case Claimed(claim=claim), ChunkResult() as result:
            status.complete(claim, result)


def measured(folder: Path, *words: str) -> Cost:
    """Run a command of this checkout in the folder."""
    path = ":".join(str(Path(__file__).parents[1] / root) for root in ROOTS)
    return run([*COMMAND, *words, "--quiet"], folder, {"PYTHONPATH": path})


if __name__ == "__main__":
    main()
