"""The direct runner: chunks worked off here and now, by threads of this process. No broker, no scheduler."""

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from attrs import evolve

from pixcore import ChunkKey, ChunkPipeline, PermanentError, StatusUnavailable
from pixcore.model.chunks import Busy, NotDue, Outcome
from pixcore_runners.observing.logs import task

# How often a run that waits looks whether it should stop, in seconds.
_GLANCE = 0.2

# How often to ask for a chunk that another worker holds, in seconds: it may be done long before its lease ends.
_PATIENCE = 2.0


def run_chunks(pipeline: ChunkPipeline, keys: Iterable[ChunkKey], *, workers: int, stop: threading.Event) -> None:
    """Work every chunk off until it is completed or failed, at most ``workers`` at a time, in order.

    What is held by another worker or not due yet is waited for while others run. Keys are drawn as they are needed.
    What becomes of each chunk is in the status database and in the pipeline's events; log lines name the pipeline's
    owner as their task. Once ``stop`` is set, by a signal handler or another thread, running chunks are given back and
    no other begins.

    Raises:
        StatusUnavailable: The status database cannot be reached: nothing can be known or done.
        KeyboardInterrupt: ``stop`` was set.
    """

    def nap(seconds: float) -> None:
        stop.wait(seconds)

    pipeline = evolve(pipeline, stop=stop.is_set, sleep=nap)
    later: list[tuple[float, ChunkKey]] = []
    running: dict[Future[Outcome], ChunkKey] = {}
    fresh = iter(keys)
    with task(pipeline.owner), ThreadPoolExecutor(workers, thread_name_prefix="pixcore-chunk") as pool:
        try:
            while not stop.is_set():
                while len(running) < workers and (key := _next(fresh, later)) is not None:
                    running[pool.submit(copy_context().run, pipeline.run, key)] = key
                if not running and not later:
                    return
                _wait(running, later)
                for future in [future for future in running if future.done()]:
                    key = running.pop(future)
                    if (due_in := _due_in(future)) is not None:
                        heapq.heappush(later, (time.monotonic() + due_in, key))
        except BaseException:
            stop.set()
            raise
    raise KeyboardInterrupt


def _next(fresh: Iterator[ChunkKey], later: list[tuple[float, ChunkKey]]) -> ChunkKey | None:
    if later and later[0][0] <= time.monotonic():
        return heapq.heappop(later)[1]
    return next(fresh, None)


def _wait(running: dict[Future[Outcome], ChunkKey], later: list[tuple[float, ChunkKey]]) -> None:
    if running:
        wait(running, timeout=_GLANCE, return_when=FIRST_COMPLETED)
    else:
        # not by waiting for the event: a signal handler of this very thread may be what sets it, and would deadlock
        time.sleep(min(_GLANCE, max(0.0, later[0][0] - time.monotonic())))


def _due_in(future: Future[Outcome]) -> float | None:
    """Seconds until the chunk is to be asked for again; None when it is settled."""
    try:
        outcome = future.result()
    except StatusUnavailable:
        raise
    except PermanentError:
        return None
    except Exception:  # noqa: BLE001 - recorded by the pipeline: the next claim says when it is due, or that it is over
        return 0.0
    match outcome:
        case Busy(retry_in):
            return min(retry_in, _PATIENCE)
        case NotDue(retry_in):
            return retry_in
        case _:
            return None
