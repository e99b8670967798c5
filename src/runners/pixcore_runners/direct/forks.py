"""Forks of this process, and their signal handlers, which a fork inherits."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import get_context

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # users and supervisors stop a program with these

fork = get_context("fork")


@contextmanager
def signals_held() -> Generator[None]:
    """Block the signals while the block forks; they would be lost between the fork and its handler set-up.

    The new process calls ``signals_unblocked`` or ``signals_to_default``.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def signals_unblocked() -> None:
    """Unblock the signals in the new process, once it has handlers of its own."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def signals_to_default() -> None:
    """Let the signals end the new process, and unblock them; it inherited its parent's handlers."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signals_unblocked()
