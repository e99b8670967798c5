"""Metrics: sums that are right with many processes, whatever becomes of them, and a bounded number of files."""

import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from urllib.request import ProxyHandler, build_opener
from uuid import uuid4

import pytest
from command import at_home, ended, fill, pixcore, start
from fleet import await_true, fleet
from memory_assembly import MemoryAssembly, picture
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from servers.addresses import Redis

from pixcore import ChunkKey, ChunkRequest, InvalidRequest, Slice, StatusUnavailable, StoreUnavailable
from pixcore.chunk.events import (
    CandidateMissed,
    ChunkClaimed,
    ChunkCompleted,
    ChunkFailed,
    ChunkInterrupted,
    ChunkLost,
    Event,
    ImageAccepted,
    ImageRejected,
)
from pixcore.model.chunks import ChunkResult, Progress, Status
from pixcore.model.images import Candidate, CandidateKey, Miss
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.observing.metrics import BUCKETS, Metrics, StatusGauges, serve
from pixcore_runners.queueing.delivery import Deliveries
from pixcore_runners.settings import load_here

KEY = ChunkKey("d", 7)

PRELUDE = """
import os, sys
from pathlib import Path
from pixcore import ChunkKey
from pixcore.chunk.events import StepRetried
from pixcore.model.chunks import Phase
from pixcore_runners.observing.metrics import Metrics
folder = Path(sys.argv[1])
retried = StepRetried(ChunkKey("d", 1), 1, Phase.UPLOAD, 1, 0.0, "")
"""

# Counts argv[2] retries in the folder argv[1], says so, and lives until its standard input ends.
COUNTING = """
count = Metrics(folder)
for _ in range(int(sys.argv[2])):
    count(retried)
print("counted", flush=True)
sys.stdin.read()
"""

# One process after another, each for one chunk.
FORKING = """
for _ in range(20):
    if os.fork() == 0:
        Metrics(folder)(retried)
        os._exit(0)
    os.wait()
"""

# Forks while another of its threads is counting.
FORKED = """
count = Metrics(folder)
count(retried)
count._lock.acquire()
if os.fork() == 0:
    for _ in range(100):
        count(retried)
    os._exit(0)
os.wait()
count._lock.release()
count(retried)
"""

# Ends before a process that it has forked, which lives until standard input ends.
OUTLIVED = """
count = Metrics(folder)
count(retried)
ours, theirs = os.pipe()
if os.fork() == 0:
    count(retried)
    print("counted", flush=True)
    os.write(theirs, b"1")
    sys.stdin.read()
    os._exit(0)
os.read(ours, 1)
os._exit(0)
"""
# Has metrics of its own.
AROUND = """
from prometheus_client import Counter, generate_latest
theirs = Counter("theirs", "x")
Metrics(folder)(retried)
theirs.inc()
print(generate_latest().decode())
"""

RETRIES = ("pixcore_retries_total", "phase=upload")

Samples = Mapping[tuple[str, ...], float]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where metrics are counted."""
    return tmp_path / "metrics"


@pytest.fixture
def count(folder: Path) -> Iterator[Metrics]:
    """What counts there."""
    with closing(Metrics(folder)) as metrics:
        yield metrics


def sums(folder: Path) -> Samples:
    """What a scrape of the folder finds, by name and labels; without the buckets."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_bucket")
    }


def program(text: str, folder: Path, *words: object) -> "subprocess.Popen[str]":
    """A process that runs this."""
    command = [sys.executable, "-c", PRELUDE + text, str(folder), *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def counting(folder: Path, number: int) -> "subprocess.Popen[str]":
    """A process that counts."""
    return program(COUNTING, folder, number)


def counted(process: "subprocess.Popen[str]") -> None:
    """Wait until it has."""
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"


def result(**seconds: float) -> ChunkResult:
    """Of a chunk that took so long in its phases."""
    return ChunkResult("file:///c.zip", "00", 1000, 3, 1, Progress(3), seconds)


# -- what is counted -------------------------------------------------------------------------------------------------


def test_a_chunk_is_counted_by_what_became_of_it_and_of_its_images(
    tmp_path: Path, folder: Path, count: Metrics
) -> None:
    """The pipeline's own events: accepted, rejected and missed images, tries, bytes, seconds."""

    class Moody(MemoryBlobStore):
        def put(self, *args: object, **kwargs: object) -> object:
            if not self.list_keys:
                self.list_keys = True
                raise StoreUnavailable("once")
            return super().put(*args, **kwargs)

        list_keys = False

    assembly = MemoryAssembly(tmp_path / "work", [picture(0), None, picture(1), picture(1), picture(2)])
    outcome = assembly.pipeline(count, store=Moody()).run(assembly.chunk(3))
    found = sums(folder)
    seconds = {key: value for key, value in found.items() if key[0].endswith("_sum")}
    assert {key: value for key, value in found.items() if key not in seconds} == {
        ("pixcore_attempts_total", "outcome=completed"): 1,
        ("pixcore_images_accepted_total",): 3,
        ("pixcore_images_rejected_total", "reason=duplicate"): 1,
        ("pixcore_images_missed_total", "reason=gone"): 1,
        ("pixcore_retries_total", "phase=upload"): 1,
        ("pixcore_archive_bytes_total",): outcome.result.bytes,
        ("pixcore_chunk_seconds_count",): 1,
        **{
            ("pixcore_phase_seconds_count", f"phase={phase}"): 1
            for phase in ("download", "validate", "compress", "upload")
        },
    }
    assert {key[-1]: value for key, value in seconds.items()} == pytest.approx(
        {f"phase={phase}": spent for phase, spent in outcome.result.seconds.items()}
        | {"pixcore_chunk_seconds_sum": sum(outcome.result.seconds.values())}
    )


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (ChunkCompleted(KEY, 1, result()), "completed"),
        (ChunkFailed(KEY, 1, "x", Status.FAILED), "failed"),
        (ChunkFailed(KEY, 1, "x", Status.PENDING), "pending"),
        (ChunkFailed(KEY, 1, "x", None), "unrecorded"),
        (ChunkInterrupted(KEY, 1), "interrupted"),
        (ChunkLost(KEY, 1, "x"), "lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_end_of_an_attempt_has_its_name(folder: Path, count: Metrics, event: Event, outcome: str) -> None:
    """What is tried again is not what has failed."""
    count(event)
    attempts = {key: value for key, value in sums(folder).items() if key[0] == "pixcore_attempts_total"}
    assert attempts == {("pixcore_attempts_total", f"outcome={outcome}"): 1}


def test_no_label_holds_what_a_stranger_chooses(folder: Path, count: Metrics) -> None:
    """A server may answer with any of 900 statuses: their classes are told apart. Nor is there a chunk's name."""
    request = ChunkRequest(0, "secret-keyword", 3, (Slice("urls", "http://secret/", 0, 9),), dataset="secret-dataset")
    count(ChunkClaimed(KEY, 1, request))
    candidate = Candidate(CandidateKey("urls", "q", 0), "http://secret/image")
    for status in range(100, 1000):
        count(CandidateMissed(KEY, 1, Miss(candidate, f"http_{status}", True, "secret-detail")))
    assert sums(folder) == {("pixcore_images_missed_total", f"reason=http_{kind}xx"): 100 for kind in range(1, 10)}
    assert not any(b"secret" in path.read_bytes() for path in folder.iterdir())


def test_a_histogram_is_whole_and_cumulative(folder: Path, count: Metrics) -> None:
    """Prometheus reads no histogram that lacks a bucket; what is longer than all of them is in the last."""
    for spent in (0.05, 0.1, 0.11, 100.0, 9999.0):
        count(ChunkCompleted(KEY, 1, result(upload=spent)))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    (metric,) = (metric for metric in registry.collect() if metric.name == "pixcore_phase_seconds")
    buckets = [sample.value for sample in metric.samples if sample.name.endswith("_bucket")]
    assert len(buckets) == len(BUCKETS)
    assert buckets == [2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5]
    assert all(one <= other for one, other in pairwise(buckets))


# -- many processes --------------------------------------------------------------------------------------------------


def test_processes_at_a_time_are_summed_up(folder: Path) -> None:
    """As those of Celery's prefork pool, or of several workers on one machine."""
    processes = [counting(folder, 1000 * number) for number in (1, 2, 3)]
    for process in processes:
        counted(process)
    assert sums(folder)[RETRIES] == 6000
    for process in processes:
        process.communicate(timeout=30)
    assert sums(folder)[RETRIES] == 6000
    assert len(list(folder.glob("counter_*.db"))) == 3


def test_one_process_after_another_needs_one_place(folder: Path) -> None:
    """RQ forks a process for each chunk: a hundred thousand of them must not leave as many files."""
    assert ended(program(FORKING, folder)).code == 0
    assert sums(folder)[RETRIES] == 20
    assert sorted(path.name for path in folder.iterdir()) == ["0.lock", "counter_0.db", "histogram_0.db"]


def test_a_killed_process_loses_nothing_and_leaves_its_place(folder: Path) -> None:
    """Kill -9 in the middle of counting, and the next one counts on."""
    for number in (500, 300):
        with counting(folder, number) as process:
            counted(process)
            process.kill()
    assert sums(folder)[RETRIES] == 800
    assert len(list(folder.glob("counter_*.db"))) == 1


def test_a_process_killed_at_any_moment_leaves_files_that_can_be_read(folder: Path) -> None:
    """While a file is made, grows or is written to: the next process takes it over, and a scrape reads it."""
    least = 0.0
    for _ in range(5):
        with counting(folder, 10_000_000) as process:
            while not (found := sums(folder) if folder.exists() else {}) or found[RETRIES] <= least:
                assert process.poll() is None
            least = found[RETRIES]
            process.send_signal(signal.SIGKILL)
    assert sums(folder)[RETRIES] >= least
    assert len(list(folder.glob("counter_*.db"))) == 1


def test_a_fork_counts_in_a_place_of_its_own(folder: Path) -> None:
    """Two processes that share one file overwrite what the other counts; a lock that a thread held stays locked."""
    assert ended(program(FORKED, folder)).code == 0
    assert sums(folder)[RETRIES] == 102
    assert len(list(folder.glob("counter_*.db"))) == 2


def test_a_fork_keeps_no_place_from_others(folder: Path) -> None:
    """A lock is inherited: who counts in a place of its own lets go of its parent's, which is free when that ends."""
    with program(OUTLIVED, folder) as process:
        counted(process)
        process.wait(30)
        with (folder / "0.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert sums(folder)[RETRIES] == 2


@pytest.mark.parametrize(
    ("options", "places"),
    [((), {2, 3}), (("--store", "memory://", "--status", "memory://"), {1})],
    ids=["processes", "threads"],
)
def test_the_workers_of_a_run_count_together(
    tmp_path: Path, folder: Path, options: tuple[str, ...], places: set[int]
) -> None:
    """Each image once, though progress is shown by one process for all; threads of one share its place."""
    at = tmp_path / "at"
    at.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        at_home(at, patched)
        fill(at / "photos", 12)
        patched.setenv("PIXCORE_METRICS_DIR", str(folder))
        assert pixcore("run", "--source", "folder:photos", "--chunk-size", "2", "--workers", "3", *options).code == 0
    found = sums(folder)
    assert found["pixcore_attempts_total", "outcome=completed"] == 6
    assert found["pixcore_images_accepted_total",] == 12
    assert len(list(folder.glob("counter_*.db"))) in places


def test_threads_that_begin_together_take_one_place_together(folder: Path, count: Metrics) -> None:
    """The first event makes the files, whichever thread it is in."""
    barrier = Barrier(8)

    def work() -> None:
        barrier.wait(20)
        for _ in range(50):
            count(ChunkInterrupted(KEY, 1))

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()
    assert list(sums(folder).values()) == [400]
    assert len(list(folder.glob("counter_*.db"))) == 1


@pytest.mark.parametrize("runner", ["celery", "rq"])
def test_the_workers_of_a_queue_count_together(runner: str, redis: Redis, tmp_path: Path, folder: Path) -> None:
    """Three processes at a time, of two workers, one of which is killed: each image once, in at most three places."""
    settings = {"broker": redis.url(), "queue": f"metrics-{uuid4().hex}", "metrics_dir": folder, "lease_ttl": 60}
    completed = ("pixcore_attempts_total", "outcome=completed")
    with fleet(runner, tmp_path, **settings) as crew:
        assert crew.submit(6) == 6
        first = crew.worker(1)
        crew.until(lambda chunks: any(chunk.status is Status.COMPLETED for chunk in chunks))
        crew.worker(2)
        await_true(lambda: sums(folder).get(completed) == 6, 60)
        first.kill()
        assert crew.submit(4, "dogs") == 4
        await_true(lambda: sums(folder)[completed] == 10, 60)
        size = crew.size
    assert sums(folder)["pixcore_images_accepted_total",] == 10 * size
    assert len(list(folder.glob("counter_*.db"))) <= 3


# -- where it is hooked in -------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder whose dataset of three chunks is planned, not worked off."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 6)
    return tmp_path


def test_deliveries_by_a_queue_are_counted(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each delivery has an observer of its own beside the metrics."""
    assert pixcore("run", "--source", "folder:photos", "--chunk-size", "2").code == 0
    assert not folder.exists()
    monkeypatch.setenv("PIXCORE_METRICS_DIR", str(folder))
    events: list[Event] = []
    deliveries = Deliveries(lambda: load_here().settings, lambda: False)
    for record in list(deliveries.assembly().status.find("photos")):
        deliveries.assembly().status.reopen(record.chunk.key)
        deliveries.deliver(record.chunk.key, "task", events.append)
    deliveries.close()
    assert sums(folder)["pixcore_images_accepted_total",] == 6
    assert sum(isinstance(event, ImageAccepted) for event in events) == 6
    assert not any(isinstance(event, ImageRejected) for event in events)
    assert (home / "pixcore-data").exists()


def test_metrics_that_cannot_be_written_fail_no_chunk(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once; the images matter more."""
    monkeypatch.setenv("PIXCORE_METRICS_DIR", str(folder))
    folder.mkdir()
    (folder / "0.lock").mkdir()
    ran = pixcore("run", "--source", "folder:photos", "--chunk-size", "2", "--verbose")
    assert ran.code == 0
    assert ran.err.count("its further failures are not reported") == 1
    assert home.exists()


@pytest.mark.usefixtures("home")
def test_a_folder_that_cannot_be_made_is_a_mistake_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, with what to do."""
    monkeypatch.setenv("PIXCORE_METRICS_DIR", "photos/0000.jpg/metrics")
    ran = pixcore("run", "--source", "folder:photos")
    assert ran.code == 2
    assert re.search(r"metrics_dir .*0000.jpg/metrics cannot be created \(Not a directory\); set it to", ran.err)


@pytest.mark.parametrize("words", [("run", "--source", "folder:photos"), ("metrics",)], ids=lambda words: words[0])
@pytest.mark.usefixtures("home")
def test_a_missing_package_names_the_extra(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for metrics without it learns how to get it."""
    monkeypatch.setenv("PIXCORE_METRICS_DIR", "metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "pixcore_runners.observing.metrics")
    ran = pixcore(*words)
    assert ran.code == 2
    assert ran.err.rstrip().endswith("prometheus_client is not installed; pip install 'pixcore[metrics]'")


@pytest.mark.parametrize("words", ["--help", "metrics --help", "run --source folder:photos"])
@pytest.mark.usefixtures("home")
def test_nobody_else_pays_for_metrics(words: str) -> None:
    """Neither help nor a run without metrics_dir imports the package."""
    program = (
        "import atexit, sys; from pixcore_runners.cli import main; atexit.register(lambda: print(*sys.modules)); main()"
    )
    ran = subprocess.run([sys.executable, "-c", program, *words.split()], capture_output=True, text=True, check=True)
    assert "prometheus_client" not in ran.stdout.split()


def test_the_program_around_keeps_its_own_metrics(folder: Path) -> None:
    """Pixcore's are not in the registry of a program that has one, nor that program's in the folder."""
    ran = ended(program(AROUND, folder))
    assert "theirs_total 1.0" in ran.out
    assert "pixcore" not in ran.out
    assert list(sums(folder)) == [RETRIES]


# -- what is served --------------------------------------------------------------------------------------------------


def scraped(port: int) -> Samples:
    """What Prometheus gets, by name and labels."""
    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {tuple(re.findall(r"[\w.:]+(?:=\"[^\"]*\")?", name)): float(value) for name, _, value in lines}


def test_status_and_counts_are_served_together_while_workers_come_and_go(home: Path, folder: Path) -> None:
    """By a process of its own, true whatever else has died; SIGTERM ends it well."""
    environ = os.environ | {"PIXCORE_METRICS_DIR": str(folder)}
    assert pixcore("run", "--source", "folder:photos", "--chunk-size", "2").code == 0
    with start("metrics", "--port", 0, env=environ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.fullmatch(r"metrics at http://127\.0\.0\.1:(\d+)/metrics\n", said)
        assert found, said
        before = scraped(int(found[1]))
        with counting(folder, 5) as worker:
            counted(worker)
            worker.kill()
        after = scraped(int(found[1]))
        process.terminate()
        ran = ended(process)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert before == {
        ("pixcore_status_reachable",): 1,
        ("pixcore_chunks", 'phase="complete"', 'status="completed"'): 3,
        ("pixcore_chunk_images",): 6,
        ("pixcore_workers",): 0,
        ("pixcore_expired_leases",): 0,
        ("pixcore_oldest_claim_seconds",): 0,
    }
    assert after == before | {("pixcore_retries_total", 'phase="upload"'): 5}
    assert home.exists()


def test_it_says_when_only_the_status_database_is_served(home: Path) -> None:
    """Without metrics_dir there is nothing else; Ctrl-C ends it well, too."""
    assert pixcore("run", "--source", "folder:photos", "--quiet").code == 0
    with start("metrics", "--port", 0) as process:
        assert process.stderr is not None
        process.stderr.readline()
        assert process.stderr.readline().startswith("metrics_dir is not set")
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 0
    assert home.exists()


@pytest.mark.usefixtures("home")
def test_a_port_that_is_taken_is_named() -> None:
    """Together with what to do."""
    taken = serve(MemoryStatusRepo(), None, "127.0.0.1", 0)
    with pytest.raises(InvalidRequest, match=rf"cannot listen at 127\.0\.0\.1:{taken} \(.*in use.*--port"):
        serve(MemoryStatusRepo(), None, "127.0.0.1", taken)


def test_a_status_database_that_is_away_is_a_value() -> None:
    """A scrape that failed would hide what the workers count; numbers of before would be lies."""

    class Away(MemoryStatusRepo):
        def overview(self, dataset: str | None = None) -> object:
            raise StatusUnavailable(f"away with {dataset}")

    found = [(sample.name, sample.value) for metric in StatusGauges(Away()).collect() for sample in metric.samples]
    assert found == [("pixcore_status_reachable", 0)]
