"""The job: one delivery of a chunk, inside a work-horse."""

import math

from rq import get_current_job
from rq.job import Retry
from rq.timeouts import JobTimeoutException

from pixcore import ChunkKey, InvalidRequest
from pixcore_runners.queueing.delivery import Deliveries, Later
from pixcore_runners.rq.progress import JobProgress
from pixcore_runners.settings import load_here

# RQ counts how often a job was deferred, and fails it beyond this.
_NO_END = 10**9

# Those of this process. pixcore's worker puts its own settings and its stop flag here, for the forks to find.
deliveries = Deliveries(lambda: load_here().settings, lambda: False, (JobTimeoutException,))


def process_chunk(chunk_id: int, dataset: str) -> str | Retry:
    """Work the chunk off and give the URL of its archive; or have RQ deliver the same job again, later.

    Raises:
        PermanentError: The chunk has failed for good, now or earlier, or there is no such chunk.
        Exception: What its last attempt failed with.
    """
    job = get_current_job()
    if job is None:
        raise InvalidRequest("process_chunk runs as a job of RQ only; send chunks with `pixcore submit --runner rq`")
    try:
        with JobProgress.of(job) as progress:
            outcome = deliveries.deliver(ChunkKey(dataset, chunk_id), job.id, progress)
    except JobTimeoutException:
        raise  # whatever it broke off, the next delivery finds out what is true
    except Exception:
        job.retries_left = 0  # those are for work-horses that were killed; this is final
        raise
    finally:
        deliveries.close()  # the work-horse ends without a word to its children
    if isinstance(outcome, Later):
        # it has had its turn: behind the whole backlog it would wait for far longer than it has to
        return Retry(max=_NO_END, interval=_interval(outcome.seconds), enqueue_at_front=True)
    return outcome.url


def _interval(seconds: float) -> int:
    """Whole seconds, one more than asked for: RQ rounds the time down, and what comes early would come in vain."""
    return math.ceil(seconds) + 1 if seconds > 0 else 0
