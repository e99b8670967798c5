"""The direct runner in several processes: this one works chunks off, and hands them to others that do the same.

Threads would do, but for the interpreter that they would share: on two cores, two processes get more done.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import parent_process
from multiprocessing.context import ForkProcess
from typing import TYPE_CHECKING
from uuid import uuid4

from attrs import evolve, field, frozen

from pixcore import ChunkKey, ChunkPipeline, PixcoreError
from pixcore.chunk.events import Event, Observer, shielded
from pixcore_runners.direct.forks import fork, signals_held, signals_let_through
from pixcore_runners.direct.run import run_chunks
from pixcore_runners.observing.logs import task

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_GLANCE = 0.2  # how often it is looked whether the others should stop, in seconds

# Makes a pipeline in a process of its own, where nothing of this one's may be used: told whom to tell of events, and
# what to ask whether to stop.
Making = Callable[[Observer, Callable[[], bool]], AbstractContextManager[ChunkPipeline]]

_logger = logging.getLogger("pixcore")


@frozen
class Worker:
    """Another process that works chunks off. Through its pipe it asks for one, with None, and tells of its events.

    Attributes:
        owner: Under which name all workers claim: to others, a run is one.
        handed: What it was given.
    """

    process: ForkProcess
    pipe: "Connection[ChunkKey | None, Event | PixcoreError | None]"
    owner: str
    handed: list[ChunkKey] = field(factory=list, init=False)


@contextmanager
def forked_workers(number: int, make: Making) -> Generator[Sequence[Worker]]:
    """So many workers, which end with the block, or with this process, however it ends; they wait for ``run_shared``.

    To be called before this process starts threads, of which a fork has none.
    """
    workers: list[Worker] = []
    owner = uuid4().hex
    try:
        workers.extend(_started(make, owner) for _ in range(number))
        yield workers
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.pipe.close()
        for worker in workers:
            worker.process.join()


def run_shared(
    workers: Sequence[Worker],
    pipeline: ChunkPipeline,
    keys: Iterable[ChunkKey],
    *,
    observer: Observer,
    stop: threading.Event,
) -> None:
    """Work every chunk off as ``run_chunks`` does, one here with ``pipeline`` and one in each worker at a time.

    ``observer`` is told of the workers' events, in a thread for each worker. What one had in hand that was killed is
    worked off here in the end, when its lease has run out.

    Raises:
        StatusUnavailable, KeyboardInterrupt: As for ``run_chunks``.
        PixcoreError: A worker could not begin.
    """
    pipeline = evolve(pipeline, owner=workers[0].owner)
    one_at_a_time = threading.Lock()
    fresh = iter(keys)

    def draw() -> ChunkKey | None:
        with one_at_a_time:
            return next(fresh, None)

    with ThreadPoolExecutor(len(workers), thread_name_prefix="pixcore-worker") as threads:
        served = [threads.submit(_serve, worker, draw, shielded(observer), stop) for worker in workers]
        try:
            run_chunks(pipeline, iter(draw, None), workers=1, stop=stop)
            lost = _lost(served)
        except KeyboardInterrupt:
            _lost(served)  # whatever was wrong with one of them is what stopped all
            raise
        except BaseException:
            stop.set()
            raise
    if stop.is_set():
        raise KeyboardInterrupt  # a worker may have given its chunk back after this process had run its last one
    if lost:
        run_chunks(pipeline, lost, workers=1, stop=stop)


def _lost(served: Iterable[Future[Sequence[ChunkKey]]]) -> list[ChunkKey]:
    return [key for one in served for key in one.result()]


# -- here ------------------------------------------------------------------------------------------------------------


def _started(make: Making, owner: str) -> Worker:
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_work, args=(make, theirs, owner))
    with theirs, signals_held():
        process.start()
    return Worker(process, ours, owner)


def _serve(
    worker: Worker, draw: Callable[[], ChunkKey | None], observe: Observer, stop: threading.Event
) -> Sequence[ChunkKey]:
    """Be there for a worker until it has ended; gives what it may have left unfinished.

    Raises:
        PixcoreError: Because of which it has ended.
    """
    with task(worker.owner):
        try:
            while True:
                if stop.is_set():
                    worker.process.terminate()
                if worker.pipe.poll(_GLANCE):
                    _heed(worker, worker.pipe.recv(), draw, observe)
        except (EOFError, ConnectionError):
            worker.process.join()
        except BaseException:
            stop.set()
            raise
    if code := worker.process.exitcode:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        _logger.warning("a worker process has ended with %s; the others take over what it had in hand", how)
        return worker.handed
    return ()


def _heed(
    worker: Worker, word: Event | PixcoreError | None, draw: Callable[[], ChunkKey | None], observe: Observer
) -> None:
    if isinstance(word, PixcoreError):
        raise word
    if word is not None:
        observe(word)
        return
    if key := draw():
        worker.handed.append(key)
    worker.pipe.send(key)


# -- in the other process --------------------------------------------------------------------------------------------


def _work(make: Making, pipe: "Connection[Event | PixcoreError | None, ChunkKey | None]", owner: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everybody; the other process passes it on
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signals_let_through()
    threading.Thread(target=_end_with_parent, name="pixcore-orphan", daemon=True).start()
    one_at_a_time = threading.Lock()

    def tell(word: Event | PixcoreError | None) -> None:
        with one_at_a_time:
            pipe.send(word)

    def ask() -> ChunkKey | None:
        tell(None)
        return pipe.recv()

    try:
        with make(tell, stop.is_set) as pipeline:
            run_chunks(evolve(pipeline, owner=owner), iter(ask, None), workers=1, stop=stop)
    except (KeyboardInterrupt, EOFError, ConnectionError):
        pass
    except PixcoreError as error:
        tell(error)


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
