"""Run chunks in threads of this process. No broker, no scheduler."""

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from attrs import evolve

from pixcore import ChunkKey, ChunkPipeline, PermanentError, StatusUnavailable
from pixcore.chunk.events import combined
from pixcore.errors import is_shared
from pixcore.model.claims import Busy, NotDue, Outcome
from pixcore_runners.assembly.rest import Rest, SharedRest, pausing
from pixcore_runners.observing.logs import task

# Seconds between two checks whether to stop, while a run waits.
_POLL = 0.2

# Seconds that a run waits while its machine or a service does not work.
PATIENCE = 300.0

# Seconds between two claims of a chunk that another worker holds: it may end long before its lease expires.
_BUSY = 2.0


def run_chunks(
    pipeline: ChunkPipeline,
    keys: Iterable[ChunkKey],
    *,
    workers: int,
    stop: threading.Event,
    patience: float = PATIENCE,
) -> None:
    """Run every chunk until it is completed or failed, at most ``workers`` at a time, in order.

    Waits for chunks that another worker holds or that are not due yet, while others run. Draws keys as they are needed.
    The outcome of each chunk is in the status database and in the pipeline's events. Log lines show the pipeline's
    owner as their task. Once a signal handler or another thread sets ``stop``, running chunks are given back and no
    other begins.

    While the machine or a service does not work, no chunk begins.

    Raises:
        MachineUnfit: That lasted ``patience`` seconds. Running chunks were given back.
        StatusUnavailable: The status database cannot be reached.
        KeyboardInterrupt: ``stop`` was set.
    """

    def sleep(seconds: float) -> None:
        stop.wait(seconds)

    shared = SharedRest()
    observer = combined(pipeline.observer, shared.observe, interrupts=pipeline.interrupts)
    rest = Rest(shared, pipeline.probe, lambda: pipeline.status, pausing(stop.is_set), patience=patience)
    pipeline = evolve(pipeline, stop=stop.is_set, sleep=sleep, observer=observer)
    later: list[tuple[float, ChunkKey]] = []
    running: dict[Future[Outcome], ChunkKey] = {}
    fresh = iter(keys)
    with task(pipeline.owner), ThreadPoolExecutor(workers, thread_name_prefix="pixcore-chunk") as pool:
        try:
            while not stop.is_set():
                rest.until_fit(stop.is_set)
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
        wait(running, timeout=_POLL, return_when=FIRST_COMPLETED)
    else:
        # not by waiting for the event: a signal handler of this thread may set it, which would deadlock
        time.sleep(min(_POLL, max(0.0, later[0][0] - time.monotonic())))


def _due_in(future: Future[Outcome]) -> float | None:
    """Return the seconds until the next claim of the chunk; None if it is completed or failed."""
    try:
        outcome = future.result()
    except StatusUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the pipeline recorded it; the next claim says when the chunk is due or that it has failed
        return None if isinstance(error, PermanentError) and not is_shared(error) else 0.0
    match outcome:
        case Busy(retry_in):
            return min(retry_in, _BUSY)
        case NotDue(retry_in):
            return retry_in
        case _:
            return None
