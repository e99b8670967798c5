"""Sending chunks: one job a delivery, none beside one that waits already."""

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import rq
from attrs import frozen
from rq.job import Job, JobStatus, Retry
from rq.registry import BaseRegistry
from rq.results import Result
from rq.serializers import JSONSerializer

from pixcore import ChunkKey, ChunkRecord
from pixcore_runners.rq.broker import answering, connected
from pixcore_runners.settings import Settings

_FUNCTION = "pixcore_runners.rq.process_chunk"
_BATCH = 1000

# How long RQ keeps what became of a job, in seconds; the status database keeps it for good.
_FINISHED = 3600
_FAILED = 7 * 24 * 3600

# How often a job comes again when its work-horse or worker was killed, and after how many seconds. The chunk's own
# budget ends it long before, but for a chunk whose worker dies before it can claim it.
_KILLED = Retry(max=100, interval=5, enqueue_at_front=True)

# A deferred job that is so many seconds late has no scheduler: it waits for nobody.
_OVERDUE = 10.0


def queue(settings: Settings) -> "RqQueue":
    """The queue that the settings name; connects on first use.

    Raises:
        InvalidRequest: No broker is set, or it is no Redis.
    """
    return RqQueue(rq.Queue(settings.queue, connected(settings, tries=3), serializer=JSONSerializer), settings)


def job_id(queue: str, key: ChunkKey, attempt: int) -> str:
    """What names the delivery of a chunk that is to be its attempt of that number: like ``pixcore__cats__12__1``.

    Different for whatever differs; what an id must not hold is written as ``_`` and two hexadecimal digits a byte.
    """
    return f"{_plain(queue)}__{_plain(key.dataset)}__{key.id}__{attempt}"


@frozen
class RqQueue:
    """See ``pixcore_runners.queueing.queue.Queue``."""

    jobs: rq.Queue
    _settings: Settings

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """See the protocol. A chunk that has a delivery queued, or deferred to later, gets no other one."""
        remaining = iter(records)
        new = 0
        while batch := {record.chunk.key: record for record in islice(remaining, _BATCH)}:
            with answering(self._settings):
                new += self._send(list(batch.values()), ahead=ahead)
        return new

    def waiting(self) -> int:
        """See the protocol. Deferred deliveries are not among them."""
        with answering(self._settings):
            return self.jobs.count

    def _send(self, records: Sequence[ChunkRecord], *, ahead: bool) -> int:
        ids = {record.chunk.key: self._ids(record) for record in records}
        known = self._known([each for of_chunk in ids.values() for each in of_chunk])
        sent = {key: of_chunk[-1] for key, of_chunk in ids.items() if not any(known.get(each) for each in of_chunk)}
        with self.jobs.connection.pipeline() as pipe:
            for former in known.keys() & sent.values():
                # not only its registries: the time that a failed or finished job has to live would end the new one's
                pipe.delete(Job.key_for(former), Result.get_key(former))  # type: ignore[no-untyped-call]  # RQ gives it no types
                for registry in self._registries():
                    pipe.zrem(registry.key, former)
            self.jobs.enqueue_many([self._job(key, new, ahead=ahead) for key, new in sent.items()], pipeline=pipe)
            pipe.execute()
        return len(sent)

    def _known(self, ids: Sequence[str]) -> Mapping[str, bool]:
        """Of the jobs that Redis knows, whether each waits to be delivered."""
        with self.jobs.connection.pipeline(transaction=False) as pipe:
            pipe.llen(self.jobs.key)
            for each in ids:
                pipe.hget(Job.key_for(each), "status")
                pipe.zscore(self.jobs.scheduled_job_registry.key, each)
            length, *answers = pipe.execute()
        late = time.time() - _OVERDUE
        return {
            each: (status == JobStatus.QUEUED.encode() and length > 0) or (due is not None and due > late)
            for each, status, due in zip(ids, answers[::2], answers[1::2], strict=True)
            if status is not None or due is not None
        }

    def _ids(self, record: ChunkRecord) -> Sequence[str]:
        """Of all deliveries there may have been, the next one's last: a deferred job makes several attempts."""
        return [job_id(self.jobs.name, record.chunk.key, number + 1) for number in range(record.attempt + 1)]

    def _registries(self) -> Sequence[BaseRegistry]:
        jobs = self.jobs
        return (
            jobs.failed_job_registry,
            jobs.finished_job_registry,
            jobs.canceled_job_registry,
            jobs.scheduled_job_registry,
        )

    def _job(self, key: ChunkKey, name: str, *, ahead: bool) -> rq.queue.EnqueueData:
        return rq.Queue.prepare_data(
            _FUNCTION,
            (key.id, key.dataset),
            timeout=math.ceil(self._settings.chunk_deadline),
            result_ttl=_FINISHED,
            failure_ttl=_FAILED,
            job_id=name,
            at_front=ahead,
            retry=_KILLED,
        )


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", lambda found: "".join(f"_{byte:02x}" for byte in found[0].encode()), text)
