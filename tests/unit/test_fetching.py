"""The fetcher's thread runs jobs and ends with its block, however the block ends."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from functools import partial
from pathlib import Path

import pytest
from hostile import PICTURE, Site, picture, policy, silent

from pixcore.errors import InvalidRequest
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetching import Submit, fetching


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site with one good page and one that never responds."""
    with Site({"/good.jpg": picture(), "/silent.jpg": silent()}) as site:
        yield site


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """No test leaves a thread."""
    before = set(threading.enumerate())
    yield
    assert not {thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("pixcore")}


def begin(submit: Submit, site: Site, path: str, into: Path) -> Future[Fetched | Missed]:
    """Start fetching a page of the site."""
    return submit(lambda fetcher: fetcher.fetch(site.url(path), into / "x"))


def test_jobs_run_while_the_caller_waits_for_another(site: Site, tmp_path: Path) -> None:
    """Jobs run concurrently while the caller waits for one of them."""
    with fetching(partial(Fetcher, policy(site))) as submit:
        slow, good = (begin(submit, site, path, tmp_path) for path in ("/silent.jpg", "/good.jpg"))
        outcome = good.result(10)
        assert isinstance(outcome, Fetched)
        assert (outcome.size, slow.done()) == (len(PICTURE), False)


def test_the_end_of_the_block_cancels_running_jobs(site: Site, tmp_path: Path) -> None:
    """The end of the block cancels all running jobs, old and new."""
    with fetching(partial(Fetcher, policy(site))) as submit:
        futures = [begin(submit, site, "/silent.jpg", tmp_path) for _ in range(5)]
        begin(submit, site, "/good.jpg", tmp_path.parent).result(10)
        futures += [begin(submit, site, "/silent.jpg", tmp_path) for _ in range(20)]
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_block_cancels_its_jobs(site: Site, tmp_path: Path) -> None:
    """An exception in the block cancels the jobs too."""
    with pytest.raises(ZeroDivisionError), fetching(partial(Fetcher, policy(site))) as submit:  # noqa: PT012 - the block is what is tested
        future = begin(submit, site, "/silent.jpg", tmp_path)
        raise ZeroDivisionError
    assert future.cancelled()


def test_an_exception_of_a_job_is_raised_by_its_future(site: Site) -> None:
    """An exception of a job is raised by its future, and other jobs continue."""

    async def fail(_: Fetcher) -> None:
        raise ZeroDivisionError

    async def answer(_: Fetcher) -> int:
        return 7

    with fetching(partial(Fetcher, policy(site))) as submit:
        with pytest.raises(ZeroDivisionError):
            submit(fail).result(10)
        assert submit(answer).result(10) == 7


def test_a_started_job_wakes_the_thread_that_waits(site: Site) -> None:
    """The end of a started job ends the wait for it, also if it is an exception, which is raised then."""

    async def fail(_: Fetcher) -> None:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    with fetching(partial(Fetcher, policy(site))) as submit:
        started, began = submit.start(fail), time.monotonic()
        submit.wait(started, None, 60)
        assert started.ended
        assert time.monotonic() - began < 30
        with pytest.raises(ZeroDivisionError):
            started.result()


def test_a_configuration_error_is_raised_in_the_calling_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the fetcher's configuration is raised in the caller's thread."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy.example:1080")
    how = FetchPolicy(proxy_from_environment=True)
    with (
        pytest.raises(InvalidRequest, match="proxies with the scheme 'socks5' are not supported"),
        fetching(partial(Fetcher, how)),
    ):
        pytest.fail("it is open")


def test_a_loop_error_is_raised_in_the_calling_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in creating the loop is raised in the caller's thread; it must not wait forever."""

    def fail() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", fail)
    with pytest.raises(OSError, match="Too many open files"), fetching(partial(Fetcher, FetchPolicy())):
        pytest.fail("it is open")


def test_an_interrupt_while_it_opens_ends_the_thread() -> None:
    """An interrupt while the thread starts, such as Ctrl-C, ends the thread."""
    main = threading.main_thread().ident
    assert main is not None

    def make() -> Fetcher:
        while not waits_for_a_result(main):
            pass
        signal.pthread_kill(main, signal.SIGINT)
        return Fetcher(FetchPolicy())

    with pytest.raises(KeyboardInterrupt), fetching(make):
        threading.Event().wait(10)


def waits_for_a_result(thread: int) -> bool:
    """Return whether the thread is in ``Future.result``."""
    frame = sys._current_frames().get(thread)
    while frame and frame.f_code is not Future.result.__code__:
        frame = frame.f_back
    return frame is not None
