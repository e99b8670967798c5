"""A fetcher for callers without an event loop. It runs in its own thread, which ends with the ``with`` block."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

from pixcore_adapters.downloader.fetch.fetcher import Fetcher

T = TypeVar("T")

_Opened = tuple[Fetcher, asyncio.AbstractEventLoop]


class Submit(Protocol):
    """Submit jobs to the fetcher's thread."""

    def __call__(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start ``job(fetcher)`` on the event loop and return its future at once. Cancelling the future cancels it."""
        ...


@frozen
class _Submit:
    """Submit jobs in batches: waking the loop takes system calls, so each wake-up starts all queued jobs."""

    fetcher: Fetcher
    loop: asyncio.AbstractEventLoop
    queue: deque[tuple[Coroutine[Any, Any, Any], Future[Any]]] = field(factory=deque, init=False)

    def __call__(self, job: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
        future = Future[T]()
        self.queue.append((job(self.fetcher), future))
        if len(self.queue) == 1:  # otherwise a wake-up is pending, which will start this job too
            self.loop.call_soon_threadsafe(self._start_queued)
        return future

    def _start_queued(self) -> None:
        while self.queue:
            coroutine, future = self.queue.popleft()
            task = self.loop.create_task(coroutine)
            task.add_done_callback(partial(_copy_outcome, future))
            future.add_done_callback(partial(self._cancel, task))

    def _cancel(self, task: asyncio.Task[Any], future: Future[Any]) -> None:
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
