"""The queue as those who fill it see it; see ``pixcore_runners.queueing.queue``."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from kombu.exceptions import KombuError

from pixcore import ChunkRecord
from pixcore.errors import one_line
from pixcore_runners.celery.ready import PATIENCE, make_app
from pixcore_runners.celery.task import NAME, App
from pixcore_runners.queueing.queue import Queue, QueueUnavailable
from pixcore_runners.settings import Settings

# How often, and after how many seconds, a broker is tried again that did not answer.
_AGAIN = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}

# As Redis takes them: the lowest comes first, and what others send has 0. RabbitMQ's queues have none.
_AHEAD, _USUAL = 0, 9

_NO_SUCH_QUEUE = "404"


def queue(settings: Settings) -> Queue:
    """The queue that the settings name, at their broker; connects when it is used.

    Raises:
        InvalidRequest: There is no broker.
    """
    app = make_app(settings)
    app.conf.result_backend = "disabled://"  # else every delivery that is sent would be listened for
    app.conf.broker_transport_options |= {"socket_timeout": PATIENCE, **_AGAIN}
    return CeleryQueue(app, settings.queue, str(settings.broker))


@frozen
class CeleryQueue:
    """Chunks on their way to the workers of the ready app. ``broker`` is how messages name it, without its password."""

    app: App
    name: str
    broker: str

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """See ``pixcore_runners.queueing.queue.Queue``; every delivery is new."""
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
                    retry_policy=_AGAIN,
                    priority=_AHEAD if ahead else _USUAL,
                    time_limit=None,  # the worker's own limits hold, not the sender's
                    soft_time_limit=None,
                )
                sent += 1
        return sent

    def waiting(self) -> int:
        """See ``pixcore_runners.queueing.queue.Queue``."""
        with self._connection() as connection:
            try:
                declared = connection.default_channel.queue_declare(queue=self.name, passive=True)
            except connection.channel_errors as error:
                if str(getattr(error, "reply_code", "")) != _NO_SUCH_QUEUE:
                    raise
                return 0
            return int(declared.message_count)

    @contextmanager
    def _connection(self) -> Generator[Any]:
        connection = self.app.connection_for_write()
        away = (KombuError, *connection.connection_errors, *connection.channel_errors)
        try:
            with connection:
                yield connection
        except away as error:
            raise QueueUnavailable(
                f"the broker {self.broker} cannot be reached ({one_line(error)}); see that it runs, and that"
                " PIXCORE_BROKER is right"
            ) from error
