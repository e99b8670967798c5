"""The rest of a Celery worker: it consumes from no queue while its machine or a service does not work."""

import threading
from typing import Any, TypeAlias

from celery import bootsteps

from pixcore_runners.assembly.rest import SharedRest, pausing, worker_rest
from pixcore_runners.celery.task import NAME, Chunks

Consumer: TypeAlias = Any  # Celery ships no types

_POLL = 0.5  # seconds between two checks whether to rest


class StopTakingChunks(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Cancels the worker's consumers when its chunks are given back, and consumes again once a probe passes.

    A step of the consumer of the ready app. Other apps may have other tasks in the same queues, so they go on: their
    workers give each chunk back.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Consumer, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's signature
        super().__init__(parent, **kwargs)
        self._paused: list[str] = []
        self._timer: Any = None

    def start(self, parent: Consumer) -> None:
        """See ``celery.bootsteps.StartStopStep``. Celery calls it for each connection to the broker."""
        chunks: Chunks = parent.app.tasks[NAME].chunks
        self._check(parent, chunks)
        self._timer = parent.timer.call_repeatedly(_POLL, self._check, (parent, chunks))

    def stop(self, parent: Consumer) -> None:
        """See ``celery.bootsteps.StartStopStep``. Celery calls it when the connection is lost, too."""
        if self._timer:
            self._timer.cancel()
        parent.app.tasks[NAME].chunks.pulse.pause()

    def _check(self, consumer: Consumer, chunks: Chunks) -> None:
        chunks.pulse.beat()
        shared = chunks.deliveries.rest
        if shared is None or shared.resting == bool(self._paused):
            return
        if not shared.resting:
            for queue in self._paused:
                consumer.add_task_queue(queue)
            self._paused = []
            return
        self._paused = list(consumer.app.amqp.queues.consume_from)
        for queue in self._paused:
            consumer.cancel_task_queue(queue)
        threading.Thread(target=_rest, args=(chunks, shared), name="pixcore-rest", daemon=True).start()


def _rest(chunks: Chunks, shared: SharedRest) -> None:
    worker_rest(chunks.settings, shared, pausing(chunks.stopping)).until_fit(chunks.stopping)
