"""Keep several worker processes running: replace those that end, and stop all of them together."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkProcess

from pixcore_runners.direct.forks import SIGNALS, fork, signals_held, signals_to_default

_POLL = 0.2  # seconds between two looks at the signals and the processes
_RESTART = 1.0  # least seconds between two replacements


def supervise(workers: Sequence[Callable[[], int]]) -> int:
    """Keep these workers running until SIGINT or SIGTERM, then stop them and wait for them; return the exit code.

    Each is called in a forked process, returns its exit code, and ends on SIGTERM.
    """
    signals: list[int] = []
    before = {number: signal.signal(number, lambda number, _: signals.append(number)) for number in SIGNALS}
    processes = {worker: _started(worker) for worker in workers}
    replaced = time.monotonic()
    while not signals:
        time.sleep(_POLL)
        ended = next((worker for worker, process in processes.items() if not process.is_alive()), None)
        if ended and time.monotonic() - replaced > _RESTART and not signals:
            processes[ended] = _started(ended)
            replaced = time.monotonic()
    for process in processes.values():
        process.terminate()
    for process in processes.values():
        process.join()
    for number, handler in before.items():
        signal.signal(number, handler)
    return 0


def _started(worker: Callable[[], int]) -> ForkProcess:
    process = fork.Process(target=_run, args=(worker,))
    with signals_held():
        process.start()
    return process


def _run(worker: Callable[[], int]) -> None:
    signals_to_default()
    sys.exit(worker())
