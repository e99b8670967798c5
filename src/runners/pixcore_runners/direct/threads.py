"""Run chunks in threads of this process. No broker, no scheduler."""

import heapq
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from attrs import define, evolve, field

from pixcore import ChunkKey, ChunkPipeline, PermanentError, PixcoreError, Status, StatusRepo, StatusUnavailable
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

_logger = logging.getLogger("pixcore")


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

    While the machine or a service does not work, no chunk begins. It returns if other runs end all chunks meanwhile.

    Raises:
        MachineUnfit: That lasted ``patience`` seconds. Running chunks were given back.
        StatusUnavailable: The status database cannot be reached.
        KeyboardInterrupt: ``stop`` was set.
    """

    def sleep(seconds: float) -> None:
        stop.wait(seconds)

    shared = SharedRest()
    observer = combined(pipeline.observer, shared.observe, interrupts=pipeline.interrupts)
    running: dict[Future[Outcome], ChunkKey] = {}
    waiting = _Waiting(iter(keys), pipeline.status)

    def idle() -> bool:
        return stop.is_set() or not waiting.is_any_left(running.values())

    rest = Rest(shared, pipeline.probe, lambda: pipeline.status, pausing(idle), patience=patience)
    pipeline = evolve(pipeline, stop=stop.is_set, sleep=sleep, observer=observer)
    with task(pipeline.owner), ThreadPoolExecutor(workers, thread_name_prefix="pixcore-chunk") as pool:
        try:
            while not stop.is_set():
                rest.until_fit(idle)
                while len(running) < workers and (key := waiting.draw()) is not None:
                    running[pool.submit(copy_context().run, pipeline.run, key)] = key
                if not running and not waiting.later:
                    return
                _wait(running, waiting.later)
                for future in [future for future in running if future.done()]:
                    key = running.pop(future)
                    if (due_in := _due_in(future)) is not None:
                        waiting.put_back(key, due_in)
        except BaseException:
            stop.set()
            raise
    raise KeyboardInterrupt


@define
class _Waiting:
    """The chunks that a run has still to begin.

    Attributes:
        fresh: Those that it has not tried. One is drawn at a time: other processes draw from the same ones.
        later: Those that it has tried, and when each is due.
    """

    fresh: Iterator[ChunkKey]
    status: StatusRepo
    later: list[tuple[float, ChunkKey]] = field(init=False, factory=list[tuple[float, ChunkKey]])
    _next_look: float = field(init=False, default=0.0)
    _left: bool = field(init=False, default=True)

    def draw(self) -> ChunkKey | None:
        """Return the next chunk that is due; None if there is none now."""
        if self.later and self.later[0][0] <= time.monotonic():
            return heapq.heappop(self.later)[1]
        return next(self.fresh, None)

    def put_back(self, key: ChunkKey, due_in: float) -> None:
        """Draw the chunk again after some seconds."""
        heapq.heappush(self.later, (time.monotonic() + due_in, key))

    def is_any_left(self, running: Iterable[ChunkKey]) -> bool:
        """Return whether a chunk is neither completed nor failed, and drop those that are.

        Reads the status database at most every ``_BUSY`` seconds; returns the last answer in between.
        """
        now = time.monotonic()
        if now < self._next_look:
            return self._left
        self._next_look = now + _BUSY
        self.later = [(due, key) for due, key in self.later if not self._ended(key)]
        heapq.heapify(self.later)
        while not self.later and (key := next(self.fresh, None)) is not None:
            if not self._ended(key):
                self.put_back(key, 0.0)
        before, self._left = self._left, bool(self.later) or not all(map(self._ended, running))
        if before and not self._left:
            _logger.info("no chunk is left to run: other runs have ended all of them")
        return self._left

    def _ended(self, key: ChunkKey) -> bool:
        try:
            return self.status.get(key).status in (Status.COMPLETED, Status.FAILED)
        except PixcoreError:  # the status database may be what does not work
            return False


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
