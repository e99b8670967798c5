"""The parent's handle on a decoder child: time, memory and crashes of a decode end there, as a refusal here."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

from attrs import asdict

from pixcore.errors import TransientError
from pixcore.model import RejectReason
from pixcore_adapters.validator.picture import Limits, Picture, Refusal, from_json

_PROGRAM = "pixcore_adapters.validator.child"

_START = 60.0  # seconds; imports take 0.2 on an idle machine
_TICK = 0.1  # seconds until a decode that nobody waits for any more is noticed
_LONGEST = 1 << 16  # bytes of an answer

# All that a child needs to find Python and its libraries; credentials stay here.
_PASSED_ON = ("PYTHON", "LD_", "DYLD_", "LC_", "LANG", "PATH", "HOME", "TMPDIR", "COVERAGE_")
# Each thread of a numeric library reserves tens of megabytes that the memory limit counts.
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}


class Decoder:
    """A child process that decodes one image at a time. It is started by the first, and again after its end.

    For one thread at a time.
    """

    def __init__(self, limits: Limits, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._settings = json.dumps({"limits": asdict(limits), "seconds": seconds, "memory": memory})
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def decode(self, path: Path, given_up: Event) -> Picture | Refusal:
        """Have the file decoded; whatever it does to the child comes back as a refusal.

        Once ``given_up`` is set, returns soon, with an outcome of no meaning.

        Raises:
            TransientError: No child can be started.
        """
        try:
            pipe = self._running(given_up)
            pipe.send_bytes(os.fsencode(path.absolute()))
            answer = _answer(pipe, self._seconds, given_up)
        except (EOFError, ConnectionError):
            return Refusal(RejectReason.DECODER_DIED, f"the decoder ended with {self._end()}")
        if answer is None:
            self._end()
            return Refusal(RejectReason.TOO_SLOW, f"not decoded within {self._seconds:g} seconds")
        return from_json(answer)

    def close(self) -> None:
        """End the child, if there is one. Idempotent; a later decode starts another."""
        self._end()

    def forget(self) -> None:
        """In a fork: let go of a child that belongs to the parent process, without a word to it."""
        if self._pipe:
            self._pipe.close()  # or the child would not see the end of its true parent
        if self._process:
            self._process.returncode = 0  # nothing for this process to wait for
        self._pipe = self._process = None

    def _running(self, given_up: Event) -> Connection:
        if self._pipe and self._process and self._process.poll() is None:
            return self._pipe
        self._end()
        ours, theirs = Pipe()
        with theirs:
            self._process = _start(theirs.fileno(), self._settings)
        self._pipe = ours
        try:
            ready = _answer(ours, _START, given_up)
        except (EOFError, ConnectionError):
            ready = None
        if not ready:
            raise TransientError(
                f"the decoder child did not start ({self._end()}); see whether `{sys.executable} -m {_PROGRAM}` can"
                " import its libraries"
            )
        return ours

    def _end(self) -> str:
        """Kill the child, if there is one; say how it ended."""
        if not (self._pipe and self._process):
            return "nothing"
        self._process.kill()
        code = self._process.wait()
        self._pipe.close()
        self._pipe = self._process = None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _start(descriptor: int, settings: str) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 (our own interpreter and program)
            [sys.executable, "-P", "-m", _PROGRAM, str(descriptor), settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)} | _ONE_THREAD,
            process_group=0,  # Ctrl-C is the parent's to answer
        )
    except OSError as error:
        raise TransientError(f"no decoder child can be started: {error.strerror}; too many processes?") from error


def _answer(pipe: Connection, seconds: float, given_up: Event) -> bytes | None:
    """Wait for the child's answer; None when it does not come within ``seconds`` or before ``given_up``."""
    deadline = time.monotonic() + seconds
    while not pipe.poll(max(0.0, min(_TICK, deadline - time.monotonic()))):
        if given_up.is_set() or time.monotonic() >= deadline:
            return None
    return pipe.recv_bytes(_LONGEST)
