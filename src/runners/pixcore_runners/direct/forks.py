"""Forks of this process, and the signals that they share with it until somebody says otherwise."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import get_context

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # with which users and supervisors ask a program to end

fork = get_context("fork")


@contextmanager
def signals_held() -> Generator[None]:
    """For a fork: until the new process calls ``signals_let_through``, they would be noted where nobody looks."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def signals_let_through() -> None:
    """In the new process, once it has handlers of its own."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def signals_afresh() -> None:
    """In the new process: be ended by what its parent has handlers for."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signals_let_through()
