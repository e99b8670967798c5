"""Stop workers, broker and database at random, fill the store, and add sick workers and a second deployment.

Afterwards no chunk may be lost, doubled, stuck or failed, and the sick workers must have healed by themselves.
"""

import json
import os
import random
import re
import statistics
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
import servers.postgres
import servers.redis
from attrs import define, field
from fault_proxy import Answer, FaultProxy
from fleet import RECOVERY, SETTLED, Fleet, Program, Records, fleet, intact, kill, state
from hostile import slow
from servers.addresses import S3, Postgres, Redis
from servers.fixtures import Own
from servers.server import Server
from small_disk import Resize, small_disk
from stores import real_store

from pixcore import ChunkKey, ChunkRecord, Fault, Status, StatusUnavailable
from pixcore_runners.queueing.runner import RUNNERS

pytestmark = pytest.mark.soak

CHUNKS = int(os.environ.get("CHAOS_CHUNKS", "200"))
SECONDS = float(
    os.environ.get("CHAOS_SECONDS", "180")
)  # of chaos; afterwards the chunks have PEACE seconds to complete
SEED = int(os.environ.get("CHAOS_SEED", "6"))
PEACE = 1200.0  # seconds without faults in which all chunks must complete
WORKERS = 3  # with one process each, so that a worker's last log line names the chunk that it runs
DENIED = 1  # the worker with refused credentials, which always rests because of a service
THEIRS = "dogs"  # the dataset of the second deployment
REFUSED = Answer(403, body=b"<Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>")


@define(eq=False)
class Chaos:
    """Causes faults in a fleet, and measures how soon its chunks recover."""

    crew: Fleet
    draw: random.Random
    broker: Server[Redis]
    database: Server[Postgres] | None
    kills: Counter[str] = field(factory=Counter[str])
    store: Path = field(kw_only=True)
    """The folder of the store, which is a disk of its own."""
    healed: dict[str, float] = field(factory=dict[str, float])
    """Seconds from the end of a sick worker's fault until it took chunks again."""
    refilled: list[float] = field(factory=list)
    """Seconds from the emptying of the store until no worker rested because of it."""
    freed: list[float] = field(factory=list)
    """Seconds from a kill until the chunk was pending or settled."""
    claimed: list[float] = field(factory=list)
    """Seconds from a kill until a worker claimed the chunk again, after all chunks before it in the queue."""
    _not_freed: dict[ChunkKey, tuple[int, float]] = field(factory=dict)
    _not_claimed: dict[ChunkKey, tuple[int, float]] = field(factory=dict)

    def cause_faults(self, seconds: float) -> None:
        """Cause a fault every few seconds, until the time is over or every chunk is settled."""
        until = time.monotonic() + seconds
        faults: list[tuple[str, Callable[[], None]]] = [
            ("kill -9 child", self.kill_child),
            ("kill -9 worker", self.kill_worker),
            ("TERM", self.terminate),
            ("TERM, kill -9", self.terminate_and_kill),
            ("broker", self.restart_broker),
            ("store full", self.fill_store),
        ]
        if self.database:
            faults.append(("database", self.restart_database))
        while time.monotonic() < until:
            name, cause = self.draw.choice(faults)
            cause()
            self.kills[name] += 1
            self.rest(self.draw.uniform(1, 6))
            if all(record.status in SETTLED for record in self.crew.records()):
                return

    def rest(self, seconds: float) -> None:
        """Wait while the supervisor restarts ended programs."""
        until = time.monotonic() + seconds
        self.watch(lambda _: time.monotonic() >= until, seconds + 60)

    def watch(self, true: Callable[[Records], bool], within: float) -> None:
        """Wait for a condition, and record which chunks of killed workers recover."""

        def look(chunks: Records) -> bool:
            self._record(chunks)
            return true(chunks)

        self.crew.until(look, within)

    def kill_child(self) -> None:
        """Kill a process that runs a chunk, but not its worker."""
        worker = self._worker()
        if children := worker.children:
            self._remember(worker)
            kill(self.draw.choice(children))

    def kill_worker(self) -> None:
        """Kill all processes of a worker."""
        worker = self._worker()
        self._remember(worker)
        worker.kill()

    def terminate(self) -> None:
        """Send SIGTERM to a worker."""
        self._worker().terminate()

    def terminate_and_kill(self) -> None:
        """Send SIGTERM to a worker, and kill it soon after."""
        worker = self._worker()
        self._remember(worker)
        worker.terminate()
        self.rest(self.draw.uniform(0, 0.5))
        worker.kill()

    def restart_broker(self) -> None:
        """Stop the broker for a few seconds."""
        self.broker.stop()
        self.rest(self.draw.uniform(0, 3))
        self.broker.start()

    def restart_database(self) -> None:
        """Stop the database for a moment."""
        assert self.database is not None
        self.database.stop()
        self.database.start()

    def fill_store(self) -> None:
        """Leave no room in the store until a worker rests; then empty it, and wait for the workers."""
        ballast = self.store / ".pixcore" / "ballast"
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
        with suppress(AssertionError):
            self.watch(lambda _: self.resting(Fault.SERVICE) > DENIED, 20)
        ballast.unlink()
        began = time.monotonic()
        with suppress(AssertionError):  # the longest wait of a worker that found the store full many times
            self.watch(lambda _: self.resting(Fault.SERVICE) <= DENIED, 150)
        self.refilled.append(time.monotonic() - began)

    def heal(self, name: str, worker: Program, cure: Callable[[], object]) -> None:
        """End the fault of a sick worker, and measure how soon it takes chunks again."""
        cure()
        began = time.monotonic()
        self.watch(lambda _: "takes chunks again" in worker.output, 180)
        self.healed[name] = time.monotonic() - began

    def resting(self, *faults: Fault) -> int:
        """Return how many workers rest because of these faults; of all if none is named."""
        with suppress(StatusUnavailable):
            return sum(each.fault in (faults or [*Fault]) for each in self.crew.status.overview().resting)
        return 0

    def _worker(self) -> Program:
        return self.draw.choice(self.crew.supervised[:WORKERS])

    def _remember(self, worker: Program) -> None:
        found = re.findall(r"\[chunk=cats/(\d+)\]", worker.output)
        if found:
            record = self.crew.status.get(ChunkKey("cats", int(found[-1])))
            if record.status is Status.PROCESSING:
                killed = record.attempt, time.monotonic()
                self._not_freed[record.chunk.key] = self._not_claimed[record.chunk.key] = killed

    def _record(self, chunks: Records) -> None:
        now = time.monotonic()
        for record in chunks:
            key, over = record.chunk.key, record.status in SETTLED
            for waiting, seconds, come in (
                (self._not_freed, self.freed, record.status is not Status.PROCESSING),
                (self._not_claimed, self.claimed, False),
            ):
                attempt, since = waiting.get(key, (record.attempt, 0.0))
                if key in waiting and (come or over or record.attempt > attempt):
                    del waiting[key]
                    seconds.append(now - since)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, own: Own) -> Server[Postgres] | None:
    """Return a PostgreSQL for this test alone, or None for SQLite."""
    return own(servers.postgres.prepare) if request.param == "postgres" else None


@define
class Sick:
    """Workers that can run no chunk, and what cures them."""

    full: Program
    denied: Program
    blind: Program
    resize: Resize
    proxy: FaultProxy
    library: Path


@contextmanager
def sick_workers(crew: Fleet, folder: Path, moto: S3) -> Iterator[Sick]:
    """Start a worker with a full disk, one with refused credentials and one with a broken decoder."""
    library = folder / "broken" / "simplejpeg.py"
    library.parent.mkdir()
    library.write_text("raise ImportError('libjpeg.so.8: cannot open shared object file')\n")
    refused = real_store(moto, f"cats-{uuid4().hex[:12]}")
    with FaultProxy(moto.port) as proxy, small_disk(folder / "disk", 7 * 4096) as resize:
        proxy.play(*[REFUSED] * 100_000)
        url = refused.url.replace(str(moto.port), str(proxy.port))
        yield Sick(
            crew.worker(PIXCORE_WORK=str(folder / "disk")),
            crew.worker(PIXCORE_STORE=url, **refused.environ),
            crew.worker(PYTHONPATH=f"{library.parent}:{os.environ.get('PYTHONPATH', '')}"),
            resize,
            proxy,
            library,
        )


def second_deployment(crew: Fleet, folder: Path) -> None:
    """Start a deployment with the same database and broker, and with a queue and a store of its own."""
    environ = {"PIXCORE_QUEUE": "theirs", "PIXCORE_STORE": f"file://{folder}/theirs"}
    words = crew.listed(CHUNKS // 10, THEIRS)
    assert crew.start("submit", *words, "--runner", crew.runner, environ=environ).code(120) == 0
    crew.supervised += [crew.worker(**environ), crew.start("reap", "--every", 1, environ=environ)]


@contextmanager
def supervised_fleet(
    runner: str, folder: Path, broker: Server[Redis], database: Server[Postgres] | None
) -> Iterator[Fleet]:
    """Yield a fleet with supervised workers and a reaper, and with pictures so slow that faults hit running chunks."""
    settings: dict[str, object] = {"broker": broker.address.url(), "max_failures": 50}
    if database:
        at = database.address
        settings |= {
            "status": f"postgresql+psycopg://{at.user}@127.0.0.1:{at.port}/postgres",
            "PGPASSWORD": at.password,
        }
    with fleet(runner, folder, **settings) as crew:
        crew.submit(CHUNKS)
        second_deployment(crew, folder)
        for path, answer in crew.site.routes.items():
            crew.site.routes[path] = slow(1.0, answer)
        crew.supervised[:0] = [*(crew.worker() for _ in range(WORKERS)), crew.reaper()]
        yield crew


@pytest.mark.parametrize("runner", list(RUNNERS))
def test_no_chunk_is_lost_doubled_or_stuck(
    *,
    runner: str,
    database: Server[Postgres] | None,
    own: Own,
    moto: S3,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every chunk must complete once, and those of killed workers recover within the lease and half a minute."""
    broker = own(servers.redis.prepare)
    with (
        small_disk(tmp_path / "blobs", 256 << 20),
        supervised_fleet(runner, tmp_path, broker, database) as crew,
        sick_workers(crew, tmp_path, moto) as sick,
    ):
        chaos = Chaos(crew, random.Random(SEED), broker, database, store=tmp_path / "blobs")  # noqa: S311 - no secret
        chaos.watch(lambda _: chaos.resting() >= 3, 180)
        chaos.cause_faults(SECONDS)
        chaos.heal("full disk", sick.full, lambda: sick.resize(64 << 20))
        chaos.heal("broken decoder", sick.blind, sick.library.unlink)
        with suppress(AssertionError):  # the table lists chunks that are not settled by then as lost
            chaos.watch(_ended, PEACE)
        records = crew.records()
        counts = Counter(record.status for record in records)
        urls = Counter(url for record in records for url in pictures(crew, record))
        blobs = sum(1 for _ in crew.store.list("cats/data"))
        found = {
            "seed": SEED,
            "kills": ", ".join(f"{count} x {kind}" for kind, count in sorted(chaos.kills.items())),
            "chunks": len(records),
            "completed": counts[Status.COMPLETED],
            "failed": [state(record) for record in records if record.status is Status.FAILED],
            "lost": [state(record) for record in records if record.status not in SETTLED],
            "doubled": sum(count - 1 for count in urls.values()) + blobs - counts[Status.COMPLETED],
            "stuck": sum(record.status is Status.PROCESSING for record in records),
            "free again after": _spread(chaos.freed),
            "claimed again after": _spread(chaos.claimed),
            "store emptied": _spread(chaos.refilled),
            **{f"{name} healed": f"{seconds:.1f} s" for name, seconds in chaos.healed.items()},
            "second deployment": dict(Counter(str(each.status) for each in crew.records(THEIRS))),
        }
        with capsys.disabled():
            table = "".join(f"  {name:20}{value}\n" for name, value in found.items())
            print(f"\n{runner} on {'postgres' if database else 'sqlite'}\n{table}")  # noqa: T201 - the result of the soak test
        assert {name: found[name] for name in ("chunks", "completed", "failed", "lost", "doubled", "stuck")} == {
            "chunks": CHUNKS,
            "completed": CHUNKS,
            "failed": [],
            "lost": [],
            "doubled": 0,
            "stuck": 0,
        }
        assert len(urls) == CHUNKS * crew.size
        assert {each.status for each in crew.until_settled(PEACE, THEIRS)} == {Status.COMPLETED}
        assert {each.queue.split("@")[0] for each in crew.records(THEIRS)} == {f"{runner}:theirs"}
        assert max(chaos.freed, default=0) <= RECOVERY
        crew.end()
        for key in intact(crew, "cats"):
            assert crew.store.head(key)


def pictures(crew: Fleet, record: ChunkRecord) -> list[str]:
    """Return the URLs of the images in a chunk's archive."""
    if record.status is not Status.COMPLETED:
        return []
    with crew.store.open(record.chunk.key.blob_key(".zip")) as blob, zipfile.ZipFile(BytesIO(blob.read())) as archive:
        return [json.loads(line)["url"] for line in archive.read("rows.jsonl").splitlines()]


def _ended(chunks: Records) -> bool:
    return all(record.status in SETTLED for record in chunks)


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "it did not happen"
    return f"median {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s ({len(seconds)} chunks)"
