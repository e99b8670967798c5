"""The RQ runner, with real workers on a real Redis: every delivery is repeated until its chunk is settled."""

import json
import signal
import subprocess
import sys
import zlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

import pytest
import rq
from attrs import evolve
from command import pixcore
from databases import new_name
from fleet import Fleet, Records, await_true, kill
from fleet import fleet as fleet_of
from hostile import status
from redis.exceptions import ConnectionError as Unreachable
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from servers.addresses import Redis

from pixcore import ChunkKey, ChunkRecord, ChunkRequest, InvalidRequest, Slice, Status
from pixcore.chunk.events import ChunkClaimed, ChunkFailed, ImageRejected, PhaseEntered
from pixcore.model.chunks import Phase
from pixcore.model.claims import Claimed
from pixcore.model.images import Candidate, CandidateKey, Download, Rejected
from pixcore_runners.queueing.delivery import Deliveries
from pixcore_runners.queueing.health import Loop
from pixcore_runners.queueing.runner import QueueUnavailable, open_runner
from pixcore_runners.rq import RqRunner, job_id
from pixcore_runners.rq.progress import JobProgress
from pixcore_runners.rq.working import ChunkWorker
from pixcore_runners.settings import SecretUrl, Settings, load_here

REQUEST = ChunkRequest(0, "cat", 7, (Slice("urls", "q", 0, 7),), dataset="cats")
KEY = ChunkKey("cats", 1)


@pytest.fixture
def fleet(tmp_path: Path, redis: Redis) -> Iterator[Fleet]:
    """Return a fleet with a queue of its own; check that no output of its programs contains the broker's password."""
    with fleet_of("rq", tmp_path, broker=redis.url(11), queue=new_name()) as made:
        assert made.assembly  # creates the status database, which workers do not
        yield made
        made.end()
        assert not [program for program in made.programs if redis.password in program.output]


@pytest.fixture
def jobs(fleet: Fleet) -> Iterator[rq.Queue]:
    """Return the queue as an object of RQ."""
    assert isinstance(fleet.queue, RqRunner)
    with closing(fleet.queue.jobs.connection):
        yield fleet.queue.jobs


def job_of(jobs: rq.Queue, record: ChunkRecord, attempt: int = 1) -> Job:
    """Return the job that was sent for that attempt at a chunk."""
    return Job.fetch(job_id(jobs.name, record.chunk.key, attempt), jobs.connection, JSONSerializer)


def planned(fleet: Fleet, chunks: int) -> Records:
    """Plan chunks that no worker is to run."""
    fleet.status.ensure([evolve(REQUEST, index=index) for index in range(chunks)])
    return fleet.records()


def claimed(fleet: Fleet, record: ChunkRecord, ttl: float = 60.0) -> Claimed:
    """Claim a chunk for another worker."""
    answer = fleet.status.claim(record.chunk.key, "another", ttl)
    assert isinstance(answer, Claimed)
    return answer


def listed(fleet: Fleet, jobs: rq.Queue, chunks: int) -> Records:
    """Plan chunks that a worker can run, but without a delivery."""
    fleet.submit(chunks)
    jobs.empty()
    return fleet.records()


def working(jobs: rq.Queue) -> list[int]:
    """Return the processes of the queue's workers that wait for a job."""
    return [worker.pid for worker in rq.Worker.all(queue=jobs) if worker.pid and worker.get_state() == "idle"]


def work_horse_refused(jobs: rq.Queue, monkeypatch: pytest.MonkeyPatch) -> ChunkWorker:
    """Return a worker in this process that fails the test if it forks."""
    deliveries = Deliveries(lambda: load_here().settings, lambda: False)
    for module in ("chunk", "working"):
        monkeypatch.setattr(f"pixcore_runners.rq.{module}.deliveries", deliveries)
    worker = ChunkWorker([jobs], connection=jobs.connection, serializer=JSONSerializer, loop=Loop())
    monkeypatch.setattr(worker, "fork_work_horse", lambda *_: pytest.fail("the worker has forked"))
    return worker


# -- sending ---------------------------------------------------------------------------------------------------------


def test_a_chunk_that_waits_is_not_sent_again(fleet: Fleet) -> None:
    """Only new chunks must be added, in whatever combination chunks are sent."""
    records = planned(fleet, 3)
    queue = fleet.queue
    assert [queue.send(records[:2]), queue.send([*records, *records]), queue.send(records)] == [2, 1, 0]
    assert queue.waiting() == 3


@pytest.mark.parametrize(("due_in", "sent"), [(60, 0), (-60, 1)])
def test_a_deferred_chunk_is_not_sent_again_until_it_is_overdue(
    fleet: Fleet, jobs: rq.Queue, due_in: int, sent: int
) -> None:
    """A deferred job keeps the attempt's number; if it is long overdue, no scheduler runs and it must be sent again."""
    (record,) = planned(fleet, 1)
    fleet.queue.send([record])
    job = job_of(jobs, record)
    jobs.remove(job)
    jobs.schedule_job(job, datetime.now(UTC) + timedelta(seconds=due_in))
    fleet.status.release(claimed(fleet, record).claim)
    assert fleet.queue.send(fleet.records()) == sent
    assert fleet.queue.waiting() == sent


def test_a_chunk_whose_job_was_lost_is_sent_again(fleet: Fleet, jobs: rq.Queue) -> None:
    """A worker killed just after it took the job leaves the job marked as queued, although the queue is empty."""
    records = planned(fleet, 1)
    fleet.queue.send(records)
    jobs.pop_job_id()
    assert fleet.queue.send(records) == 1
    assert jobs.job_ids == [job_of(jobs, records[0]).id]


@pytest.mark.parametrize("become", [JobStatus.FAILED, JobStatus.FINISHED], ids=str)
def test_an_ended_job_does_not_prevent_a_new_one(fleet: Fleet, jobs: rq.Queue, become: JobStatus) -> None:
    """A chunk whose job has ended can be sent again, and the new job must not expire with the old one."""
    records = planned(fleet, 1)
    fleet.queue.send(records)
    job = job_of(jobs, records[0])
    jobs.remove(job)
    job.set_status(become)
    registry = jobs.failed_job_registry if become is JobStatus.FAILED else jobs.finished_job_registry
    registry.add(job, ttl=1000)
    job.cleanup(ttl=1000)
    assert fleet.queue.send(records) == 1
    assert jobs.job_ids == [job.id]
    assert jobs.connection.ttl(job.key) == -1
    assert job.get_status() == JobStatus.QUEUED
    assert len(registry) == 0


def test_a_job_has_its_timeouts_and_retries(fleet: Fleet, jobs: rq.Queue) -> None:
    """A job has a timeout, lifetimes for its results and retries after a killed worker, but waits without a limit."""
    records = planned(fleet, 1)
    fleet.queue.send(records)
    job = job_of(jobs, records[0])
    assert job.timeout == load_here().settings.chunk_deadline
    assert (job.result_ttl, job.failure_ttl, job.ttl) == (3600, 604800, None)
    assert job.should_retry


def test_different_deliveries_are_different_jobs() -> None:
    """Names may contain characters that ids may not, or that separate the parts of an id."""
    names = ("", "a", "a_", "_5f", "a-1", "a__1", "Å", "ä.b")
    ids = {
        job_id(queue, ChunkKey(dataset, number), attempt)
        for queue in names
        for dataset in names
        for number in (1, 11, -1)
        for attempt in (1, 2)
    }
    assert len(ids) == len(names) ** 2 * 6
    assert [Job(each, connection=object()).id for each in ids] == list(ids)  # type: ignore[arg-type]  # RQ checks them


# -- the broker ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broker", "message"),
    [
        (None, "no broker is set; set PIXCORE_BROKER"),
        ("amqp://guest:secret@host//", "amqp://guest:***@host// is no Redis; set PIXCORE_BROKER"),
        ("redis://:secret@host:port/0", "the URL cannot be split; in its user name and password write '#' as %23"),
    ],
    ids=["none", "no-redis", "unreadable"],
)
def test_a_broker_other_than_redis_is_refused(broker: str | None, message: str) -> None:
    """The error must name the remedy and not the password."""
    with pytest.raises(InvalidRequest) as refused:
        open_runner("rq", Settings(broker=broker and SecretUrl(broker)))
    assert message in str(refused.value)
    assert "secret" not in f"{refused.value!r} {refused.value.__cause__!r}"


@pytest.mark.parametrize("reachable", [True, False])
def test_a_broker_that_cannot_be_used_is_named(redis: Redis, fleet: Fleet, reachable: bool) -> None:
    """A broker that refuses the password or is unreachable must be named without the password."""
    port = redis.port if reachable else 1
    settings = evolve(load_here().settings, broker=SecretUrl(f"redis://:secret@127.0.0.1:{port}/0"))
    queue = open_runner("rq", settings)
    for use in (queue.waiting, lambda: queue.send(planned(fleet, 1)), lambda: queue.work(1)):
        with pytest.raises(QueueUnavailable) as away:
            use()
        assert f"the broker redis://:***@127.0.0.1:{port}/0 cannot be used (" in str(away.value)
        assert "secret" not in f"{away.value!r} {away.value.__cause__!r}"


# -- working ---------------------------------------------------------------------------------------------------------


def test_chunks_are_completed(fleet: Fleet, jobs: rq.Queue) -> None:
    """Each job must return the URL of its chunk's archive, and each log line must name the job and be written once."""
    fleet.submit(2)
    worker = fleet.worker()
    records = fleet.until_settled()
    ended = [job_of(jobs, record) for record in records]
    await_true(lambda: all(job.get_status() == JobStatus.FINISHED for job in ended))
    assert [job.return_value() for job in ended] == [record.result and record.result.url for record in records]
    for job, record in zip(ended, records, strict=True):
        assert (
            worker.output.count(f"[task_id={job.id}][chunk={record.chunk.key}][phase=COMPRESS] compress begins\n") == 1
        )
        assert job.get_meta() == {
            "chunk": str(record.chunk.key),
            "phase": "complete",
            "accepted": fleet.size,
            "target": fleet.size,
            "rejected": 0,
            "missed": 0,
        }


def test_nothing_in_redis_is_pickled(fleet: Fleet, jobs: rq.Queue) -> None:
    """This holds for arguments, results, progress and deferred deliveries."""
    (record,) = listed(fleet, jobs, 1)
    fleet.worker()
    await_true(lambda: working(jobs))
    fleet.status.fail(claimed(fleet, record).claim, "not yet", retry_in=5)
    fleet.queue.send([record])
    fleet.until_settled()
    job = job_of(jobs, record)
    await_true(lambda: job.get_status() == JobStatus.FINISHED)
    raw = jobs.connection.hgetall(job.key)
    assert json.loads(zlib.decompress(raw.pop(b"data"))) == [
        "pixcore_runners.rq.process_chunk",
        None,
        [record.chunk.id, "cats"],
        {},
    ]
    results = [result[b"return_value"] for _, result in jobs.connection.xrange(f"rq:results:{job.id}")]
    assert len(results) == 2
    assert all(json.loads(b64decode(result)) for result in results)
    assert json.loads(raw.pop(b"meta"))
    assert not [value for value in raw.values() if value.startswith(b"\x80")]


def test_a_chunk_that_cannot_be_claimed_yet_is_deferred(fleet: Fleet, jobs: rq.Queue) -> None:
    """A chunk of a dead worker and one not yet due must be completed without being sent again."""
    busy, early = listed(fleet, jobs, 2)
    fleet.worker()
    await_true(lambda: working(jobs))
    claimed(fleet, busy, ttl=8)
    fleet.status.fail(claimed(fleet, early).claim, "not yet", retry_in=8)
    fleet.queue.send([busy, early])
    assert [(each.status, each.attempt, each.failures) for each in fleet.until_settled()] == [
        (Status.COMPLETED, 2, 1)
    ] * 2
    assert [job_of(jobs, each).number_of_retries for each in (busy, early)] == [1, 1]


def test_a_job_fails_at_once_when_its_chunk_does(fleet: Fleet, jobs: rq.Queue) -> None:
    """RQ must not use its retries for killed workers on it, and must keep the reason."""
    for path in fleet.pictures(0):
        fleet.site.routes[path] = status(404)
    fleet.submit(1)
    worker = fleet.worker()
    (record,) = fleet.until_settled()
    job = job_of(jobs, record)
    await_true(lambda: job.get_status() == JobStatus.FAILED)
    result = job.latest_result()
    assert result is not None
    assert record.error in str(result.exc_string)
    assert f"job {job.id} has failed: {record.error}\n" in worker.output
    assert "Traceback" not in worker.output


def test_stale_jobs_are_removed_without_a_process(
    fleet: Fleet, jobs: rq.Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands may wait after a cancel. They must leave no process, no failed job and no data in Redis behind."""
    known = planned(fleet, 2)
    records = [*known, evolve(known[0], chunk=evolve(known[0].chunk, id=999))]  # the last one's dataset was deleted
    fleet.queue.send(records)
    fleet.status.cancel("cats")
    worker = work_horse_refused(jobs, monkeypatch)
    for _ in records:
        worker.execute_job(*worker.dequeue_job_and_maintain_ttl(None))
    assert [jobs.count, jobs.failed_job_registry.count, jobs.finished_job_registry.count] == [0, 0, 0]
    assert Job.fetch_many([job_id(jobs.name, each.chunk.key, 1) for each in records], jobs.connection) == [None] * 3


def test_progress_is_shown_in_the_job(fleet: Fleet, jobs: rq.Queue) -> None:
    """The job must show every accepted image, even if no further one arrives."""
    fleet.hold(place=-1)
    fleet.submit(1)
    fleet.worker()
    record = fleet.until(lambda chunks: chunks[0].progress.accepted)[0]
    job = job_of(jobs, record)
    await_true(lambda: job.get_meta().get("accepted") == record.progress.accepted)
    assert job.get_meta() == {
        "chunk": str(record.chunk.key),
        "phase": "validate",
        "accepted": record.progress.accepted,
        "target": fleet.size,
        "rejected": 0,
        "missed": 0,
    }


def test_a_chunk_that_takes_too_long_fails_by_the_time_limit(
    fleet: Fleet, jobs: rq.Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the pictures never arrive, RQ's time limit must end the job and the status name the reason."""
    monkeypatch.setenv("PIXCORE_CHUNK_DEADLINE", "2")
    monkeypatch.setenv("PIXCORE_MAX_FAILURES", "1")
    fleet.hold()
    fleet.submit(1)
    fleet.worker()
    (record,) = fleet.until_settled(20)
    assert (record.status, record.attempt, record.failures) == (Status.FAILED, 1, 1)
    assert record.error.startswith("JobTimeoutException: Task exceeded maximum timeout value (2 seconds)")
    job = job_of(jobs, record)
    await_true(lambda: job.get_status() == JobStatus.FAILED)


@pytest.mark.parametrize("all_processes", [False, True], ids=["worker", "group"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopping_worker_gives_its_chunk_back(fleet: Fleet, workers: int, all_processes: bool) -> None:
    """No failure may be counted and the delivery must be queued, even if all processes get the signal."""
    fleet.hold(place=-1)
    fleet.submit(1)
    worker = fleet.worker(workers)
    fleet.until_running("validate")
    if all_processes:
        kill(*worker.pids, number=signal.SIGTERM)
    else:
        worker.terminate()
    assert worker.code(10) == 0
    (record,) = fleet.records()
    assert (record.status, record.attempt, record.failures) == (Status.PENDING, 1, 0)
    assert fleet.queue.waiting() == 1


def test_an_idle_worker_ends_at_sigterm(fleet: Fleet, jobs: rq.Queue) -> None:
    """An idle worker must end at once and print nothing more."""
    worker = fleet.worker()
    await_true(lambda: working(jobs))
    worker.terminate()
    assert worker.code(10) == 0
    assert len(worker.output.splitlines()) == 1


def test_workers_that_were_killed_are_replaced(fleet: Fleet, jobs: rq.Queue) -> None:
    """Redis must give no further job to workers that were killed."""
    program = fleet.worker(2)
    await_true(lambda: len(working(jobs)) == 2)
    kill(*working(jobs))
    fleet.submit(3)
    assert [record.attempt for record in fleet.until_settled(30)] == [1] * 3
    await_true(lambda: program.output.count("takes chunks") == 4)


@pytest.mark.usefixtures("fleet")
def test_a_worker_refuses_unusable_settings_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code and the message must be those of every command."""
    monkeypatch.setenv("PIXCORE_STORE", "memory://")
    ran = pixcore("worker", "rq")
    assert (ran.code, "exists in one process only" in ran.err) == (2, True)


def test_the_worker_command_of_rq_works_as_well(fleet: Fleet, jobs: rq.Queue, redis: Redis) -> None:
    """With the JSON serializer and the scheduler, it must also deliver deferred chunks."""
    (record,) = listed(fleet, jobs, 1)
    words = ("worker", "--url", redis.url(11), "--serializer", "json", "--with-scheduler", "--quiet", jobs.name)
    with subprocess.Popen([Path(sys.executable).parent / "rq", *words]) as plain:
        try:
            await_true(lambda: working(jobs))
            fleet.status.fail(claimed(fleet, record).claim, "not yet", retry_in=8)
            fleet.queue.send([record])
            assert [each.status for each in fleet.until_settled()] == [Status.COMPLETED]
            assert job_of(jobs, record).number_of_retries == 1
        finally:
            plain.terminate()


# -- progress --------------------------------------------------------------------------------------------------------


def rejection(position: int) -> ImageRejected:
    """Return the event of a rejected image."""
    candidate = Candidate(CandidateKey("urls", "q", position), f"http://host/{position}")
    return ImageRejected(KEY, 1, Rejected(Download(candidate, Path("image"), 1, datetime.now(UTC)), "damaged"))


def test_images_are_written_to_redis_only_at_intervals() -> None:
    """Phases are written at once, images at the next interval or phase, and the last state always."""
    written: SimpleQueue[Mapping[str, object]] = SimpleQueue()
    with JobProgress(written.put, interval=1000) as progress:
        progress(ChunkClaimed(KEY, 1, REQUEST))
        assert written.get(timeout=5)["phase"] == "init"
        for position in range(5):
            progress(rejection(position))
        progress(PhaseEntered(KEY, 1, Phase.COMPRESS))
        state = written.get(timeout=5)
        assert (state["phase"], state["rejected"]) == ("compress", 5)
        progress(rejection(5))
        progress(ChunkFailed(KEY, 1, "no", Status.FAILED))
    state = written.get(timeout=5)
    assert (state["phase"], state["rejected"]) == ("error", 6)
    assert written.empty()


def test_an_error_of_redis_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Later states must still be written after a write has failed."""
    written: SimpleQueue[object] = SimpleQueue()

    def write(state: Mapping[str, object]) -> None:
        written.put(state)
        raise Unreachable("away")

    with JobProgress(write, interval=0.01) as progress:
        for event in (ChunkClaimed(KEY, 1, REQUEST), PhaseEntered(KEY, 1, Phase.COMPRESS), rejection(1)):
            progress(event)
            written.get(timeout=5)
    assert [record.getMessage() for record in caplog.records] == [
        "the progress of chunk cats/1 cannot be written: ConnectionError: away"
    ]
