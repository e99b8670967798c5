"""Whether the last image costs as little as the first: time, CPU and memory of a long run, and claims in a large plan.

    .venv/bin/python benchmarks/bench_flat.py --full

The run has small painted JPEGs, each with a number of its own in it, from Caddy on loopback, one chunk after the other.
Compared are a tenth of it that begins after 1,000 images, and its last tenth: as the status database says when chunks
were claimed and completed, with the CPU and the memory of all processes of the run. A claim is of one of a dataset's
chunks in SQLite, by its id.
"""

import os
import sqlite3
import statistics
import tempfile
import time
from itertools import count
from pathlib import Path

from attrs import frozen
from figures import asked, goal
from jpegs import SMALL, numbered, originals
from sites import caddy
from sqlalchemy import Engine, func, insert, select, update
from whole_job import CHUNK, Job, List, pixcore

from pixcore import ChunkKey, ChunkRequest, Claimed, Slice
from pixcore_adapters.status_repo.schema import chunks, registry
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.upgrade import migrate

WARM = 1000  # images that a run begins with
CLAIMS = 200


@frozen
class Part:
    """What an image costs in a part of a run."""

    milliseconds: float
    cpu: float
    memory: float


def main() -> None:
    """Measure and print."""
    given = asked(__doc__, count=(20_000, 100_000), chunks=(100_000, 1_000_000))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = numbered(originals(None, CHUNK, SMALL), scratch / "www", given.count)
        with caddy(scratch / "www", scratch) as site:
            listed = List(scratch / "list.txt", site.bundle)
            listed.path.write_text("".join(f"{site.plain}/{name}\n" for name in names))
            (scratch / "run").mkdir()
            job = pixcore(scratch / "run", listed)
        early, late = parts(job, scratch / "run" / "pixcore-data" / "status.db")
        print(f"{given.count:,} small JPEGs by HTTP, {job.steady:.0f} images/s, {os.cpu_count()} cores")
        print(f"{'':34} {'ms':>9} {'of CPU':>9} {'peak MB':>9}")
        for name, part in ((f"after {WARM:,} images", early), ("at the end", late)):
            print(f"{name:34} {part.milliseconds:9.2f} {part.cpu:9.2f} {part.memory:9.1f}")
        goal("time an image, at the end of that early", late.milliseconds / early.milliseconds, most=1.1)
        goal("CPU an image", late.cpu / early.cpu, most=1.1)
        goal("memory", late.memory / early.memory, most=1.1)
        few, many = (claim(scratch / f"{size}.db", size) for size in (1000, given.chunks))
    print(f"\na claim among 1,000 chunks {1000 * few:.2f} ms, among {given.chunks:,} {1000 * many:.2f} ms")
    goal("times as long", many / few, most=2)


def parts(job: Job, status: Path) -> tuple[Part, Part]:
    """The early and the late tenth of a run."""
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
    """Seconds that one claim takes in a dataset of so many chunks."""
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
    """Copy the chunks until there are so many, which is quicker than planning them."""
    with engine.begin() as connection:
        for times in count():
            there = 1000 << times
            if there >= size:
                break
            moved = [column + there if column.name in {"id", "chunk_index"} else column for column in chunks.c]
            enough = chunks.c.chunk_index < size - there
            connection.execute(insert(chunks).from_select(list(chunks.c.keys()), select(*moved).where(enough)))
        connection.execute(update(registry).values(next_chunk_id=select(func.max(chunks.c.id) + 1).scalar_subquery()))


if __name__ == "__main__":
    main()
