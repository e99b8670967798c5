"""Stop a run by a signal: the running chunks are given back, and another run goes on with them."""

import signal
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


@contextmanager
def stopping(
    stopped: Callable[[], None], signals: Iterable[int], *, afterwards: Callable[[int, Any], Any] | int
) -> Generator[threading.Event]:
    """Give the block an event that the first of the ``signals`` sets. Further ones have the handler ``afterwards``.

    The handlers of before are back when the block ends. Outside of the main thread, which alone gets signals, nothing
    sets the event.

    Args:
        stopped: Called in the signal handler, to tell the user.
        signals: The numbers of the signals.
        afterwards: A handler, or ``signal.SIG_DFL``.
    """
    stop = threading.Event()
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in signals} if in_main else {}

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, afterwards)
        stop.set()
        with suppress(RuntimeError):  # the signal may have interrupted a write to the stream of the message
            stopped()

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
