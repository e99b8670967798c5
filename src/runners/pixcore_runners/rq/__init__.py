"""The RQ runner: chunks delivered by jobs in Redis, one job a delivery, written and read as JSON.

``pixcore worker rq`` is the worker that goes with it. A plain one works too, as
``rq worker --serializer json --with-scheduler pixcore``. It takes its settings from its environment, and lacks what
pixcore's own does: it gives no chunk back when it is told to stop but works it off first, a killed one's jobs come back
after many minutes instead of one or two unless ``pixcore reap`` runs, and its log lines are RQ's own.
"""

from pixcore_runners.rq.chunk import process_chunk
from pixcore_runners.rq.sending import RqQueue, job_id, queue
from pixcore_runners.rq.working import work

__all__ = ["RqQueue", "job_id", "process_chunk", "queue", "work"]
