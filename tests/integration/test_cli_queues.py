"""The commands that send chunks to a queue, reap and cancel them; the workers have tests of their own."""

from pathlib import Path
from typing import Any

import pytest
from command import Ran, at_home, fill, pixcore, start
from databases import new_name
from redis import Redis as Client
from servers.addresses import Redis

from pixcore import ChunkRequest, Priority, Slice, Status
from pixcore.model.claims import Claimed
from pixcore.stored.identity import identity_of
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.queueing.runner import RUNNERS, Runner, open_runner
from pixcore_runners.settings import load_here

FOLDER = ("--source", "folder:photos", "--chunk-size", "4", "--shared-path")


@pytest.fixture(params=[*RUNNERS])
def runner(request: pytest.FixtureRequest) -> str:
    """Return the name of each runner in turn."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis: Redis) -> Path:
    """Change to a folder with ten photos; set a queue that no other test uses."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.setenv("PIXCORE_BROKER", redis.url())
    monkeypatch.setenv("PIXCORE_QUEUE", new_name())
    fill(tmp_path / "photos", 10)
    return tmp_path


@pytest.fixture
def assembly(home: Path) -> Assembly:
    """Return an assembly with a created store and status database."""
    assert home
    return assemble(load_here().settings, create=True)


@pytest.fixture
def queue(runner: str) -> Runner:
    """Return the queue."""
    return open_runner(runner, load_here().settings)


def submit(runner: str, *words: object) -> Ran:
    """Submit the photos in chunks of four, with the document on standard output."""
    return pixcore("submit", *FOLDER, "--runner", runner, "--json", *words)


def test_submit_plans_and_sends_every_chunk(runner: str, assembly: Assembly, queue: Runner) -> None:
    """The document has only counts, because a dataset may have a hundred thousand chunks."""
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
    assert queue.waiting() == 3
    records = list(assembly.status.find("photos"))
    assert {record.queue for record in records} == {load_here().settings.queue_at(runner)}
    assert {record.store for record in records} == {identity_of(assembly.store)} != {""}


def test_submitting_again_sends_no_running_or_finished_chunk(runner: str, assembly: Assembly) -> None:
    """A user who is not sure whether it worked must be able to repeat the command."""
    submit(runner)
    running, done, _ = assembly.status.find("photos")
    assembly.status.claim(running.chunk.key, "another", 60)
    answer = assembly.status.claim(done.chunk.key, "another", 60)
    assert isinstance(answer, Claimed)
    assembly.status.fail(answer.claim, "broken", retry_in=None)
    again = submit(runner).document
    assert (again["planned"], again["pending"], again["processing"], again["failed"]) == (0, 1, 1, 1)
    assert again["enqueued"] <= 1  # rq knows its jobs by name and already has the third one


def test_a_folder_is_refused_without_the_option_for_shared_paths(runner: str, home: Path, queue: Runner) -> None:
    """A folder of this machine would fail on every other one, so nothing may be planned or sent."""
    ran = pixcore("submit", "--source", "folder:photos", "--runner", runner)
    assert ran.code == 2
    assert "folder:photos is a folder of this machine" in ran.err
    assert "--shared-path" in ran.err
    assert not (home / "pixcore-data").exists()
    assert queue.waiting() == 0


def test_a_list_is_stored_for_the_workers(runner: str, home: Path, assembly: Assembly) -> None:
    """Workers on other machines do not have the file, so slices name its copy in the store."""
    (home / "list.txt").write_text("".join(f"https://example.org/{n}.jpg\n" for n in range(6)))
    ran = pixcore("submit", "cat", "--source", "urls:list.txt", "--chunk-size", "3", "--runner", runner)
    assert ran.code == 0, ran.err
    (home / "list.txt").unlink()
    (snapshot,) = {part.snapshot for record in assembly.status.find("cat") for part in record.chunk.request.slices}
    assert assembly.store.head(f"{snapshot}/000000.jsonl").size > 0


@pytest.mark.parametrize("where", ["store", "status"])
def test_a_store_or_status_in_memory_is_refused(runner: str, where: str) -> None:
    """Workers cannot read the memory of the command, which ends before they run."""
    ran = submit(runner, f"--{where}", "memory://")
    assert (ran.code, f"{where} memory:// " in ran.err) == (2, True)


def test_without_a_broker_the_remedy_is_named(runner: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error must come before any chunk is planned."""
    monkeypatch.delenv("PIXCORE_BROKER")
    ran = submit(runner)
    assert (ran.code, "PIXCORE_BROKER" in ran.err) == (2, True)
    assert not (home / "pixcore-data").exists()


def test_an_unreachable_broker_is_named_without_its_password(
    runner: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 tells a script to retry, and many people may read the logs of the command."""
    monkeypatch.setenv("PIXCORE_BROKER", "redis://:sesame@127.0.0.1:1/0")
    ran = submit(runner)
    assert (ran.code, "127.0.0.1:1" in ran.err, "sesame" in ran.err) == (1, True, False), ran.err
    assert not (home / "pixcore-data").exists()


def test_reap_frees_expired_claims_and_sends_their_chunks_again(
    runner: str, assembly: Assembly, queue: Runner, redis: Redis
) -> None:
    """A chunk without worker and delivery can only be found by its lease."""
    submit(runner)
    name = load_here().settings.queue
    with Client.from_url(redis.url()) as client:  # the deliveries are lost
        client.delete(f"{name}\x06\x169", f"{name}\x06\x166", name, f"rq:queue:{name}")
    dead, *_ = assembly.status.find("photos")
    assembly.status.claim(dead.chunk.key, "gone", 0.001)
    ran = pixcore("reap", "--json")
    assert (ran.code, ran.document) == (0, {"version": 1, "freed": 1, "lost": 0})
    assert queue.waiting() == 1
    assert assembly.status.get(dead.chunk.key).status is Status.PENDING
    assert pixcore("reap", "--json").document["freed"] == 0


def test_no_command_touches_the_chunks_of_another_team(
    runner: str, assembly: Assembly, queue: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two teams share a status database; a reaper of one sent the other's chunks to its own workers."""
    assert submit(runner).code == 0
    theirs = list(assembly.status.find("photos"))
    assembly.status.claim(theirs[0].chunk.key, "gone", 0.001)
    before = list(assembly.status.find("photos"))[1:], queue.waiting()
    own = load_here().settings.queue
    monkeypatch.setenv("PIXCORE_QUEUE", new_name())
    monkeypatch.setenv("PIXCORE_STORE", "file:./ours")
    assert pixcore("reap", "--json").document == {"version": 1, "freed": 0, "lost": 0}
    for command in (("submit", *FOLDER, "--runner", runner), ("run", *FOLDER[:4]), ("retry", "photos")):
        ran = pixcore(*command)
        assert (ran.code, "belongs to another store than file:./ours" in ran.err) == (2, True), ran.err
    monkeypatch.setenv("PIXCORE_QUEUE", own)
    for refused in (pixcore("worker", runner), pixcore("check")):
        assert refused.code == 2
        assert "belong to another store than file:./ours, those of: photos" in refused.err + refused.out
    assert pixcore("reap", "--json").document["freed"] == 1  # the same queue: a reaper needs no store
    assert list(assembly.status.find("photos"))[1:] == before[0]
    assert queue.waiting() == before[1] + (runner == "celery")  # RQ has a job for the chunk, and needs no second one


def test_chunks_sent_ahead_come_before_the_backlog(runner: str, assembly: Assembly, queue: Any) -> None:  # noqa: ANN401 - the test reads its internals
    """The chunk of a dead worker would wait for days behind a hundred thousand others."""
    submit(runner)
    (chunk,) = assembly.status.ensure([ChunkRequest(0, "cat", 1, [Slice("openverse", "cat", 0, 1)], "urgent")])
    queue.send([assembly.status.get(chunk.key)], ahead=True)
    if runner == "rq":
        assert f"__urgent__{chunk.id}__" in queue.jobs.job_ids[0]
    else:
        name = load_here().settings.queue
        with queue.app.connection_for_write() as connection, connection.SimpleQueue(name) as opened:
            assert opened.get(timeout=20).payload[0] == [chunk.id]


def test_reap_repeats_until_sigterm(assembly: Assembly) -> None:
    """It must print what it freed, and end on SIGTERM without an error."""
    submit("rq")
    dead, *_ = assembly.status.find("photos")
    assembly.status.claim(dead.chunk.key, "gone", 0.001)
    process = start("reap", "--every", "0.05")
    assert process.stderr
    assert "claims freed: 1" in process.stderr.readline()
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in err) == (0, False)


def test_cancel_fails_pending_chunks_and_requests_the_end_of_running_ones(
    runner: str, assembly: Assembly, queue: Runner
) -> None:
    """A retry must make the cancelled chunks pending again. Only the deliveries of other datasets stay in the queue."""
    submit(runner)
    assert submit(runner, "--dataset", "others", "--priority", "low").code == 0
    running, *_ = assembly.status.find("photos")
    assembly.status.claim(running.chunk.key, "another", 60)
    ran = pixcore("cancel", "photos", "--json")
    assert ran.document == {"version": 1, "dataset": "photos", "cancelled": 3, "discarded": 3}
    assert queue.waiting() == 3
    records = list(assembly.status.find("photos"))
    assert [record.status for record in records] == [Status.PROCESSING, Status.FAILED, Status.FAILED]
    assert [record.error for record in records[1:]] == ["cancelled", "cancelled"]
    assert records[0].cancel_requested
    assert pixcore("cancel", "nobody").code == 2
    ran = pixcore("retry", "photos", "--runner", runner)
    assert (ran.code, "chunks reopened: 2" in ran.err, "chunks enqueued: " in ran.err) == (0, True, True), ran.err
    assert [record.status for record in assembly.status.find("photos")][1:] == [Status.PENDING] * 2
    assert queue.waiting() == 3 + 2


def test_a_cancel_says_which_deliveries_it_leaves(
    runner: str, assembly: Assembly, queue: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in a queue that the settings do not name; workers drop them."""
    submit(runner)
    monkeypatch.setenv("PIXCORE_QUEUE", new_name())
    ran = pixcore("cancel", "photos", "--json")
    assert (ran.code, ran.document["discarded"], queue.waiting()) == (0, 0, 3)
    assert f"deliveries stay in the queue {next(assembly.status.find('photos')).queue}" in ran.err


def test_chunks_of_a_higher_priority_are_delivered_first(runner: str, assembly: Assembly, queue: Any) -> None:  # noqa: ANN401 - the test reads its internals
    """A small dataset must not wait behind a large one; a repeated submit and a retry keep the priority."""
    for dataset, priority in (("low", ("--priority", "low")), ("normal", ()), ("high", ("--priority", "high"))):
        assert submit(runner, "--dataset", dataset, *priority).code == 0
    assert submit(runner, "--dataset", "high").code == 0
    order = ["high"] * (6 if runner == "celery" else 3) + ["normal"] * 3 + ["low"] * 3  # Celery sends each time
    assert next(assembly.status.find("high")).priority is Priority.HIGH
    if runner == "rq":
        taken = [each for of_priority in queue.queues.values() for each in of_priority.job_ids]
        assert [each.split("__")[1] for each in taken] == order
    else:
        with (
            queue.app.connection_for_write() as connection,
            connection.SimpleQueue(load_here().settings.queue) as opened,
        ):
            taken = [opened.get(timeout=20) for _ in order]
        assert [message.headers["pixcore_dataset"] for message in taken] == order


@pytest.mark.parametrize("runner", ["celery"], indirect=True)
def test_a_broker_without_priorities_refuses_them(runner: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ would ignore them in silence."""
    monkeypatch.setenv("PIXCORE_BROKER", "amqp://127.0.0.1:1/")
    ran = submit(runner, "--priority", "high")
    assert (ran.code, "have no priorities" in ran.err) == (2, True), ran.err
    assert not (home / "pixcore-data").exists()


@pytest.mark.parametrize("words", [("submit", "cat"), ("submit", "cat", "--runner", "sge"), ("worker", "sge")], ids=str)
def test_the_runner_has_no_default(words: tuple[str, ...]) -> None:
    """The user must name one of the existing runners."""
    assert pixcore(*words).code == 2


def test_a_worker_refuses_a_database_that_does_not_exist(runner: str, home: Path) -> None:
    """The worker would consume deliveries of chunks in another database; the error must name the remedy."""
    ran = pixcore("worker", runner)
    assert (ran.code, "is not set up yet" in ran.err) == (2, True), ran.err
    assert not (home / "pixcore-data").exists()
