"""The runners keep the contract, with the workers that users start. A new runner needs a driver and a class."""

import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen
from fleet import Fleet, await_true, everything_holds, fleet
from redis import Redis
from rq import Queue
from servers import rabbitmq
from servers import redis as redis_server
from servers.fixtures import had
from servers.server import started
from servers.shared import shared
from servers.tools import Unavailable

from contract.runner import RunnerContract, RunnerDriver
from pixcore import ChunkRecord
from pixcore_runners.celery import make_app
from pixcore_runners.celery.task import NAME
from pixcore_runners.rq import process_chunk

pytestmark = [pytest.mark.process, pytest.mark.server]


@frozen
class Direct:
    """``pixcore run``: the process that submits is the worker."""

    fleet: Fleet

    def submit(self, chunks: int, dataset: str) -> None:
        """See ``RunnerDriver``."""
        self.fleet.start("run", *self.fleet.listed(chunks, dataset), "--workers", 2)

    def deliver(self, record: ChunkRecord) -> str:
        """See ``RunnerDriver``."""
        dataset = record.chunk.request.dataset
        words = self.fleet.listed(sum(1 for _ in self.fleet.status.find(dataset)), dataset)
        run = self.fleet.start("run", *words, "--json", "--quiet")
        run.code()
        chunk = next(each for each in json.loads(run.output)["chunks"] if each["id"] == record.chunk.id)
        return str(chunk["url"] or chunk["error"])

    def progress(self, record: ChunkRecord) -> int:
        """See ``RunnerDriver``; ``pixcore status`` shows it."""
        return self.fleet.status.get(record.chunk.key).progress.accepted


class TestDirect(RunnerContract):
    """Several processes of one run."""

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerDriver]:
        """Return the runner."""
        with fleet("direct", tmp_path_factory.mktemp("direct")) as made:
            yield Direct(made)
            everything_holds(made)


@contextmanager
def working(runner: str, folder: Path, **settings: object) -> Iterator[Fleet]:
    """Start a fleet with two worker processes on an existing database."""
    with fleet(runner, folder, **settings) as made:
        assert made.status
        made.worker(2)
        yield made
        everything_holds(made)


@frozen
class Queued:
    """The common part of the queues."""

    fleet: Fleet

    def submit(self, chunks: int, dataset: str) -> None:
        """See ``RunnerDriver``."""
        self.fleet.submit(chunks, dataset)

    def task_id(self, record: ChunkRecord) -> str:
        """Return the queue's id of a chunk's delivery, as the worker's log lines have it."""
        output = self.fleet.programs[0].output
        found: str = re.findall(rf"\[task_id=([^]]+)\]\[chunk={record.chunk.key}\]", output)[-1]
        return found


@frozen
class Celery(Queued):
    """Celery with any broker."""

    def deliver(self, record: ChunkRecord) -> str:
        """See ``RunnerDriver``."""
        metadata = {"keyword": record.chunk.request.keyword, "dataset": record.chunk.request.dataset}
        with make_app() as app:
            delivery = app.tasks[NAME].delay(record.chunk.id, metadata=metadata)
            return str(delivery.get(timeout=30, propagate=False))

    def progress(self, record: ChunkRecord) -> int:
        """See ``RunnerDriver``."""
        with make_app() as app:
            delivery = app.AsyncResult(self.task_id(record))
            return int(delivery.info["accepted"]) if delivery.state == "PROGRESS" else 0


class TestCeleryOnRedis(RunnerContract):
    """The most common broker."""

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerDriver]:
        """Return the runner."""
        folder = tmp_path_factory.mktemp("celery")
        with (
            had(lambda: started(redis_server.prepare)) as server,
            working("celery", folder, broker=server.address.url()) as made,
        ):
            yield Celery(made)


class TestCeleryOnRabbitMQ(RunnerContract):
    """A broker that pushes; Redis keeps the results. Skipped in CI too on a machine without Debian's packages."""

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerDriver]:
        """Return the runner."""
        try:
            broker = shared(rabbitmq.prepare)
        except Unavailable as exc:
            pytest.skip(str(exc))
        folder, queue = tmp_path_factory.mktemp("rabbitmq"), f"pixcore-{uuid.uuid4()}"
        with had(lambda: started(redis_server.prepare)) as results:
            settings = {"broker": broker.url, "result_backend": results.address.url(), "queue": queue}
            with working("celery", folder, **settings) as made:
                yield Celery(made)


@frozen
class Rq(Queued):
    """RQ."""

    @contextmanager
    def jobs(self) -> Iterator[Queue]:
        """Open its queue on a connection that closes with the block."""
        with Redis.from_url(os.environ["PIXCORE_BROKER"]) as client:
            yield Queue("pixcore", connection=client, serializer="json")

    def deliver(self, record: ChunkRecord) -> str:
        """See ``RunnerDriver``."""
        with self.jobs() as jobs:
            job = jobs.enqueue(process_chunk, record.chunk.id, record.chunk.request.dataset)
            await_true(lambda: job.get_status() in ("finished", "failed"))
            result = job.latest_result()
            assert result is not None
            return str(result.return_value or result.exc_string)

    def progress(self, record: ChunkRecord) -> int:
        """See ``RunnerDriver``."""
        with self.jobs() as jobs:
            job = jobs.fetch_job(self.task_id(record))
            return int(job.get_meta().get("accepted", 0)) if job else 0


class TestRq(RunnerContract):
    """Each chunk runs in its own process."""

    @pytest.fixture(scope="class")
    @classmethod
    def driver(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerDriver]:
        """Return the runner."""
        folder = tmp_path_factory.mktemp("rq")
        with (
            had(lambda: started(redis_server.prepare)) as server,
            working("rq", folder, broker=server.address.url()) as made,
        ):
            yield Rq(made)
