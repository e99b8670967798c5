"""A fetcher for callers without an event loop. It runs in its own thread, which ends with the ``with`` block."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any, Generic, Protocol, TypeVar

from attrs import field, frozen

from pixcore_adapters.downloader.fetch.fetcher import Fetcher

T = TypeVar("T")

_Opened = tuple[Fetcher, asyncio.AbstractEventLoop]


class Submit(Protocol):
    """Submit jobs to the fetcher's thread."""

    def __call__(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start ``job(fetcher)`` on the event loop and return its future at once. Cancelling the future cancels it."""
        ...

    def start(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> "Started[T]":
        """Start a job like a call does. Only the thread that called ``fetching`` can wait for it: that costs less."""
        ...

    def wait(self, head: "Started[Any] | None", page: Future[Any] | None, seconds: float) -> None:
        """Wait until one of the two has ended, but at most so many seconds."""
        ...


class Started(Generic[T]):
    """A job that was started, and what became of it.

    Attributes:
        ended: Whether it has returned or raised. The fetcher's thread sets it last.
        awaited: Whether its end wakes the thread that waits.
        task: Its task, to which the loop itself keeps only a weak reference.
    """

    __slots__ = ("awaited", "ended", "error", "task", "value")

    value: T
    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.ended = self.awaited = False
        self.error: BaseException | None = None

    def result(self) -> T:
        """Return what the job returned, or raise what it raised. Call it only after the end."""
        if self.error:
            raise self.error
        return self.value


@frozen
class _Submit:
    """Submit jobs in batches: waking the loop takes system calls, so each wake-up starts all queued jobs."""

    fetcher: Fetcher
    loop: asyncio.AbstractEventLoop
    queue: deque[Callable[[], object]] = field(factory=deque[Callable[[], object]], init=False)
    arrived: Event = field(factory=Event, init=False)

    def __call__(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
        future = Future[T]()
        self._queue(partial(self._create, job, future))
        return future

    def start(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Started[T]:
        started = Started[T]()
        self._queue(partial(self._create_started, job, started))
        return started

    def wait(self, head: Started[Any] | None, page: Future[Any] | None, seconds: float) -> None:
        self.arrived.clear()
        if head:
            head.awaited = True
        if not ((head and head.ended) or (page and page.done())):  # they may have ended before ``awaited`` was set
            self.arrived.wait(seconds)

    def _queue(self, create: Callable[[], object]) -> None:
        self.queue.append(create)
        if len(self.queue) == 1:  # otherwise a wake-up is pending, which will start this job too
            self.loop.call_soon_threadsafe(self._start_queued)

    def _start_queued(self) -> None:
        while self.queue:
            self.queue.popleft()()

    def _create(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]], future: Future[T]) -> None:
        task = self.loop.create_task(job(self.fetcher))
        task.add_done_callback(partial(_copy_outcome, future))
        future.add_done_callback(partial(self._on_end, task))

    def _create_started(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]], started: Started[T]) -> None:
        started.task = self.loop.create_task(self._run(job, started))

    async def _run(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]], started: Started[T]) -> None:
        try:
            started.value = await job(self.fetcher)
        except asyncio.CancelledError as error:
            started.error = error
            raise
        except BaseException as error:  # noqa: BLE001 - raised by ``result``
            started.error = error
        finally:
            started.ended = True
            if started.awaited:
                self.loop.call_soon(self.arrived.set)  # soon: once, for all jobs that end in this round of the loop

    def _on_end(self, task: asyncio.Task[Any], future: Future[Any]) -> None:
        self.arrived.set()
        if future.cancelled() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(task.cancel)


def _copy_outcome(future: Future[Any], task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        future.cancel()
    elif future.set_running_or_notify_cancel():
        if error := task.exception():
            future.set_exception(error)
        else:
            future.set_result(task.result())


@contextmanager
def fetching(make: Callable[[], Fetcher]) -> Generator[Submit]:
    """Open a fetcher in a thread. The end of the block cancels running jobs, closes the sockets and joins the thread.

    Raises:
        InvalidRequest: The fetcher's configuration is invalid.
    """
    opened: Future[_Opened] = Future()
    ended: Future[None] = Future()
    thread = Thread(target=_run, args=(make, opened, ended), name="pixcore-fetch", daemon=True)
    thread.start()
    try:
        yield _Submit(*opened.result())
    finally:
        ended.set_result(None)  # even if the fetcher is not open yet: an interrupt may come at any time
        thread.join()


def _run(make: Callable[[], Fetcher], opened: Future[_Opened], ended: Future[None]) -> None:
    try:
        with asyncio.Runner() as runner:
            runner.run(_serve(make, opened, ended))
    except Exception as error:  # raised in the thread that waits for `opened`: this one has no caller
        if opened.done():
            raise
        opened.set_exception(error)


async def _serve(make: Callable[[], Fetcher], opened: Future[_Opened], ended: Future[None]) -> None:
    async with make() as fetcher:
        opened.set_result((fetcher, asyncio.get_running_loop()))
        await asyncio.wrap_future(ended)
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
