"""Metrics: correct sums over many processes, even killed ones, in a bounded number of files."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
from command import at_home, ended, fill, pixcore, start
from fleet import await_true, everything_holds, fleet
from http_client import get
from memory_assembly import MemoryAssembly, picture
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from servers.addresses import Redis

from pixcore import ChunkKey, ChunkRequest, Fault, InvalidRequest, Slice, StatusUnavailable, StoreUnavailable
from pixcore.chunk.events import (
    CandidateMissed,
    ChunkClaimed,
    ChunkCompleted,
    ChunkFailed,
    ChunkGivenBack,
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
from pixcore_runners.observing.gauges import StatusGauges
from pixcore_runners.observing.metrics import BUCKETS, Metrics
from pixcore_runners.observing.page import serve
from pixcore_runners.queueing.delivery import Deliveries
from pixcore_runners.queueing.gauges import QueueGauges
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

# Counts argv[2] retries in the folder argv[1], reports it, and lives until its standard input ends.
COUNTING = """
count = Metrics(folder)
for _ in range(int(sys.argv[2])):
    count(retried)
print("counted", flush=True)
sys.stdin.read()
"""

# Forks one process after another, each for one chunk.
FORKING = """
for _ in range(20):
    if os.fork() == 0:
        Metrics(folder)(retried)
        os._exit(0)
    os.wait()
"""

# Forks while another thread is counting.
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

# Ends before its fork, which lives until standard input ends.
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
# A program with metrics of its own.
AROUND = """
from prometheus_client import Counter, generate_latest
theirs = Counter("theirs", "x")
Metrics(folder)(retried)
theirs.inc()
print(generate_latest().decode())
"""

# The modules that import prometheus_client.
IMPORTING = {
    "pixcore_runners.observing.metrics",
    "pixcore_runners.observing.gauges",
    "pixcore_runners.observing.page",
    "pixcore_runners.queueing.gauges",
}

RETRIES = ("pixcore_retries_total", "phase=upload")

Samples = Mapping[tuple[str, ...], float]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the metrics."""
    return tmp_path / "metrics"


@pytest.fixture
def count(folder: Path) -> Iterator[Metrics]:
    """Return metrics that count in the folder."""
    with closing(Metrics(folder)) as metrics:
        yield metrics


def sums(folder: Path) -> Samples:
    """Return the samples of a scrape of the folder by name and labels, without the buckets."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_bucket")
    }


def program(text: str, folder: Path, *words: object) -> "subprocess.Popen[str]":
    """Start a process that runs this program."""
    command = [sys.executable, "-c", PRELUDE + text, str(folder), *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def counting(folder: Path, number: int) -> "subprocess.Popen[str]":
    """Start a process that counts."""
    return program(COUNTING, folder, number)


def await_counts(process: "subprocess.Popen[str]") -> None:
    """Wait until a process has counted."""
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"


def result(**seconds: float) -> ChunkResult:
    """Return the result of a chunk whose phases took so long."""
    return ChunkResult("file:///c.zip", "00", 1000, 3, 1, Progress(3), seconds)


# -- counts ----------------------------------------------------------------------------------------------------------


def test_a_chunk_is_counted_by_its_outcome_and_those_of_its_images(
    tmp_path: Path, folder: Path, count: Metrics
) -> None:
    """A real run of the pipeline must count its images, retries, bytes and seconds."""

    class FailsOnce(MemoryBlobStore):
        def put(self, *args: object, **kwargs: object) -> object:
            if not self.failed:
                self.failed = True
                raise StoreUnavailable("once")
            return super().put(*args, **kwargs)

        failed = False

    assembly = MemoryAssembly(tmp_path / "work", [picture(0), None, picture(1), picture(1), picture(2)])
    outcome = assembly.pipeline(count, store=FailsOnce()).run(assembly.chunk(3))
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
        (ChunkGivenBack(KEY, 1, "x", Fault.MACHINE), "given_back"),
        (ChunkLost(KEY, 1, "x"), "lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_end_of_an_attempt_has_a_label(folder: Path, count: Metrics, event: Event, outcome: str) -> None:
    """An attempt that is retried must not count as a failed chunk."""
    count(event)
    attempts = {key: value for key, value in sums(folder).items() if key[0] == "pixcore_attempts_total"}
    assert attempts == {("pixcore_attempts_total", f"outcome={outcome}"): 1}


def test_no_label_has_a_value_that_a_stranger_chooses(folder: Path, count: Metrics) -> None:
    """Labels must be bounded, so statuses are counted by class, and names of chunks are never labels."""
    request = ChunkRequest(0, "secret-keyword", 3, (Slice("urls", "http://secret/", 0, 9),), dataset="secret-dataset")
    count(ChunkClaimed(KEY, 1, request))
    candidate = Candidate(CandidateKey("urls", "q", 0), "http://secret/image")
    for status in range(100, 1000):
        count(CandidateMissed(KEY, 1, Miss(candidate, f"http_{status}", True, "secret-detail")))
    assert sums(folder) == {("pixcore_images_missed_total", f"reason=http_{kind}xx"): 100 for kind in range(1, 10)}
    assert not any(b"secret" in path.read_bytes() for path in folder.iterdir())


def test_a_histogram_is_complete_and_cumulative(folder: Path, count: Metrics) -> None:
    """Prometheus needs every bucket, and the last one counts everything above the others."""
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


def test_counts_of_parallel_processes_are_added(folder: Path) -> None:
    """Celery's prefork pool and several workers on one machine count in parallel processes."""
    processes = [counting(folder, 1000 * number) for number in (1, 2, 3)]
    for process in processes:
        await_counts(process)
    assert sums(folder)[RETRIES] == 6000
    for process in processes:
        process.communicate(timeout=30)
    assert sums(folder)[RETRIES] == 6000
    assert len(list(folder.glob("counter_*.db"))) == 3


def test_successive_processes_share_one_set_of_files(folder: Path) -> None:
    """RQ forks a process for each chunk, and a hundred thousand of them must not leave as many files."""
    assert ended(program(FORKING, folder)).code == 0
    assert sums(folder)[RETRIES] == 20
    assert sorted(path.name for path in folder.iterdir()) == ["0.lock", "counter_0.db", "histogram_0.db"]


def test_a_killed_process_keeps_its_counts_and_frees_its_files(folder: Path) -> None:
    """The next process must continue from the counts of one that was killed."""
    for number in (500, 300):
        with counting(folder, number) as process:
            await_counts(process)
            process.kill()
    assert sums(folder)[RETRIES] == 800
    assert len(list(folder.glob("counter_*.db"))) == 1


def test_a_process_killed_at_any_moment_leaves_files_that_can_be_read(folder: Path) -> None:
    """A kill may come while a file is created, extended or written; scrapes and the next process must read it."""
    least = 0.0
    for _ in range(5):
        with counting(folder, 10_000_000) as process:
            while not (found := sums(folder) if folder.exists() else {}) or found[RETRIES] <= least:
                assert process.poll() is None
            least = found[RETRIES]
            process.send_signal(signal.SIGKILL)
    assert sums(folder)[RETRIES] >= least
    assert len(list(folder.glob("counter_*.db"))) == 1


def test_a_fork_counts_in_files_of_its_own(folder: Path) -> None:
    """Two processes would overwrite each other's counts in one file, and an inherited lock may never be released."""
    assert ended(program(FORKED, folder)).code == 0
    assert sums(folder)[RETRIES] == 102
    assert len(list(folder.glob("counter_*.db"))) == 2


def test_a_fork_does_not_keep_its_parents_files_locked(folder: Path) -> None:
    """A fork inherits the lock and must close it, so that the files are free when the parent ends."""
    with program(OUTLIVED, folder) as process:
        await_counts(process)
        process.wait(30)
        with (folder / "0.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert sums(folder)[RETRIES] == 2


@pytest.mark.parametrize(
    ("options", "places"),
    [((), {2, 3}), (("--store", "memory://", "--status", "memory://"), {1})],
    ids=["processes", "threads"],
)
def test_the_workers_of_a_run_count_each_image_once(
    tmp_path: Path, folder: Path, options: tuple[str, ...], places: set[int]
) -> None:
    """One process shows the progress of all, but must not count their images again; threads share their files."""
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


def test_threads_that_start_at_the_same_time_share_their_files(folder: Path, count: Metrics) -> None:
    """The first event creates the files, in whatever thread."""
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
def test_the_workers_of_a_queue_count_each_image_once(runner: str, redis: Redis, tmp_path: Path, folder: Path) -> None:
    """Three processes, one of them killed, must count each image once in at most three sets of files."""
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


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with six photos."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 6)
    return tmp_path


def test_deliveries_by_a_queue_are_counted(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each delivery must call both its own observer and the metrics."""
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
    """The images matter more than the metrics, so the error is only reported, and only once."""
    monkeypatch.setenv("PIXCORE_METRICS_DIR", str(folder))
    folder.mkdir()
    (folder / "0.lock").mkdir()
    ran = pixcore("run", "--source", "folder:photos", "--chunk-size", "2", "--verbose")
    assert ran.code == 0
    assert ran.err.count("its further failures are not reported") == 1
    assert home.exists()


@pytest.mark.usefixtures("home")
def test_a_metrics_folder_that_cannot_be_created_is_an_error_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error must name the setting and the remedy."""
    monkeypatch.setenv("PIXCORE_METRICS_DIR", "photos/0000.jpg/metrics")
    ran = pixcore("run", "--source", "folder:photos")
    assert ran.code == 2
    assert re.search(r"metrics_dir .*0000.jpg/metrics cannot be created \(Not a directory\); set it to", ran.err)


@pytest.mark.parametrize("words", [("run", "--source", "folder:photos"), ("metrics",)], ids=lambda words: words[0])
@pytest.mark.usefixtures("home")
def test_a_missing_package_names_the_extra(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error must contain the command that installs the package."""
    monkeypatch.setenv("PIXCORE_METRICS_DIR", "metrics")
    for name in [*sys.modules]:
        if name.startswith("prometheus_client.") or name in IMPORTING:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    ran = pixcore(*words)
    assert ran.code == 2
    assert re.search(r"prometheus_client[.\w]* is not installed; pip install 'pixcore\[metrics\]'\n$", ran.err)


@pytest.mark.parametrize("words", ["--help", "metrics --help", "run --source folder:photos"])
@pytest.mark.usefixtures("home")
def test_commands_without_metrics_do_not_import_the_package(words: str) -> None:
    """The import would slow down the help and runs without metrics_dir."""
    program = (
        "import atexit, sys; from pixcore_runners.cli import main; atexit.register(lambda: print(*sys.modules)); main()"
    )
    ran = subprocess.run([sys.executable, "-c", program, *words.split()], capture_output=True, text=True, check=True)
    assert "prometheus_client" not in ran.stdout.split()


def test_metrics_of_an_embedding_program_are_kept_apart(folder: Path) -> None:
    """The program's registry must not have metrics of pixcore, nor the folder those of the program."""
    ran = ended(program(AROUND, folder))
    assert "theirs_total 1.0" in ran.out
    assert "pixcore" not in ran.out
    assert list(sums(folder)) == [RETRIES]


# -- the endpoint ----------------------------------------------------------------------------------------------------


def samples(port: int) -> Samples:
    """Return the samples that Prometheus gets, by name and labels."""
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextmanager
def serving(**environ: str) -> Iterator[int]:
    """Give the block the port of a server of metrics; end it with SIGTERM, and check that it printed no error."""
    with start("metrics", "--port", 0, env=os.environ | environ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        try:
            found = re.fullmatch(r".* metrics at http://127\.0\.0\.1:(\d+)/metrics\n", line)
            assert found, line
            yield int(found[1])
        finally:
            process.terminate()
            ran = ended(process)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_status_and_counts_are_served_together_by_a_separate_process(home: Path, folder: Path) -> None:
    """The process must serve correct values after workers were killed, and end on SIGTERM without an error."""
    assert pixcore("run", "--source", "folder:photos", "--chunk-size", "2").code == 0
    with serving(PIXCORE_METRICS_DIR=str(folder)) as port:
        before = samples(port)
        with counting(folder, 5) as worker:
            await_counts(worker)
            worker.kill()
        after = samples(port)
        assert get(port, "/readyz") == get(port, "/healthz") == (200, "ok\n")
    assert before == {
        ("pixcore_status_reachable",): 1,
        ("pixcore_chunks", "phase=complete", "status=completed"): 3,
        **{
            ("pixcore_dataset_chunks", "dataset=photos", f"status={each}"): 3 * (each == "completed") for each in Status
        },
        ("pixcore_chunk_images",): 6,
        ("pixcore_workers",): 0,
        ("pixcore_expired_leases",): 0,
        ("pixcore_resting_workers", "fault=machine"): 0,
        ("pixcore_resting_workers", "fault=service"): 0,
        ("pixcore_oldest_claim_seconds",): 0,
    }
    assert after == before | {("pixcore_retries_total", "phase=upload"): 5}
    assert home.exists()


@pytest.mark.parametrize("runner", ["celery", "rq"])
def test_the_queue_its_workers_and_its_deliveries_are_served(
    runner: str, redis: Redis, tmp_path: Path, folder: Path
) -> None:
    """An operator scales on what waits, and sees which workers run chunks, and what became of the deliveries."""
    queue = f"metrics-{uuid4().hex}"
    of = (f"queue={queue}", f"runner={runner}")
    states = [("pixcore_queue_workers", *of, f"state={state}") for state in ("busy", "idle")]
    with fleet(runner, tmp_path, broker=redis.url(8), queue=queue, metrics_dir=folder) as crew:
        crew.submit(3)
        with serving() as port:
            found = samples(port)
            assert [found["pixcore_queue_deliveries", *of], *(found[state] for state in states)] == [3, 0, 0]
            assert found["pixcore_dataset_chunks", "dataset=cats", "status=pending"] == 3
            crew.hold()
            crew.worker()
            await_true(lambda: [samples(port)[state] for state in states] == [1, 0])
            crew.hand_out()
            crew.until_settled()
            await_true(lambda: [samples(port)[state] for state in states] == [0, 1])
            found = samples(port)
            assert found["pixcore_deliveries_total", "outcome=completed"] == 3
            assert found["pixcore_queue_deliveries", *of] == 0
        everything_holds(crew)


def test_a_broker_that_does_not_answer_delays_no_scrape() -> None:
    """Prometheus gives a scrape up after 10 s, and a second scrape must not wait for another answer."""

    class Hanging:
        reads = 0
        answer = threading.Event()

        def waiting(self) -> int:
            self.reads += 1
            self.answer.wait(30)
            return 7

        def workers(self) -> tuple[int, int]:
            return 1, 2

    runner = Hanging()
    gauges = QueueGauges("q", {"rq": runner}, patience=0.01)
    for _ in range(2):
        assert values(gauges) == [("pixcore_queue_reachable", 0)]
    runner.answer.set()
    gauges.patience = 30
    assert values(gauges) == [
        ("pixcore_queue_reachable", 1),
        ("pixcore_queue_deliveries", 7),
        ("pixcore_queue_workers", 1),
        ("pixcore_queue_workers", 2),
    ]
    assert runner.reads == 1


def test_only_the_most_urgent_datasets_have_series_of_their_own() -> None:
    """The number of series must not grow with the datasets of years, and no chunk may be missing from the sum."""
    repo = MemoryStatusRepo()
    for number in range(150):
        requests = [
            ChunkRequest(index, "cat", 1, [Slice("folder", "/", index, index + 1)], f"d{number:03}")
            for index in range(1 + (number == 149))
        ]
        repo.ensure(requests)
    found = [sample for metric in StatusGauges(repo).collect() for sample in metric.samples]
    chunks = {
        (sample.labels["dataset"], sample.labels["status"]): sample.value
        for sample in found
        if sample.name == "pixcore_dataset_chunks"
    }
    assert len(chunks) == 101 * len(Status)
    assert chunks["d149", "pending"] == 2
    assert chunks["", "pending"] == 50
    assert sum(chunks.values()) == 151


def test_a_missing_metrics_folder_is_reported_by_the_endpoint(home: Path) -> None:
    """Without metrics_dir only the status is served, which the command must report; Ctrl-C ends it with 0."""
    assert pixcore("run", "--source", "folder:photos", "--quiet").code == 0
    with start("metrics", "--port", 0) as process:
        assert process.stderr is not None
        process.stderr.readline()
        assert " metrics_dir is not set" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 0
    assert home.exists()


@pytest.mark.usefixtures("home")
def test_a_port_that_is_taken_is_named() -> None:
    """The error must name the address and the option that changes it."""
    taken = serve([], None, "127.0.0.1", 0)
    with pytest.raises(InvalidRequest, match=rf"cannot listen at 127\.0\.0\.1:{taken} \(.*in use.*--port"):
        serve([], None, "127.0.0.1", taken)


def test_an_unreachable_status_database_is_a_sample() -> None:
    """The scrape must still succeed for the counts of workers, without old values of the status."""

    class Away(MemoryStatusRepo):
        def overview(self, dataset: str | None = None) -> object:
            raise StatusUnavailable(f"away with {dataset}")

    assert values(StatusGauges(Away())) == [("pixcore_status_reachable", 0)]


def values(gauges: Collector) -> list[tuple[str, float]]:
    """Return the names and the values of the samples."""
    return [(sample.name, sample.value) for metric in gauges.collect() for sample in metric.samples]
