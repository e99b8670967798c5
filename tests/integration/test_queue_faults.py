"""Workers of queues die, their broker, database and store go away: every chunk ends once, nothing stays behind."""

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

from pixcore import Status
from pixcore_runners.queueing.runner import RUNNERS

FIRST, LAST = 0, -1


@pytest.fixture(params=[*RUNNERS])
def runner(request: pytest.FixtureRequest) -> str:
    """Give each of the queues in turn."""
    name: str = request.param
    return name


@pytest.fixture
def broker(own: Own) -> Server[Redis]:
    """Give a Redis of the test's own."""
    return own(servers.redis.prepare)


@pytest.fixture
def crew(runner: str, broker: Server[Redis], tmp_path: Path) -> Iterator[Fleet]:
    """Give a fleet without a worker yet."""
    with fleet(runner, tmp_path, broker=broker.address.url()) as made:
        yield made


def outcome(crew: Fleet) -> list[tuple[Status, int, int]]:
    """Status, attempts and failures of every chunk, once all are settled."""
    crew.until_settled()
    return outcome_so_far(crew)


def outcome_so_far(crew: Fleet) -> list[tuple[Status, int, int]]:
    """Status, attempts and failures of every chunk."""
    return [(record.status, record.attempt, record.failures) for record in crew.records()]


def statuses(crew: Fleet) -> list[Status]:
    """How the chunks stand, once all are settled; services that go away may cost attempts."""
    return [record.status for record in crew.until_settled()]


def fetched_once(crew: Fleet) -> bool:
    """Whether no picture was fetched twice."""
    pictures = [path for path in crew.site.paths() if path.endswith(".jpg")]
    return len(pictures) == len(set(pictures))


ONCE, AGAIN = (Status.COMPLETED, 1, 0), (Status.COMPLETED, 2, 1)


# -- workers ---------------------------------------------------------------------------------------------------------


def test_a_killed_child_costs_an_attempt(crew: Fleet) -> None:
    """Its worker lives on and works the chunk off again, as soon as the lease of the dead one has expired."""
    crew.submit(2)
    with crew.uploads_held():
        worker, _ = crew.worker(), crew.reaper()
        crew.until_running("upload")
        kill(*worker.children)
    assert outcome(crew) == [AGAIN, ONCE]
    assert worker.alive
    everything_holds(crew, killed=True)


def test_a_killed_worker_is_made_up_for_by_another(crew: Fleet) -> None:
    """Soon after its lease has expired, though the broker would wait half an hour for the dead worker."""
    crew.submit(2)
    with crew.held_back(0, LAST):
        worker = crew.worker()
        crew.until_running("validate")
        _, _ = crew.worker(), crew.reaper()
        worker.kill()
    crew.until(lambda chunks: chunks[0].attempt == 2, within=RECOVERY)
    assert outcome(crew) == [AGAIN, ONCE]
    everything_holds(crew, killed=True)


def test_a_worker_told_to_stop_gives_its_chunk_back(crew: Fleet) -> None:
    """No failure is counted, nothing is left, and the next worker goes on at once, without a reaper."""
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
    """SIGTERM to one that hangs, then SIGKILL: as if it had been killed at once."""
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
    """Its budget bounds how many; the chunks beside it complete, and the worker is there for more."""
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
    """Whatever it hangs in, and with the reason; the chunk behind it completes."""
    monkeypatch.setenv("PIXCORE_CHUNK_DEADLINE", "12")
    monkeypatch.setenv("PIXCORE_MAX_FAILURES", "1")
    crew.submit(2)
    with crew.uploads_held():
        crew.worker()
        crew.until(lambda chunks: chunks[0].status is Status.FAILED)
    assert outcome(crew) == [(Status.FAILED, 1, 1), ONCE]
    assert re.search(r"\b12 s", crew.records()[0].error)
    everything_holds(crew)


# -- deliveries ------------------------------------------------------------------------------------------------------


def test_a_chunk_delivered_many_times_runs_once(crew: Fleet) -> None:
    """At the same moment, while it runs, and when it is done: no picture is fetched twice."""
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
def test_a_broker_that_is_too_hasty_has_a_chunk_run_once(crew: Fleet) -> None:
    """With a visibility time-out below its run time it is delivered to another process while it runs."""
    (crew.folder / "hasty.py").write_text(
        "from pixcore_runners.celery import make_app\n"
        "app = make_app()\n"
        "app.conf.broker_transport_options |= {'visibility_timeout': 1, 'unacked_restore_interval': 1}\n"
    )
    crew.submit(1)
    with crew.held_back(0, LAST):
        celery = (sys.executable, "-m", "celery", "-A", "hasty")
        worker = crew.start("worker", "--concurrency", 2, "--loglevel", "INFO", command=celery)
        await_true(lambda: worker.output.count("received") >= 2)
        crew.until_running("validate")
    assert outcome(crew) == [ONCE]
    assert fetched_once(crew)
    everything_holds(crew)


def deliver_again(crew: Fleet) -> None:
    """Put one more delivery of every chunk into the queue, as a broker may that was not told of its end."""
    for record in crew.records():
        if crew.runner == "celery":
            crew.queue.send([record])
        else:
            with RedisClient.from_url(os.environ["PIXCORE_BROKER"]) as client:
                queue = Queue("pixcore", connection=client, serializer="json")
                queue.enqueue("pixcore_runners.rq.process_chunk", record.chunk.id, record.chunk.request.dataset)


def test_deliveries_that_the_broker_has_lost_are_sent_again(crew: Fleet, broker: Server[Redis]) -> None:
    """By the reaper, which knows from the status database what was to be delivered."""
    crew.submit(2)
    with RedisClient.from_url(broker.address.url()) as client:
        client.flushall()
    _, _ = crew.worker(), crew.reaper()
    assert outcome(crew) == [ONCE, ONCE]
    everything_holds(crew)


def test_submitting_again_sends_what_is_neither_running_nor_done(crew: Fleet) -> None:
    """Neither a running chunk nor a completed or failed one is enqueued again."""
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
    """A worker may end with it; its supervisor starts it again, and every chunk ends once."""
    crew.submit(2)
    with crew.held_back(0, FIRST):
        crew.supervised += [crew.worker(), crew.reaper()]
        crew.until_running("download")
        broker.stop()
        crew.until_renewed()
        broker.start()
    assert statuses(crew) == [Status.COMPLETED] * 2
    everything_holds(crew, killed=True)


def test_what_ends_while_the_broker_is_away_has_ended(crew: Fleet, broker: Server[Redis]) -> None:
    """What is recorded counts, though nobody could be told; the others wait for the broker."""
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
    """Chunks wait for it, or are worked off again where their lease has expired meanwhile."""
    server = own(servers.postgres.prepare)
    at = server.address
    url = f"postgresql+psycopg://{at.user}@127.0.0.1:{at.port}/postgres"
    with fleet(runner, tmp_path, broker=broker.address.url(), status=url, PGPASSWORD=at.password) as crew:
        crew.submit(2)
        with crew.uploads_held():
            crew.supervised += [crew.worker(), crew.reaper()]
            crew.until_running("upload")
            server.stop()
        await_true(lambda: "is not available" in crew.supervised[0].output)
        server.start()
        assert statuses(crew) == [Status.COMPLETED] * 2
        everything_holds(crew)


def test_a_store_that_is_away_for_a_while_is_waited_for(
    runner: str, broker: Server[Redis], moto: S3, tmp_path: Path
) -> None:
    """The archive is kept and nothing is fetched again."""
    with FaultProxy(moto.port) as proxy:
        there = real_store(moto, f"cats-{uuid4().hex[:12]}", proxy.port)
        settings = {"store": there.url, "create_container": "true", "broker": broker.address.url(), **there.environ}
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
