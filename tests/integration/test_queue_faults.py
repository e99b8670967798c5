"""Workers are killed; broker, database and store stop: every chunk must be settled once and leave nothing behind."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import servers.postgres
import servers.redis
from fault_proxy import Answer, FaultProxy, Reset
from fleet import RECOVERY, Fleet, await_true, everything_holds, fleet, kill
from redis import Redis as RedisClient
from rq import Queue
from servers.addresses import S3, Redis
from servers.fixtures import Own
from servers.server import Server
from stores import real_store

from pixcore import ChunkRequest, Slice, Status
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_runners.queueing.runner import RUNNERS, QueueUnavailable, open_runner
from pixcore_runners.settings import SecretUrl, Settings

FIRST, LAST = 0, -1


@pytest.fixture(params=[*RUNNERS])
def runner(request: pytest.FixtureRequest) -> str:
    """Return the name of each runner in turn."""
    name: str = request.param
    return name


@pytest.fixture
def broker(own: Own) -> Server[Redis]:
    """Return a Redis for this test alone."""
    return own(servers.redis.prepare)


@pytest.fixture
def crew(runner: str, broker: Server[Redis], tmp_path: Path) -> Iterator[Fleet]:
    """Return a fleet without a worker."""
    with fleet(runner, tmp_path, broker=broker.address.url()) as made:
        yield made


def outcome(crew: Fleet) -> list[tuple[Status, int, int]]:
    """Return status, attempts and failures of every chunk, once all are settled."""
    crew.until_settled()
    return outcome_so_far(crew)


def outcome_so_far(crew: Fleet) -> list[tuple[Status, int, int]]:
    """Return status, attempts and failures of every chunk."""
    return [(record.status, record.attempt, record.failures) for record in crew.records()]


def statuses(crew: Fleet) -> list[Status]:
    """Return the status of every chunk, once all are settled; stopped services may cost attempts."""
    return [record.status for record in crew.until_settled()]


def fetched_once(crew: Fleet) -> bool:
    """Return whether no picture was fetched twice."""
    pictures = [path for path in crew.site.paths() if path.endswith(".jpg")]
    return len(pictures) == len(set(pictures))


ONCE, AGAIN = (Status.COMPLETED, 1, 0), (Status.COMPLETED, 2, 1)


# -- workers ---------------------------------------------------------------------------------------------------------


def test_a_killed_child_costs_an_attempt(crew: Fleet) -> None:
    """The worker must stay alive and run the chunk again once the lease of the dead process has expired."""
    crew.hold()
    crew.submit(2)
    worker, _ = crew.worker(), crew.reaper()
    with crew.uploads_held():
        crew.until_running("upload")
        kill(*worker.children)
    assert outcome(crew) == [AGAIN, ONCE]
    assert worker.alive
    everything_holds(crew, killed=True)


def test_another_worker_takes_over_from_a_killed_one(crew: Fleet) -> None:
    """This must happen soon after the lease, although the broker would wait half an hour for the dead worker."""
    crew.submit(2)
    with crew.held_back(0, LAST):
        worker = crew.worker()
        crew.until_running("validate")
        _, _ = crew.worker(), crew.reaper()
        worker.kill()
    crew.until(lambda chunks: chunks[0].attempt == 2, within=RECOVERY)
    assert outcome(crew) == [AGAIN, ONCE]
    everything_holds(crew, killed=True)


def test_a_stopping_worker_gives_its_chunk_back(crew: Fleet) -> None:
    """No failure is counted, no file is left, and the next worker continues at once, without a reaper."""
    crew.submit(2)
    with crew.held_back(0, FIRST):
        worker = crew.worker()
        crew.until_running("download")
        worker.terminate()
        assert worker.code() == 0
    assert outcome_so_far(crew) == [(Status.PENDING, 1, 0), (Status.PENDING, 0, 0)]
    assert not list((crew.folder / "work").glob("chunk-*"))
    crew.worker()
    assert outcome(crew) == [(Status.COMPLETED, 2, 0), ONCE]
    everything_holds(crew)


def test_a_worker_that_does_not_stop_is_killed(crew: Fleet) -> None:
    """SIGKILL after SIGTERM must have the same result as SIGKILL alone."""
    crew.submit(2)
    with crew.held_back(0, LAST):
        worker = crew.worker()
        crew.until_running("validate")
        kill(*worker.children, number=signal.SIGSTOP)
        worker.terminate()
        crew.until(lambda chunks: chunks[0].lease_left < 0)
        worker.kill()
    _, _ = crew.worker(), crew.reaper()
    assert outcome(crew) == [AGAIN, ONCE]
    everything_holds(crew, killed=True)


def test_a_chunk_that_kills_its_workers_is_given_up(crew: Fleet) -> None:
    """Its attempts are bounded, the other chunks complete, and the worker stays alive."""
    crew.submit(2)
    with crew.held_back(0, FIRST):
        worker, _ = crew.worker(), crew.reaper()
        for attempt in (1, 2, 3):
            crew.until_running("download", attempt=attempt)
            kill(*worker.children)
        assert outcome(crew) == [(Status.FAILED, 3, 3), ONCE]
    assert worker.alive
    everything_holds(crew, killed=True)


def test_a_chunk_that_hangs_ends_at_its_time_limit(crew: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status must name the limit, and the next chunk must complete."""
    monkeypatch.setenv("PIXCORE_CHUNK_DEADLINE", "12")
    monkeypatch.setenv("PIXCORE_MAX_FAILURES", "1")
    crew.hold()
    crew.submit(2)
    crew.worker()
    with crew.uploads_held():
        crew.until(lambda chunks: chunks[0].status is Status.FAILED)
    assert outcome(crew) == [(Status.FAILED, 1, 1), ONCE]
    assert re.search(r"\b12 s", crew.records()[0].error)
    everything_holds(crew)


# -- deliveries ------------------------------------------------------------------------------------------------------


def test_a_chunk_delivered_many_times_runs_once(crew: Fleet) -> None:
    """No picture may be fetched twice, whether the deliveries come at once, during the run or after it."""
    crew.submit(2)
    for _ in range(3):
        deliver_again(crew)
    with crew.held_back(0, LAST):
        crew.worker(2)
        crew.until_running("validate")
        deliver_again(crew)
        await_true(lambda: not crew.queue.waiting())
    assert outcome(crew) == [ONCE, ONCE]
    deliver_again(crew)
    await_true(lambda: not crew.queue.waiting())
    everything_holds(crew)
    assert outcome_so_far(crew) == [ONCE, ONCE]
    assert fetched_once(crew)


@pytest.mark.parametrize("runner", ["celery"], indirect=True)
def test_a_visibility_timeout_below_the_run_time_runs_a_chunk_once(crew: Fleet) -> None:
    """With such a timeout the broker delivers the chunk to another process while it runs."""
    (crew.folder / "impatient.py").write_text(
        "from pixcore_runners.celery import make_app\n"
        "app = make_app()\n"
        "app.conf.broker_transport_options |= {'visibility_timeout': 1, 'unacked_restore_interval': 1}\n"
    )
    crew.submit(1)
    with crew.held_back(0, LAST):
        celery = (sys.executable, "-m", "celery", "-A", "impatient")
        worker = crew.start("worker", "--concurrency", 2, "--loglevel", "INFO", command=celery)
        await_true(lambda: worker.output.count("received") >= 2)
        crew.until_running("validate")
    assert outcome(crew) == [ONCE]
    assert fetched_once(crew)
    everything_holds(crew)


def deliver_again(crew: Fleet) -> None:
    """Queue one more delivery of every chunk, like a broker that missed an acknowledgement."""
    for record in crew.records():
        if crew.runner == "celery":
            crew.queue.send([record])
        else:
            with RedisClient.from_url(os.environ["PIXCORE_BROKER"]) as client:
                queue = Queue("pixcore", connection=client, serializer="json")
                queue.enqueue("pixcore_runners.rq.process_chunk", record.chunk.id, record.chunk.request.dataset)


def test_deliveries_that_the_broker_has_lost_are_sent_again(crew: Fleet, broker: Server[Redis]) -> None:
    """The reaper must find them in the status database."""
    crew.submit(2)
    with RedisClient.from_url(broker.address.url()) as client:
        client.flushall()
    _, _ = crew.worker(), crew.reaper()
    assert outcome(crew) == [ONCE, ONCE]
    everything_holds(crew)


def test_submitting_again_sends_only_pending_chunks(crew: Fleet) -> None:
    """Running, completed and failed chunks must not be sent again."""
    assert crew.submit(1) == 1
    crew.worker()
    crew.until_settled()
    with crew.held_back(1, LAST):
        assert crew.submit(2) == 1
        crew.until_running("validate", 1)
        assert crew.submit(2) == 0
    assert outcome(crew) == [ONCE, ONCE]
    everything_holds(crew)


# -- services --------------------------------------------------------------------------------------------------------


def test_a_restart_of_the_broker_is_survived(crew: Fleet, broker: Server[Redis]) -> None:
    """A worker may end with its broker; its supervisor starts it again, and every chunk must be settled once."""
    crew.submit(2)
    with crew.held_back(0, FIRST):
        crew.supervised += [crew.worker(), crew.reaper()]
        crew.until_running("download")
        broker.stop()
        crew.until_renewed()
        broker.start()
    assert statuses(crew) == [Status.COMPLETED] * 2
    everything_holds(crew, killed=True)


def test_a_chunk_that_completes_while_the_broker_is_away_is_not_run_again(crew: Fleet, broker: Server[Redis]) -> None:
    """The recorded result counts, although the broker did not learn of it; the other chunks wait for the broker."""
    crew.submit(2)
    with crew.held_back(0, LAST):
        crew.supervised += [crew.worker(), crew.reaper()]
        crew.until_running("validate")
        broker.stop()
    crew.until(lambda chunks: chunks[0].status is not Status.PROCESSING)
    broker.start()
    assert statuses(crew) == [Status.COMPLETED] * 2
    everything_holds(crew, killed=True)


def test_a_restart_of_the_database_is_survived(runner: str, broker: Server[Redis], own: Own, tmp_path: Path) -> None:
    """Chunks wait for the database, or run again if their lease has expired."""
    server = own(servers.postgres.prepare)
    at = server.address
    url = f"postgresql+psycopg://{at.user}@127.0.0.1:{at.port}/postgres"
    with fleet(runner, tmp_path, broker=broker.address.url(), status=url, PGPASSWORD=at.password) as crew:
        crew.hold()
        crew.submit(2)
        crew.supervised += [crew.worker(), crew.reaper()]
        with crew.uploads_held():
            crew.until_running("upload")
            server.stop()
        await_true(lambda: "is not available" in crew.supervised[0].output)
        server.start()
        assert statuses(crew) == [Status.COMPLETED] * 2
        everything_holds(crew)


def test_a_store_that_is_away_for_a_while_is_waited_for(
    runner: str, broker: Server[Redis], moto: S3, tmp_path: Path
) -> None:
    """The worker must keep the archive and fetch nothing again."""
    with FaultProxy(moto.port) as proxy:
        store = real_store(moto, f"cats-{uuid4().hex[:12]}", proxy.port)
        settings = {"store": store.url, "create_container": "true", "broker": broker.address.url(), **store.environ}
        with fleet(runner, tmp_path, **settings) as crew:
            crew.submit(2)
            with crew.held_back(0, LAST):
                worker = crew.worker()
                crew.until_running("validate")
                proxy.play(*[Answer(503), Reset()] * 1000)
            await_true(lambda: worker.output.count("is retried in") >= 2)
            proxy.play()
            assert outcome(crew) == [ONCE, ONCE]
            assert fetched_once(crew)
            everything_holds(crew)


def test_a_broker_without_memory_is_said_to_be_full(runner: str, broker: Server[Redis]) -> None:
    """It runs and is reachable, so the usual advice would send the operator to the wrong place."""
    client = RedisClient.from_url(broker.address.url())
    client.config_set("maxmemory", 1)
    status = MemoryStatusRepo()
    (chunk,) = status.ensure([ChunkRequest(0, "cat", 1, [Slice("folder", "/none", 0, 1)], "cats")])
    with pytest.raises(QueueUnavailable, match=r"is full \(.*maxmemory.*\); raise its maxmemory"):
        open_runner(runner, Settings(broker=SecretUrl(broker.address.url()))).send([status.get(chunk.key)])
