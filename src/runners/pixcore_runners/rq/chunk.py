"""The job: one delivery of a chunk, processed in a work-horse (a process that RQ forks for each job)."""

import math

from rq import get_current_job
from rq.job import Job, Retry
from rq.timeouts import JobTimeoutException

from pixcore import ChunkKey, InvalidRequest
from pixcore.errors import one_line
from pixcore_runners.queueing.delivery import AlreadyFailed, Deliveries, Later
from pixcore_runners.rq.progress import JobProgress
from pixcore_runners.settings import load_here

FUNCTION = "pixcore_runners.rq.process_chunk"

# How often RQ retries a job whose work-horse or worker was killed, and after how many seconds. The chunk's own budget
# of failures ends the retries long before, unless the worker dies before it claims the chunk.
KILLED = Retry(max=100, interval=5, enqueue_at_front=True)

# RQ fails a job that was deferred more often than this.
_UNLIMITED = 10**9

# The deliveries to this process. pixcore's worker sets its settings and its stop flag here before it forks.
deliveries = Deliveries(lambda: load_here().settings, lambda: False, (JobTimeoutException,))


def failed_earlier(job: Job) -> str | None:
    """Return why the chunk of a job failed before the job was run for the first time; None if it did not.

    After a cancel, thousands of such jobs may wait. To fork a work-horse for each would cost more than all the rest.
    """
    if job.func_name != FUNCTION or (job.retries_left or 0) < KILLED.max:
        return None
    chunk_id, dataset = job.args
    return deliveries.failed_earlier(ChunkKey(dataset, chunk_id))


def process_chunk(chunk_id: int, dataset: str) -> str | Retry:
    """Run the chunk and return the URL of its archive, or have RQ deliver the same job again later.

    Return why the chunk failed if it did so earlier: RQ's registry of failed jobs is for failures that it has seen.

    Raises:
        PermanentError: The chunk has failed permanently, or there is no such chunk.
        Exception: The error of the chunk's last attempt.
    """
    job = get_current_job()
    if job is None:
        raise InvalidRequest("process_chunk runs as a job of RQ only; send chunks with `pixcore submit --runner rq`")
    try:
        key = ChunkKey(dataset, chunk_id)
        with JobProgress.of(job) as progress, deliveries.counted(key) as answer:
            outcome = deliveries.deliver(key, job.id, progress)
            answer(outcome)
    except AlreadyFailed as error:
        if (job.retries_left or 0) < KILLED.max:  # an earlier delivery was killed or reached its time limit: it failed
            job.retries_left = 0
            raise
        return f"failed earlier: {one_line(error)}"  # no failure of this job: the status database has it
    except JobTimeoutException:
        raise  # the next delivery learns the state of the chunk
    except Exception:
        job.retries_left = 0  # retries are for killed work-horses; this error is final
        raise
    finally:
        deliveries.close()  # the work-horse exits without ending its child processes
    if isinstance(outcome, Later):
        # at the front: behind the whole backlog it would wait much longer than necessary
        return Retry(max=_UNLIMITED, interval=_interval(outcome.seconds), enqueue_at_front=True)
    return outcome.url


def _interval(seconds: float) -> int:
    """Return whole seconds, one more than needed: RQ rounds down, and an early delivery would be deferred again."""
    return math.ceil(seconds) + 1 if seconds > 0 else 0
