"""Let a command that serves run until Ctrl-C or SIGTERM."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

_SECONDS = 0.5  # between two looks at a signal that another thread received


@contextmanager
def until_signal() -> Generator[Callable[[], object]]:
    """Give the block a function that waits for Ctrl-C or SIGTERM. Both are blocked inside it, also in new threads.

    Threads of libraries that were started before, such as numpy's, do not block them. A signal that one of these
    receives while the block does not wait is recorded, and ends the wait as well.
    """
    numbers = {signal.SIGINT, signal.SIGTERM}
    received: list[int] = []

    def wait() -> None:
        while not received and signal.sigtimedwait(numbers, _SECONDS) is None:
            pass

    handlers = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield wait
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
