"""A fetcher for callers without an event loop: it runs in a thread of its own, which ends with the block."""

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


class Start(Protocol):
    """Starts something on the fetcher and gives its future at once."""

    def __call__(self, ask: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start ``ask(fetcher)``; cancelling the future cancels it."""
        ...


@frozen
class _Starting:
    """Hands over to the loop whatever there is to start each time that it wakes up: to wake it costs system calls."""

    fetcher: Fetcher
    loop: asyncio.AbstractEventLoop
    waiting: deque[tuple[Coroutine[Any, Any, Any], Future[Any]]] = field(factory=deque, init=False)

    def __call__(self, ask: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
        future = Future[T]()
        self.waiting.append((ask(self.fetcher), future))
        if len(self.waiting) == 1:  # else it was woken for an earlier one, and comes to this one too
            self.loop.call_soon_threadsafe(self._start)
        return future

    def _start(self) -> None:
        while self.waiting:
            asked, future = self.waiting.popleft()
            task = self.loop.create_task(asked)
            task.add_done_callback(partial(_settle, future))
            future.add_done_callback(partial(self._cancel, task))

    def _cancel(self, task: asyncio.Task[Any], future: Future[Any]) -> None:
        if future.cancelled() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(task.cancel)


def _settle(future: Future[Any], task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        future.cancel()
    elif future.set_running_or_notify_cancel():
        if error := task.exception():
            future.set_exception(error)
        else:
            future.set_result(task.result())


@contextmanager
def fetching(make: Callable[[], Fetcher]) -> Generator[Start]:
    """Open a fetcher; at the end of the block what still runs is cancelled, and thread and sockets are gone.

    Raises:
        InvalidRequest: The fetcher cannot work as it is configured.
    """
    opened: Future[_Opened] = Future()
    ended: Future[None] = Future()
    thread = Thread(target=_run, args=(make, opened, ended), name="pixcore-fetch", daemon=True)
    thread.start()
    try:
        yield _Starting(*opened.result())
    finally:
        ended.set_result(None)  # even where nothing is open yet: an interrupt may come at any time
        thread.join()


def _run(make: Callable[[], Fetcher], opened: Future[_Opened], ended: Future[None]) -> None:
    try:
        with asyncio.Runner() as runner:
            runner.run(_serve(make, opened, ended))
    except Exception as error:  # this thread has no caller: whoever opened the fetcher gets it
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
