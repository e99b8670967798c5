"""A fetcher for callers without an event loop: it runs in a thread of its own, which ends with the block."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any, Protocol, TypeVar

from pixcore_adapters.downloader.fetch.fetcher import Fetcher

T = TypeVar("T")

_Opened = tuple[Fetcher, asyncio.AbstractEventLoop]


class Start(Protocol):
    """Starts something on the fetcher and gives its future at once."""

    def __call__(self, ask: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start ``ask(fetcher)``; cancelling the future cancels it."""
        ...


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
        fetcher, loop = opened.result()

        def start(ask: Callable[[Fetcher], Coroutine[Any, Any, T]]) -> Future[T]:
            return asyncio.run_coroutine_threadsafe(ask(fetcher), loop)

        yield start
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
