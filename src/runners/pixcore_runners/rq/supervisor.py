"""Keep several worker processes running: replace those that end, and stop all of them together."""

import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess

from pixcore_runners.direct.forks import SIGNALS, fork, signals_held, signals_to_default

_POLL = 0.2  # seconds between two looks at the signals and the processes
_RESTART = 1.0  # least seconds between two replacements


def supervise(worker: Callable[[], int], size: int) -> int:
    """Keep ``size`` workers running until SIGINT or SIGTERM, then stop them and wait for them; return the exit code.

    ``worker`` is called in a forked process, returns its exit code, and ends on SIGTERM.
    """
    signals: list[int] = []
    before = {number: signal.signal(number, lambda number, _: signals.append(number)) for number in SIGNALS}
    processes = [_started(worker) for _ in range(size)]
    replaced = time.monotonic()
    while not signals:
        time.sleep(_POLL)
        processes = [process for process in processes if process.is_alive()]
        if len(processes) < size and time.monotonic() - replaced > _RESTART and not signals:
            processes.append(_started(worker))
            replaced = time.monotonic()
    for process in processes:
        process.terminate()
    for process in processes:
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
