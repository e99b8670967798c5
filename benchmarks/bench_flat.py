"""Cost by size: time, CPU and memory of a long run, early and late, and the time of a claim in a large dataset.

    .venv/bin/python benchmarks/bench_flat.py --full

The run fetches small painted JPEGs, which all differ, from Caddy on loopback, one chunk after the other. It compares a
tenth of the run that begins after 1,000 images with the last tenth. The times are from the status database; CPU and
memory are of all processes of the run. A claim takes one chunk of a dataset in SQLite, by its id.
"""

import os
import sqlite3
import statistics
import tempfile
import time
from itertools import count
from pathlib import Path

from attrs import frozen
from figures import arguments, print_figure
from jpegs import SMALL, originals, write_copies
from sites import caddy
from sqlalchemy import Engine, func, insert, select, update
from whole_job import CHUNK, Job, UrlList, pixcore

from pixcore import ChunkKey, ChunkRequest, Claimed, Slice
from pixcore_adapters.status_repo.schema import chunks, registry
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.upgrade import migrate

WARM = 1000  # images before the early part
CLAIMS = 200


@frozen
class Part:
    """The cost of an image in one part of a run."""

    milliseconds: float
    cpu: float
    memory: float


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, count=(20_000, 100_000), chunks=(100_000, 1_000_000))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = write_copies(originals(None, CHUNK, SMALL), scratch / "www", args.count)
        with caddy(scratch / "www", scratch) as site:
            url_list = UrlList(scratch / "list.txt", site.bundle)
            url_list.path.write_text("".join(f"{site.plain}/{name}\n" for name in names))
            (scratch / "run").mkdir()
            job = pixcore(scratch / "run", url_list)
        early, late = parts(job, scratch / "run" / "pixcore-data" / "status.db")
        print(f"{args.count:,} small JPEGs by HTTP, {job.steady:.0f} images/s, {os.cpu_count()} cores")
        print(f"{'':34} {'ms':>9} {'of CPU':>9} {'peak MB':>9}")
        for name, part in ((f"after {WARM:,} images", early), ("at the end", late)):
            print(f"{name:34} {part.milliseconds:9.2f} {part.cpu:9.2f} {part.memory:9.1f}")
        print_figure("time an image, late over early", late.milliseconds / early.milliseconds, most=1.1)
        print_figure("CPU an image, late over early", late.cpu / early.cpu, most=1.1)
        print_figure("memory, late over early", late.memory / early.memory, most=1.1)
        few, many = (claim(scratch / f"{size}.db", size) for size in (1000, args.chunks))
    print(f"\na claim among 1,000 chunks {1000 * few:.2f} ms, among {args.chunks:,} {1000 * many:.2f} ms")
    print_figure("ratio of the claims", many / few, most=2)


def parts(job: Job, status: Path) -> tuple[Part, Part]:
    """Return the early and the late tenth of a run."""
    with sqlite3.connect(status) as database:
        ends = [end for (end,) in database.execute("SELECT ended_at FROM pixcore_attempts ORDER BY ended_at")]
    tenth, warm = max(1, len(ends) // 10), WARM // CHUNK

    def part(first: int) -> Part:
        began, ended = ends[first - 1], ends[first - 1 + tenth]
        images = tenth * CHUNK
        return Part(
            1000 * (ended - began) / images,
            1000 * job.cost.cpu_between(began, ended) / images,
            job.cost.peak(began, ended) / 1e6,
        )

    return part(warm), part(len(ends) - tenth)


def claim(path: Path, size: int) -> float:
    """Return the median seconds of a claim in a dataset of ``size`` chunks."""
    status = SqlStatusRepo(f"sqlite:///{path}")
    migrate(status.engine)
    requests = [
        ChunkRequest(index, "keyword", CHUNK, (Slice("bench", "q", index * CHUNK, (index + 1) * CHUNK),), "bench")
        for index in range(1000)
    ]
    first = min(chunk.id for chunk in status.ensure(requests))
    multiply(status.engine, size)
    seconds = []
    for number in range(CLAIMS):
        key = ChunkKey("bench", first + number * (size // CLAIMS))
        began = time.perf_counter()
        answer = status.claim(key, "bench", 60.0)
        seconds.append(time.perf_counter() - began)
        if not isinstance(answer, Claimed):
            raise SystemExit(f"{key} was not claimed: {answer}")
    status.engine.dispose()
    return statistics.median(seconds)


def multiply(engine: Engine, size: int) -> None:
    """Copy the chunks until there are ``size`` of them, which is faster than planning them."""
    with engine.begin() as connection:
        for times in count():
            existing = 1000 << times
            if existing >= size:
                break
            moved = [column + existing if column.name in {"id", "chunk_index"} else column for column in chunks.c]
            enough = chunks.c.chunk_index < size - existing
            connection.execute(insert(chunks).from_select(list(chunks.c.keys()), select(*moved).where(enough)))
        connection.execute(update(registry).values(next_chunk_id=select(func.max(chunks.c.id) + 1).scalar_subquery()))


if __name__ == "__main__":
    main()
