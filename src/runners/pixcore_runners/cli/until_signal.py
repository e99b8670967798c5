"""Let a command that serves run until Ctrl-C or SIGTERM."""

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def until_signal() -> Generator[Callable[[], object]]:
    """Give the block a function that waits for Ctrl-C or SIGTERM. Both are blocked inside it, also in new threads."""
    numbers = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield lambda: signal.sigwait(numbers)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
