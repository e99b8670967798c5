"""The RQ runner: sends chunks as jobs, at most one waiting job a chunk, and runs workers."""

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Self

import rq
from attrs import frozen
from rq.job import Job, JobStatus
from rq.registry import BaseRegistry
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from pixcore import ChunkKey, ChunkRecord, Priority
from pixcore_runners.rq.broker import broker_errors, connected, queue_names
from pixcore_runners.rq.chunk import FUNCTION, KILLED
from pixcore_runners.rq.working import work
from pixcore_runners.settings import Settings

_BATCH = 1000

# How long RQ keeps the result of a job, in seconds; the status database keeps it for ever.
_FINISHED = 3600
_FAILED = 7 * 24 * 3600

# A deferred job that is this many seconds late has no scheduler that would deliver it.
_OVERDUE = 10.0


def job_id(queue: str, key: ChunkKey, attempt: int) -> str:
    """Return the id of the job for an attempt at a chunk, such as ``pixcore__cats__12__1``.

    Distinct arguments give distinct ids. A byte that an id must not hold becomes ``_`` and two hexadecimal digits.
    """
    return f"{_plain(queue)}__{_plain(key.dataset)}__{key.id}__{attempt}"


@frozen
class RqRunner:
    """See ``pixcore_runners.queueing.runner.Runner``."""

    queues: Mapping[Priority, rq.Queue]
    _settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the runner with the broker and the queue that the settings name. It connects on first use.

        Raises:
            InvalidRequest: No broker is set, or it is no Redis.
        """
        connection = connected(settings, tries=3)
        queues = {
            priority: rq.Queue(name, connection, serializer=JSONSerializer)
            for priority, name in queue_names(settings).items()
        }
        return cls(queues, settings)

    @property
    def jobs(self) -> rq.Queue:
        """The queue of normal priority."""
        return self.queues[Priority.NORMAL]

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """See ``Runner``. A chunk that has a queued or deferred job gets no second one."""
        remaining = iter(records)
        new = 0
        while batch := {record.chunk.key: record for record in islice(remaining, _BATCH)}:
            with broker_errors(self._settings):
                new += self._send(list(batch.values()), ahead=ahead)
        return new

    def discard(self, dataset: str) -> int:
        """See ``Runner``. Removes deferred jobs, too."""
        with broker_errors(self._settings):
            return sum(self._discard(queue, dataset) for queue in self.queues.values())

    def waiting(self) -> int:
        """See ``Runner``. Deferred jobs do not count."""
        with broker_errors(self._settings):
            return sum(queue.count for queue in self.queues.values())

    def work(self, concurrency: int) -> int:
        """See ``Runner``. A second signal, more than a second after the first, kills the running chunks."""
        return work(self._settings, concurrency)

    def _send(self, records: Sequence[ChunkRecord], *, ahead: bool) -> int:
        ids = {record.chunk.key: self._ids(record) for record in records}
        known = self._known([each for of_chunk in ids.values() for each in of_chunk])
        sent = {key: of_chunk[-1] for key, of_chunk in ids.items() if not any(known.get(each) for each in of_chunk)}
        with self.jobs.connection.pipeline() as pipe:
            for former in known.keys() & sent.values():
                # the key, too: the time to live of a failed or finished job would end the new job
                pipe.delete(Job.key_for(former), Result.get_key(former))  # type: ignore[no-untyped-call]  # RQ gives it no types
                for registry in self._registries():
                    pipe.zrem(registry.key, former)
            for priority, queue in self.queues.items():
                chosen = [record.chunk.key for record in records if record.priority is priority]
                jobs = [self._job(key, sent[key], ahead=ahead) for key in chosen if key in sent]
                queue.enqueue_many(jobs, pipeline=pipe)
            pipe.execute()
        return len(sent)

    def workers(self) -> tuple[int, int]:
        """See ``Runner``."""
        with broker_errors(self._settings):
            states = [worker.get_state() for worker in rq.Worker.all(queue=self.jobs)]
        idle = sum(state in (WorkerStatus.IDLE, WorkerStatus.STARTED) for state in states)
        return states.count(WorkerStatus.BUSY), idle

    def _known(self, ids: Sequence[str]) -> Mapping[str, bool]:
        """Return, for each job that exists in Redis, whether it waits to be delivered."""
        with self.jobs.connection.pipeline(transaction=False) as pipe:
            for each in ids:
                pipe.hget(Job.key_for(each), "status")
                for queue in self.queues.values():
                    pipe.zscore(queue.scheduled_job_registry.key, each)
            answers = pipe.execute()
        late, waiting = time.time() - _OVERDUE, self.waiting()
        step = 1 + len(self.queues)
        known = {}
        for each, start in zip(ids, range(0, len(answers), step), strict=True):
            status, *scores = answers[start : start + step]
            due = max((score for score in scores if score is not None), default=None)
            if status is not None or due is not None:
                known[each] = (status == JobStatus.QUEUED.encode() and waiting > 0) or (due is not None and due > late)
        return known

    def _ids(self, record: ChunkRecord) -> Sequence[str]:
        """Return the ids of every possible delivery, ending with the next: a deferred job makes several attempts."""
        return [job_id(self._settings.queue, record.chunk.key, number + 1) for number in range(record.attempt + 1)]

    def _registries(self) -> Sequence[BaseRegistry]:
        return [
            registry
            for queue in self.queues.values()
            for registry in (
                queue.failed_job_registry,
                queue.finished_job_registry,
                queue.canceled_job_registry,
                queue.scheduled_job_registry,
            )
        ]

    def _discard(self, queue: rq.Queue, dataset: str) -> int:
        prefix = f"{_plain(self._settings.queue)}__{_plain(dataset)}__".encode()
        client: Any = self.jobs.connection  # redis types its answers as unions
        deferred = queue.scheduled_job_registry.key
        return _removed(
            client, client.lrange(queue.key, 0, -1), prefix, lambda pipe, each: pipe.lrem(queue.key, 1, each)
        ) + _removed(client, client.zrange(deferred, 0, -1), prefix, lambda pipe, each: pipe.zrem(deferred, each))

    def _job(self, key: ChunkKey, name: str, *, ahead: bool) -> rq.queue.EnqueueData:
        return rq.Queue.prepare_data(
            FUNCTION,
            (key.id, key.dataset),
            timeout=math.ceil(self._settings.chunk_deadline),
            result_ttl=_FINISHED,
            failure_ttl=_FAILED,
            job_id=name,
            at_front=ahead,
            retry=KILLED,
        )


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", lambda found: "".join(f"_{byte:02x}" for byte in found[0].encode()), text)


def _removed(client: Any, listed: Sequence[bytes], prefix: bytes, remove: Callable[[Any, bytes], object]) -> int:  # noqa: ANN401 - a client of Redis
    """Remove the listed jobs whose ids have a prefix, and their data; return how many. Workers may take some before."""
    removed = 0
    found = [each for each in listed if each.startswith(prefix)]
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        with client.pipeline(transaction=False) as pipe:
            for each in batch:
                remove(pipe, each)
            gone = [each for each, count in zip(batch, pipe.execute(), strict=True) if count]
        if gone:
            client.delete(*(Job.key_for(each.decode()) for each in gone))
        removed += len(gone)
    return removed
