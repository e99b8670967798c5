"""Run chunks in several processes: this one runs chunks and gives others to its worker processes.

Threads would share one interpreter; on two cores, two processes get more done.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing import parent_process
from multiprocessing.context import ForkProcess
from typing import TYPE_CHECKING
from uuid import uuid4

from attrs import evolve, field, frozen

from pixcore import ChunkKey, ChunkPipeline, PixcoreError
from pixcore.chunk.events import Event, Observer, shielded
from pixcore_runners.direct.forks import fork, signals_held, signals_unblocked
from pixcore_runners.direct.threads import PATIENCE, run_chunks
from pixcore_runners.observing.logs import task

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_POLL = 0.2  # seconds between two checks whether to stop the workers

# Builds a pipeline inside the worker process. Takes the observer of its events and a should-stop callback. It must not
# use connections, threads or locks of the parent.
MakePipeline = Callable[[Observer, Callable[[], bool]], AbstractContextManager[ChunkPipeline]]

_logger = logging.getLogger("pixcore")


@frozen
class Worker:
    """A worker process. It requests a chunk by sending None through its pipe, and sends its events.

    Attributes:
        process: The process.
        pipe: This process's end of its pipe.
        owner: The owner of the claims of all workers: a run is one owner.
        handed: The chunks that it was given.
    """

    process: ForkProcess
    pipe: "Connection[ChunkKey | None, Event | PixcoreError | None]"
    owner: str
    handed: list[ChunkKey] = field(factory=list, init=False)


@contextmanager
def forked_workers(number: int, make: MakePipeline, patience: float = PATIENCE) -> Generator[Sequence[Worker]]:
    """Fork ``number`` workers, which wait for ``run_shared``. They end with the block, or if this process dies.

    Call it before this process starts threads, because a fork has none of them.
    """
    workers: list[Worker] = []
    owner = uuid4().hex
    try:
        workers.extend(_started(make, owner, patience) for _ in range(number))
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
    patience: float = PATIENCE,
) -> None:
    """Run every chunk as ``run_chunks`` does, one at a time here with ``pipeline`` and one in each worker.

    ``observer`` receives the events of the workers, in one thread for each worker. The chunks of a killed worker are
    run here at the end, once their leases have expired.

    Raises:
        StatusUnavailable, MachineUnfit, KeyboardInterrupt: As for ``run_chunks``.
        PixcoreError: A worker could not start.
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
            run_chunks(pipeline, iter(draw, None), workers=1, stop=stop, patience=patience)
            lost = _lost(served)
        except KeyboardInterrupt:
            _lost(served)  # raises the error of a worker, if that is what stopped all
            raise
        except BaseException:
            stop.set()
            raise
    if stop.is_set():
        raise KeyboardInterrupt  # a worker may have given its chunk back after this process had run its last one
    if lost:
        run_chunks(pipeline, lost, workers=1, stop=stop, patience=patience)


def _lost(served: Iterable[Future[Sequence[ChunkKey]]]) -> list[ChunkKey]:
    return [key for future in served for key in future.result()]


# -- in this process ---------------------------------------------------------------------------------------------------


def _started(make: MakePipeline, owner: str, patience: float) -> Worker:
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_work, args=(make, theirs, owner, patience))
    with theirs, signals_held():
        process.start()
    return Worker(process, ours, owner)


def _serve(
    worker: Worker, draw: Callable[[], ChunkKey | None], observe: Observer, stop: threading.Event
) -> Sequence[ChunkKey]:
    """Answer a worker's requests until it ends; return the chunks that it may have left unfinished.

    Raises:
        PixcoreError: The error that ended the worker.
    """
    with task(worker.owner):
        try:
            while True:
                if stop.is_set():
                    worker.process.terminate()
                if worker.pipe.poll(_POLL):
                    _answer(worker, worker.pipe.recv(), draw, observe)
        except (EOFError, ConnectionError):
            worker.process.join()
        except BaseException:
            stop.set()
            raise
    if code := worker.process.exitcode:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        _logger.warning(
            "a worker process has ended with %s; its chunks are run again once their leases have expired", how
        )
        return worker.handed
    return ()


def _answer(
    worker: Worker, message: Event | PixcoreError | None, draw: Callable[[], ChunkKey | None], observe: Observer
) -> None:
    if isinstance(message, PixcoreError):
        raise message
    if message is not None:
        observe(message)
        return
    if key := draw():
        worker.handed.append(key)
    worker.pipe.send(key)


# -- in the worker process ---------------------------------------------------------------------------------------------


def _work(
    make: MakePipeline, pipe: "Connection[Event | PixcoreError | None, ChunkKey | None]", owner: str, patience: float
) -> None:
    stop = threading.Event()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to all processes; the parent passes it on as SIGTERM
    signal.signal(signal.SIGTERM, partial(_stop_once, stop))
    signals_unblocked()
    threading.Thread(target=_end_with_parent, name="pixcore-orphan", daemon=True).start()
    one_at_a_time = threading.Lock()

    def send(message: Event | PixcoreError | None) -> None:
        with one_at_a_time:
            pipe.send(message)

    def next_key() -> ChunkKey | None:
        send(None)
        return pipe.recv()

    try:
        with make(send, stop.is_set) as pipeline:
            run_chunks(evolve(pipeline, owner=owner), iter(next_key, None), workers=1, stop=stop, patience=patience)
    except (KeyboardInterrupt, EOFError, ConnectionError):
        pass
    except PixcoreError as error:
        send(error)


def _stop_once(stop: threading.Event, *_: object) -> None:
    """Request a stop. Ignore further signals: the parent repeats them, and one would wait for a lock held here."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # not SIG_IGN, which the programs that this process starts inherit
    stop.set()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
