"""The commands that send chunks to a queue, and those that look after them; the workers have tests of their own."""

from pathlib import Path
from typing import Any

import pytest
from command import Ran, at_home, fill, pixcore, start
from databases import new_name
from servers.addresses import Redis

from pixcore import ChunkRequest, Slice, Status
from pixcore.model.chunks import Claimed
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.queueing.runner import RUNNERS, Runner, open_runner
from pixcore_runners.settings import load_here

FOLDER = ("--source", "folder:photos", "--chunk-size", "4", "--shared-path")


@pytest.fixture(params=[*RUNNERS])
def runner(request: pytest.FixtureRequest) -> str:
    """Each of the queues."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis: Redis) -> Path:
    """A current folder with ten photos, and a queue that nobody else uses."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.setenv("PIXCORE_BROKER", redis.url())
    monkeypatch.setenv("PIXCORE_QUEUE", new_name())
    fill(tmp_path / "photos", 10)
    return tmp_path


@pytest.fixture
def assembly(home: Path) -> Assembly:
    """Store and status database, as they are after the first command."""
    assert home
    return assemble(load_here().settings, make=True)


@pytest.fixture
def line(runner: str) -> Runner:
    """The queue itself."""
    return open_runner(runner, load_here().settings)


def submit(runner: str, *words: object) -> Ran:
    """Submit the photos in chunks of four; the document is on standard output."""
    return pixcore("submit", *FOLDER, "--runner", runner, "--json", *words)


def test_submit_plans_and_sends_every_chunk(runner: str, assembly: Assembly, line: Runner) -> None:
    """The document counts, for a dataset may have a hundred thousand chunks."""
    ran = submit(runner)
    assert ran.code == 0, ran.err
    assert ran.document == {
        "version": 1,
        "dataset": "photos",
        "planned": 3,
        "enqueued": 3,
        "pending": 3,
        "processing": 0,
        "completed": 0,
        "failed": 0,
    }
    assert line.waiting() == 3
    assert {record.queue for record in assembly.status.find("photos")} == {runner}


def test_submitting_again_leaves_alone_what_is_running_or_done(runner: str, assembly: Assembly) -> None:
    """Who is not sure whether it went through does it again."""
    submit(runner)
    running, done, _ = assembly.status.find("photos")
    assembly.status.claim(running.chunk.key, "somebody", 60)
    answer = assembly.status.claim(done.chunk.key, "somebody", 60)
    assert isinstance(answer, Claimed)
    assembly.status.fail(answer.claim, "broken", retry_in=None)
    again = submit(runner).document
    assert (again["planned"], again["pending"], again["processing"], again["failed"]) == (0, 1, 1, 1)
    assert again["enqueued"] <= 1  # a queue that knows its jobs by name has the third already


def test_a_folder_is_refused_unless_the_workers_have_it(runner: str, home: Path, line: Runner) -> None:
    """A folder of this machine would fail on every other one; nothing is planned or sent."""
    ran = pixcore("submit", "--source", "folder:photos", "--runner", runner)
    assert ran.code == 2
    assert "folder:photos is a folder of this machine" in ran.err
    assert "--shared-path" in ran.err
    assert not (home / "pixcore-data").exists()
    assert line.waiting() == 0


def test_a_list_goes_into_the_store(runner: str, home: Path, assembly: Assembly) -> None:
    """Workers elsewhere have neither the file nor its path: slices name what is stored under its own checksum."""
    (home / "list.txt").write_text("".join(f"https://example.org/{n}.jpg\n" for n in range(6)))
    ran = pixcore("submit", "cat", "--source", "urls:list.txt", "--chunk-size", "3", "--runner", runner)
    assert ran.code == 0, ran.err
    (home / "list.txt").unlink()
    (snapshot,) = {piece.snapshot for record in assembly.status.find("cat") for piece in record.chunk.request.slices}
    assert assembly.store.head(f"{snapshot}/000000.jsonl").size > 0


@pytest.mark.parametrize("where", ["store", "status"])
def test_what_workers_cannot_see_is_refused(runner: str, where: str) -> None:
    """Chunks in the memory of the command would end with it."""
    ran = submit(runner, f"--{where}", "memory://")
    assert (ran.code, f"{where} memory:// " in ran.err) == (2, True)


def test_without_a_broker_the_remedy_is_told(runner: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is planned."""
    monkeypatch.delenv("PIXCORE_BROKER")
    ran = submit(runner)
    assert (ran.code, "PIXCORE_BROKER" in ran.err) == (2, True)
    assert not (home / "pixcore-data").exists()


def test_a_broker_that_is_away_is_told_without_its_password(
    runner: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 means: try again; and logs of the command are read by many."""
    monkeypatch.setenv("PIXCORE_BROKER", "redis://:sesame@127.0.0.1:1/0")
    ran = submit(runner)
    assert (ran.code, "127.0.0.1:1" in ran.err, "sesame" in ran.err) == (1, True, False), ran.err
    assert not (home / "pixcore-data").exists()


def test_reap_frees_the_claims_of_the_dead_and_sends_their_chunks_again(
    runner: str, assembly: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk whose worker and whose delivery are gone is found by its lease alone."""
    submit(runner)
    monkeypatch.setenv("PIXCORE_QUEUE", new_name())  # what was sent is gone
    line = open_runner(runner, load_here().settings)
    dead, *_ = assembly.status.find("photos")
    assembly.status.claim(dead.chunk.key, "gone", 0.001)
    ran = pixcore("reap", "--json")
    assert (ran.code, ran.document) == (0, {"version": 1, "freed": 1, "lost": 0})
    assert line.waiting() == 1
    assert assembly.status.get(dead.chunk.key).status is Status.PENDING
    assert pixcore("reap", "--json").document["freed"] == 0


def test_what_is_sent_ahead_comes_before_the_backlog(runner: str, assembly: Assembly, line: Any) -> None:  # noqa: ANN401 - looked into
    """The chunk of a dead worker, behind a hundred thousand others, would be lost for days."""
    submit(runner)
    (chunk,) = assembly.status.ensure([ChunkRequest(0, "cat", 1, [Slice("openverse", "cat", 0, 1)], "urgent")])
    line.send([assembly.status.get(chunk.key)], ahead=True)
    if runner == "rq":
        assert f"__urgent__{chunk.id}__" in line.jobs.job_ids[0]
    else:
        name = load_here().settings.queue
        with line.app.connection_for_write() as connection, connection.SimpleQueue(name) as opened:
            assert opened.get(timeout=20).payload[0] == [chunk.id]


def test_reap_goes_on_until_it_is_told_to_stop(assembly: Assembly) -> None:
    """It says what it did, ends on SIGTERM, and a broker that is away does not end it."""
    submit("rq")
    dead, *_ = assembly.status.find("photos")
    assembly.status.claim(dead.chunk.key, "gone", 0.001)
    process = start("reap", "--every", "0.05")
    assert process.stderr
    assert "claims freed: 1" in process.stderr.readline()
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in err) == (0, False)


def test_cancel_ends_what_waits_and_asks_what_runs(runner: str, assembly: Assembly) -> None:
    """Its deliveries find nothing to do; retry takes it back."""
    submit(runner)
    running, *_ = assembly.status.find("photos")
    assembly.status.claim(running.chunk.key, "somebody", 60)
    assert pixcore("cancel", "photos", "--json").document["cancelled"] == 3
    records = list(assembly.status.find("photos"))
    assert [record.status for record in records] == [Status.PROCESSING, Status.FAILED, Status.FAILED]
    assert [record.error for record in records[1:]] == ["cancelled", "cancelled"]
    assert records[0].cancel_requested
    assert pixcore("cancel", "nobody").code == 2
    ran = pixcore("retry", "photos", "--runner", runner)
    assert (ran.code, "chunks reopened: 2" in ran.err, "chunks enqueued: " in ran.err) == (0, True, True), ran.err
    assert [record.status for record in assembly.status.find("photos")][1:] == [Status.PENDING] * 2


@pytest.mark.parametrize("words", [("submit", "cat"), ("submit", "cat", "--runner", "sge"), ("worker", "sge")], ids=str)
def test_a_queue_has_to_be_named(words: tuple[str, ...]) -> None:
    """There is no usual one."""
    assert pixcore(*words).code == 2


def test_a_worker_refuses_a_database_that_is_not_made(runner: str, home: Path) -> None:
    """It would eat the deliveries of another one's chunks; what is to be done is said."""
    ran = pixcore("worker", runner)
    assert (ran.code, "is not set up yet" in ran.err) == (2, True), ran.err
    assert not (home / "pixcore-data").exists()
