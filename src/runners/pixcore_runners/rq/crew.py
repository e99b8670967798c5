"""Several workers, each a process: one that ends is replaced, and all are told to stop once, together."""

import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess

from pixcore_runners.direct.forks import SIGNALS, fork, signals_afresh, signals_held

_GLANCE = 0.2  # how often it looks whether it should stop, and who has ended, in seconds
_REST = 1.0  # before those that ended are replaced, in seconds


def crew(member: Callable[[], int], size: int) -> int:
    """Keep so many members running until SIGINT or SIGTERM, then tell them and wait for them; gives the exit code.

    A member is called in a process of its own, gives its exit code, and ends when it gets SIGTERM.
    """
    told: list[int] = []
    before = {number: signal.signal(number, lambda number, _: told.append(number)) for number in SIGNALS}
    members = [_started(member) for _ in range(size)]
    replaced = time.monotonic()
    while not told:
        time.sleep(_GLANCE)
        members = [each for each in members if each.is_alive()]
        if len(members) < size and time.monotonic() - replaced > _REST and not told:
            members.append(_started(member))
            replaced = time.monotonic()
    for each in members:
        each.terminate()
    for each in members:
        each.join()
    for number, handler in before.items():
        signal.signal(number, handler)
    return 0


def _started(member: Callable[[], int]) -> ForkProcess:
    process = fork.Process(target=_run, args=(member,))
    with signals_held():
        process.start()
    return process


def _run(member: Callable[[], int]) -> None:
    signals_afresh()
    sys.exit(member())
