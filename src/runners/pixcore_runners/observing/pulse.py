"""The pulse of a program: its loop beats, and others see whether it still does."""

import struct
import time
from collections.abc import Callable
from mmap import mmap

# Seconds without a beat after which a loop counts as dead. A command to a broker that does not answer is tried for up
# to 80 s.
LATE = 180.0


class Pulse:
    """When a loop has run last, in memory that forks share. Needs no lock.

    A loop that has not begun, or that is left while the program waits for its broker, is never late.
    """

    _FORM = struct.Struct("<d")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock  # of the whole machine, so that processes can compare its times
        self._memory = mmap(-1, self._FORM.size)

    def beat(self) -> None:
        """Record that the loop runs."""
        self._write(self._clock())

    def pause(self) -> None:
        """Record that the loop does not run for now."""
        self._write(0.0)

    @property
    def silence(self) -> float | None:
        """Seconds since the last beat; None if the loop does not run for now."""
        (beat,) = self._FORM.unpack(self._memory[:])
        return self._clock() - beat if beat else None

    def fault(self, late: float = LATE) -> str:
        """Return what is wrong if the last beat is longer ago than ``late`` seconds; else ``""``."""
        silence = self.silence
        return f"the loop has not run for {silence:.0f} s" if silence is not None and silence > late else ""

    def _write(self, beat: float) -> None:
        self._memory[:] = self._FORM.pack(beat)
