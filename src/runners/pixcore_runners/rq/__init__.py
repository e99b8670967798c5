"""The RQ runner: each delivery of a chunk is a job in Redis, serialized as JSON.

``pixcore worker rq`` is its worker. RQ's own worker can be used too, as
``rq worker --serializer json --with-scheduler pixcore``, and reads the settings from its environment. It differs from
pixcore's worker: when it is stopped, it completes the running chunk instead of giving it back; the jobs of a killed
worker return after many minutes instead of one or two unless ``pixcore reap`` runs; and its log lines are RQ's.
"""

from pixcore_runners.rq.chunk import process_chunk
from pixcore_runners.rq.runner import RqRunner, job_id

__all__ = ["RqRunner", "job_id", "process_chunk"]
