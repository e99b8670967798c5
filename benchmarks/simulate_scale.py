"""The status database at the internet's scale: what PostgreSQL pays for a chunk among a million.

    .venv/bin/python benchmarks/simulate_scale.py --chunks 1000000    # minutes, and 10 GB of disk

``dev.py bench`` does not run it. It starts the PostgreSQL of the tests on this machine (no fsync, 32 MB of buffers) and
fills it with synthetic rows. Then processes take chunks from claim to completion, as workers do, with all images held
against duplicates, and every command that looks at the whole of it runs once. CPU of the server is that of all of its
processes, CPU of the client that of the process that calls. It stops after ``--minutes``, and says so.
"""

import multiprocessing
import os
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen
from bench_growth import server
from figures import arguments
from growth_operations import DONE, QUEUE, WAITING, Queued
from growth_rows import CHUNK, claimed, fill, result
from process_cost import family
from psycopg import Connection as Session
from sqlalchemy import text

from pixcore import Candidate, CandidateKey, ChunkKey, Phase, Progress
from pixcore.model.chunks import Claim
from pixcore.model.images import Accepted, Download
from pixcore.model.quality import Fingerprint
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_datasets import SqlDatasets
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
from pixcore_adapters.status_repo.upgrade import migrate
from pixcore_runners.observing import card_refresh
from pixcore_runners.queueing.dispatch import reap

GROUP = 32  # images that are held at a time
SECONDS = 150.0  # that a chunk takes in the calculation: 500 images at 3.3 a second, from slow sites
RENEWALS = 7  # of its lease in that time
EXPIRED = 1_000


@frozen
class Database:
    """The repository, the process of the server, and when to stop."""

    status: SqlStatusRepo
    server: int
    until: float

    def cpu(self) -> float:
        """Return the CPU seconds of all processes of the server so far."""
        return sum(seconds for _, seconds in family(self.server))

    def size(self) -> int:
        """Return the bytes of the database on disk."""
        with self.status.engine.connect() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def measured(self, name: str, work: Callable[[], object]) -> None:
        """Run something once, and print what it costs; stop if the time is up."""
        self.stop_late()
        began, client, before = time.monotonic(), time.process_time(), self.cpu()
        work()
        elapsed, cpu, ours = time.monotonic() - began, self.cpu() - before, time.process_time() - client
        print(f"{name:52}{elapsed:10.3f}{cpu:10.2f}{ours:10.2f}", flush=True)

    def stop_late(self) -> None:
        """End the program if its time is up."""
        if time.monotonic() > self.until:
            raise SystemExit("the time is up: what would follow was not measured; use fewer --chunks or more --minutes")


def main() -> None:
    """Fill, measure and print."""
    args = arguments(
        __doc__, chunks=(100_000, 1_000_000), minutes=(10, 30), sample=(500, 2_000), processes=(2, os.cpu_count() or 2)
    )
    with tempfile.TemporaryDirectory(prefix="pixcore-scale-") as folder, server(Path(folder)) as created:
        url = created(0)
        status = SqlStatusRepo(url)
        migrate(status.engine)
        database = Database(status, postmaster(url), time.monotonic() + 60 * args.minutes)
        print(f"{args.chunks:,} chunks of {CHUNK} images pending, as many completed; {os.cpu_count()} cores")
        print(f"{'':52}{'s':>10}{'s of CPU: server':>10}{'client':>10}")
        for name, completed in ((WAITING, False), (DONE, True)):
            before = database.size()
            database.measured(f"fill: {name}", lambda: fill(status, name, args.chunks, QUEUE, completed=completed))  # noqa: B023
            print(f"{'':4}bytes a chunk: {(database.size() - before) / args.chunks:,.0f}")
        run_chunks(database, url, args.sample, args.processes, args.chunks)
        looks(database)


def looks(database: Database) -> None:
    """Measure what looks at the whole database."""
    status = database.status
    for key in keys_of(status, EXPIRED, 0):
        status.claim(key, "dead", 0.0)
    queue = Queued(depth=1)
    database.measured(f"reap: {EXPIRED:,} expired leases", lambda: reap(status, queue, QUEUE))
    database.measured("reap: nothing expired, all chunks queued", lambda: reap(status, queue, QUEUE))
    database.measured("status: one dataset", lambda: status.overview(WAITING))
    database.measured("metrics: all datasets", lambda: (status.overview(), status.summary()))
    database.measured("list", lambda: deque(SqlDatasets(status.engine).summaries(), maxlen=0))
    database.measured("cancel", lambda: status.cancel(WAITING))
    store = MemoryBlobStore()
    database.measured("card, the first", lambda: card_refresh.publish(DONE, status, store))
    database.measured("card, one chunk later", lambda: card_refresh.publish(DONE, status, store))
    database.measured("export: read all records", lambda: deque(status.find(DONE), maxlen=0))


def run_chunks(database: Database, url: str, sample: int, processes: int, total: int) -> None:
    """Run some chunks to their ends, in several processes; print what one of them costs the server."""
    keys = keys_of(database.status, sample, total // 2)
    random.Random(0).shuffle(keys)  # noqa: S311 - no secret
    database.status.engine.dispose()  # the forks must not share a connection
    for name, held in (("without images", 0), (f"with {CHUNK} images", CHUNK)):
        database.stop_late()
        mine, keys = keys[: sample // 2], keys[sample // 2 :]
        size, cpu, began = database.size(), database.cpu(), time.monotonic()
        database.status.engine.dispose()
        context = multiprocessing.get_context("fork")
        workers = [
            context.Process(target=work, args=(url, mine[number::processes], held)) for number in range(processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            if worker.exitcode:
                raise SystemExit("a worker failed")
        elapsed, spent = time.monotonic() - began, (database.cpu() - cpu) / len(mine)
        print(f"a chunk from claim to completion, {name}: {1000 * spent:.1f} ms of the server's CPU,")
        print(f"{'':4}{(database.size() - size) / len(mine):,.0f} bytes, {len(mine) / elapsed:.0f} a second here")
        print(f"{'':4}workers that keep one core of a server busy: {SECONDS / spent:,.0f}, at {SECONDS:.0f} s a chunk")


def work(url: str, keys: list[ChunkKey], held: int) -> None:
    """Do what a worker does with the database, for each chunk."""
    status = SqlStatusRepo(url)
    seen = SqlSeenImages(status.engine)
    for key in keys:
        claim = claimed(status, key)
        status.advance(claim, Phase.DOWNLOAD, Progress())
        for first in range(0, held, GROUP):
            seen.hold(claim, [image(claim, number) for number in range(first, min(first + GROUP, held))])
        for number in range(RENEWALS):
            status.renew(claim, 60.0, Progress(number))
        for phase in (Phase.VALIDATE, Phase.COMPRESS, Phase.UPLOAD):
            status.advance(claim, phase, Progress(CHUNK))
        status.complete(claim, result(claim.attempt, key.dataset))


def image(claim: Claim, number: int) -> Accepted:
    """Make up an image, which no other chunk has."""
    noise = random.Random(f"{claim.chunk} {number}")  # noqa: S311 - no secret
    candidate = Candidate(
        CandidateKey("openverse", "red panda", number),
        f"https://images.host-{number % 50}.example/photos/{noise.getrandbits(96):024x}/original.jpg",
    )
    download = Download(candidate, Path("image"), 100_000, datetime(2026, 1, 1, tzinfo=UTC))
    prints = Fingerprint(noise.getrandbits(64), noise.getrandbits(64), "pixcore 2, pillow 12", flat=False)
    return Accepted(download, f"{noise.getrandbits(256):064x}", 800, 600, "JPEG", prints)


def keys_of(status: SqlStatusRepo, count: int, start: int) -> list[ChunkKey]:
    """Return the keys of pending chunks."""
    first = status.numbered(WAITING, 0)
    return [ChunkKey(WAITING, (first.chunk.id if first else 0) + start + number) for number in range(count)]


def postmaster(url: str) -> int:
    """Return the first process of the server."""
    with Session[tuple[int]].connect(url.replace("+psycopg", "")) as session:
        status = Path(f"/proc/{session.info.backend_pid}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


if __name__ == "__main__":
    main()
