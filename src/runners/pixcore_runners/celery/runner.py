"""The Celery runner: sends chunks to the workers of the ready app, and is one of them."""

import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Self

from attrs import frozen
from kombu.exceptions import KombuError

from pixcore import ChunkRecord, Priority
from pixcore_runners.celery.ready import TIMEOUT, make_app, require_versions, work
from pixcore_runners.celery.task import DATASET, NAME, App
from pixcore_runners.queueing.runner import unavailable
from pixcore_runners.settings import Settings

# How often, and after how many seconds, a request that the broker did not answer is sent again.
_RETRY = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}

# Priorities of Redis: the lowest comes first, and messages of other senders have 0. Queues of RabbitMQ have none.
_AHEAD = 0
_PRIORITIES = {Priority.HIGH: 3, Priority.NORMAL: 6, Priority.LOW: 9}

_BATCH = 1000

_ANSWERS = 1.0  # seconds within which workers answer

_NO_SUCH_QUEUE = "404"


@frozen
class CeleryRunner:
    """See ``pixcore_runners.queueing.runner.Runner``. ``app`` sends; ``work`` makes a ready app of its own."""

    app: App
    _settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the runner with the broker and the queue that the settings name. It connects on first use.

        Raises:
            InvalidRequest: No broker is set.
        """
        app = make_app(settings)
        app.conf.result_backend = "disabled://"  # else Celery would wait for the result of every delivery that it sends
        app.conf.broker_transport_options |= {"socket_timeout": TIMEOUT, **_RETRY}
        return cls(app, settings)

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """See ``Runner``. Every delivery counts as new."""
        task = self.app.tasks[NAME]
        sent = 0
        with self._connection() as connection, self.app.amqp.Producer(connection, auto_declare=False) as producer:
            for record in records:
                chunk = record.chunk
                metadata = {"keyword": chunk.request.keyword, "dataset": chunk.key.dataset}
                task.apply_async(
                    (chunk.id,),
                    {"metadata": {name: value for name, value in metadata.items() if value}},
                    producer=producer,
                    retry=True,
                    retry_policy=_RETRY,
                    priority=_AHEAD if ahead else _PRIORITIES[record.priority],
                    headers={DATASET: chunk.key.dataset},
                    time_limit=None,  # the worker's own limits hold, not the sender's
                    soft_time_limit=None,
                )
                sent += 1
        return sent

    def discard(self, dataset: str) -> int:
        """See ``Runner``. Only Redis can remove messages from the middle of a queue."""
        if self._settings.broker is None or not self._settings.broker.reveal().startswith(("redis://", "rediss://")):
            return 0
        with self._connection() as connection:
            channel = connection.default_channel
            names = [channel._q_for_pri(self._settings.queue, step) for step in channel.priority_steps]  # noqa: SLF001 - as `_size`, no public name
            with channel.conn_or_acquire() as client:
                return sum(_discarded(client, name, dataset) for name in names)

    def waiting(self) -> int:
        """See ``Runner``."""
        with self._connection() as connection:
            try:
                declared = connection.default_channel.queue_declare(queue=self._settings.queue, passive=True)
            except connection.channel_errors as error:
                if str(getattr(error, "reply_code", "")) != _NO_SUCH_QUEUE:
                    raise
                return 0
            return int(declared.message_count)

    def workers(self) -> tuple[int, int]:
        """See ``Runner``. Asks all workers of the broker, and waits a second for their answers."""
        with self._connection() as connection:
            consumed = self._asked(connection).active_queues() or {}
            ours = [
                worker
                for worker, queues in consumed.items()
                if any(queue["name"] == self._settings.queue for queue in queues)
            ]
            active = (ours and self._asked(connection, destination=ours, limit=len(ours)).active()) or {}
        busy = sum(bool(tasks) for tasks in active.values())
        return busy, len(ours) - busy

    def work(self, concurrency: int) -> int:
        """See ``Runner``. Returns a code other than 0 if it gives up because its broker is lost."""
        return work(self._settings, concurrency)

    def _asked(self, connection: Any, **options: Any) -> Any:  # noqa: ANN401 - Celery ships no types
        return self.app.control.inspect(timeout=_ANSWERS, connection=connection, **options)

    @contextmanager
    def _connection(self) -> Generator[Any]:
        require_versions(self._settings)
        connection = self.app.connection_for_write()
        unreachable = (KombuError, *connection.connection_errors, *connection.channel_errors)
        try:
            with connection:
                yield connection
        except unreachable as error:
            raise unavailable(self._settings.broker, error) from error


def _discarded(client: Any, name: str, dataset: str) -> int:  # noqa: ANN401 - a client of Redis
    """Remove a dataset's messages from a list of Redis; return how many. Workers may take others meanwhile."""
    removed = 0
    messages = client.lrange(name, 0, -1)
    found = [message for message in reversed(messages) if _dataset_of(message) == dataset]  # the oldest ones first
    for start in range(0, len(found), _BATCH):
        with client.pipeline(transaction=False) as pipe:
            for message in found[start : start + _BATCH]:
                pipe.lrem(name, -1, message)  # searches from the end, where the oldest messages are
            removed += sum(pipe.execute())
    return removed


def _dataset_of(message: bytes) -> object:
    try:
        return json.loads(message)["headers"].get(DATASET)
    except (ValueError, TypeError, KeyError, AttributeError):  # a message of another program
        return None
