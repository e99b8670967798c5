"""The queues as those who fill them see them: one word for each, the same few promises."""

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Protocol

from pixcore import ChunkRecord, InvalidRequest, TransientError
from pixcore_runners.settings import Settings

QUEUES = ("celery", "rq")


class QueueUnavailable(TransientError):
    """The queue's broker cannot be reached."""


class Queue(Protocol):
    """Carries deliveries of chunks to workers anywhere. Not the truth about anything: that is the status database."""

    def send(self, records: Iterable[ChunkRecord], *, ahead: bool = False) -> int:
        """Enqueue a delivery of each chunk, in order and in bounded memory; gives how many are new.

        Those ``ahead`` come before what waits already, where the broker can do that.

        Doing it again does no harm: a delivery of what is completed gives the stored result.

        Raises:
            QueueUnavailable: Those before are enqueued, the others are not.
        """
        ...

    def waiting(self) -> int:
        """How many deliveries no worker has taken yet.

        Raises:
            QueueUnavailable: As it says.
        """
        ...


def queue(name: str, settings: Settings) -> Queue:
    """The queue of that name, as the settings describe it.

    Raises:
        InvalidRequest: There is none, its package is not installed, or no broker is set.
    """
    opened: Queue = module(name).queue(settings)
    return opened


def module(name: str) -> ModuleType:
    """The module of the queue's runner.

    Raises:
        InvalidRequest: There is none, or its package is not installed.
    """
    if name not in QUEUES:
        raise InvalidRequest(f"unknown runner {name!r}; use one of: {', '.join(QUEUES)}")
    try:
        return import_module(f"pixcore_runners.{name}")
    except ModuleNotFoundError as exc:
        raise InvalidRequest(f"{exc.name} is not installed; pip install 'pixcore[{name}]'") from exc
