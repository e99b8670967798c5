"""The runners keep the contract, with the workers that their users start. A new one costs a ``Door`` and a class."""

import json
import os
import re
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
from servers.tools import Unavailable

from contract.runner import Door, RunnerContract
from pixcore import ChunkRecord
from pixcore_runners.celery import make_app
from pixcore_runners.celery.task import NAME
from pixcore_runners.rq import process_chunk

pytestmark = [pytest.mark.process, pytest.mark.server]


@frozen
class Direct:
    """``pixcore run``: who submits is the worker."""

    fleet: Fleet

    def submit(self, chunks: int, dataset: str) -> None:
        """See ``Door``."""
        self.fleet.start("run", *self.fleet.listed(chunks, dataset), "--workers", 2)

    def deliver(self, record: ChunkRecord) -> str:
        """See ``Door``."""
        dataset = record.chunk.request.dataset
        words = self.fleet.listed(sum(1 for _ in self.fleet.status.find(dataset)), dataset)
        run = self.fleet.start("run", *words, "--json", "--quiet")
        run.code()
        chunk = next(each for each in json.loads(run.said)["chunks"] if each["id"] == record.chunk.id)
        return str(chunk["url"] or chunk["error"])

    def progress(self, record: ChunkRecord) -> int:
        """See ``Door``; it is shown by ``pixcore status``."""
        return self.fleet.status.get(record.chunk.key).progress.accepted


class TestDirect(RunnerContract):
    """Processes of one run."""

    @pytest.fixture(scope="class")
    @classmethod
    def door(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
        """Give the runner."""
        with fleet("direct", tmp_path_factory.mktemp("direct")) as made:
            yield Direct(made)
            everything_holds(made)


@contextmanager
def working(runner: str, folder: Path, **settings: object) -> Iterator[Fleet]:
    """A fleet with two processes that work, on a database that is there."""
    with fleet(runner, folder, **settings) as made:
        assert made.status
        made.worker(2)
        yield made
        everything_holds(made)


@frozen
class Queued:
    """What queues have in common."""

    fleet: Fleet

    def submit(self, chunks: int, dataset: str) -> None:
        """See ``Door``."""
        self.fleet.submit(chunks, dataset)

    def task_id(self, record: ChunkRecord) -> str:
        """The queue's name for the delivery of a chunk, as it stands in the worker's log lines."""
        said = self.fleet.programs[0].said
        found: str = re.findall(rf"\[task_id=([^]]+)\]\[chunk={record.chunk.key}\]", said)[-1]
        return found


@frozen
class Celery(Queued):
    """Celery, whatever its broker."""

    def deliver(self, record: ChunkRecord) -> str:
        """See ``Door``."""
        metadata = {"keyword": record.chunk.request.keyword, "dataset": record.chunk.request.dataset}
        with make_app() as app:
            delivery = app.tasks[NAME].delay(record.chunk.id, metadata=metadata)
            return str(delivery.get(timeout=30, propagate=False))

    def progress(self, record: ChunkRecord) -> int:
        """See ``Door``."""
        with make_app() as app:
            delivery = app.AsyncResult(self.task_id(record))
            return int(delivery.info["accepted"]) if delivery.state == "PROGRESS" else 0


class TestCeleryOnRedis(RunnerContract):
    """The broker that most have."""

    @pytest.fixture(scope="class")
    @classmethod
    def door(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
        """Give the runner."""
        folder = tmp_path_factory.mktemp("celery")
        with (
            had(lambda: started(redis_server.prepare)) as server,
            working("celery", folder, broker=server.address.url()) as made,
        ):
            yield Celery(made)


class TestCeleryOnRabbitMQ(RunnerContract):
    """The broker that pushes; results are in a Redis, for it keeps none. Skipped in CI, too: it comes with no wheel."""

    @pytest.fixture(scope="class")
    @classmethod
    def door(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
        """Give the runner."""
        try:
            server = started(rabbitmq.prepare)
        except Unavailable as exc:
            pytest.skip(str(exc))
        folder = tmp_path_factory.mktemp("rabbitmq")
        with server, had(lambda: started(redis_server.prepare)) as results:
            settings = {"broker": server.address.url, "result_backend": results.address.url()}
            with working("celery", folder, **settings) as made:
                yield Celery(made)


@frozen
class Rq(Queued):
    """RQ."""

    @contextmanager
    def jobs(self) -> Iterator[Queue]:
        """Its queue, over a connection that ends with the block."""
        with Redis.from_url(os.environ["PIXCORE_BROKER"]) as client:
            yield Queue("pixcore", connection=client, serializer="json")

    def deliver(self, record: ChunkRecord) -> str:
        """See ``Door``."""
        with self.jobs() as jobs:
            job = jobs.enqueue(process_chunk, record.chunk.id, record.chunk.request.dataset)
            await_true(lambda: job.get_status() in ("finished", "failed"))
            result = job.latest_result()
            assert result is not None
            return str(result.return_value or result.exc_string)

    def progress(self, record: ChunkRecord) -> int:
        """See ``Door``."""
        with self.jobs() as jobs:
            job = jobs.fetch_job(self.task_id(record))
            return int(job.get_meta().get("accepted", 0)) if job else 0


class TestRq(RunnerContract):
    """Each chunk in a process of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def door(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
        """Give the runner."""
        folder = tmp_path_factory.mktemp("rq")
        with (
            had(lambda: started(redis_server.prepare)) as server,
            working("rq", folder, broker=server.address.url()) as made,
        ):
            yield Rq(made)
