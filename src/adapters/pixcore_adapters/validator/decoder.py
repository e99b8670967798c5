"""The parent's handle on a child process that opens files: what a file does to the child is a refusal here.

A file may take too much time or memory, or crash the child. ``Child`` is for any program that answers requests about
files; ``Decoder`` is the one that decodes images.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import asdict

from pixcore.errors import TransientError
from pixcore.model.images import RejectReason
from pixcore_adapters.validator.picture import Limits, Picture, Refusal, from_json

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")

_START = 60.0  # seconds; imports take 0.2 on an idle machine
_PARTING = 0.1  # seconds that a child which is to be used again has for what nobody waits for any more
_LONGEST = 1 << 16  # bytes of an answer

# All that a child needs to find Python and its libraries; credentials stay here.
_PASSED_ON = ("PYTHON", "LD_", "DYLD_", "LC_", "LANG", "PATH", "HOME", "TMPDIR", "COVERAGE_")
# Each thread of a numeric library reserves tens of megabytes that the memory limit counts.
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}


class Child(Generic[_Request, _Answer]):
    """A child process that answers requests in the order in which they are given, ahead of ``take``.

    The first request starts it, and so does a request after its end. For one thread at a time.

    Args:
        program: The module that the child runs: it calls ``pixcore_adapters.validator.child.serve``.
        settings: What the program needs to know, as JSON values.
        seconds: How long one request may take.
        memory: How many bytes of data the child may hold.
        encode: Write a request.
        decode: Read an answer.
    """

    def __init__(
        self,
        program: str,
        settings: Mapping[str, object],
        seconds: float,
        memory: int,
        *,
        encode: Callable[[_Request], bytes],
        decode: Callable[[bytes], _Answer],
    ) -> None:
        self._program = program
        self._seconds = seconds
        self._settings = json.dumps({**settings, "seconds": seconds, "memory": memory})
        self._encode, self._decode = encode, decode
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._arrival = select.poll()
        self._given: deque[_Request] = deque()  # not answered yet
        self._outcomes: deque[_Answer | Refusal] = deque()  # not taken yet
        self._since = 0.0  # when it had nothing to do but the first of them, or its start
        self._started = False
        self._in_step = True  # what was sent and received is what the queues say

    def start(self) -> None:
        """See to it that there is a child which, as far as can be told, lives; it need not be ready yet.

        Raises:
            TransientError: No child can be started.
        """
        if self._process and self._process.poll() is None:
            self._since = time.monotonic()
            return
        self._end()
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = _start(self._program, theirs.fileno(), self._settings)
        self._arrival = select.poll()
        self._arrival.register(self._pipe, select.POLLIN)
        self._started, self._since = False, time.monotonic()

    def give(self, request: _Request) -> None:
        """Send one more request.

        Raises:
            TransientError: No child can be started.
        """
        self._in_step = False
        if not self._given:
            self.start()
        self._given.append(request)
        self._send(request)
        self._in_step = True

    def take(self) -> _Answer | Refusal:
        """Wait for the next outcome, in the order given; whatever a file does to the child comes back as its refusal.

        Raises:
            TransientError: No child can be started.
        """
        if not self._outcomes:
            self._receive()
        return self._outcomes.popleft()

    def load(self) -> int:
        """How many files it has not decoded yet."""
        while self._given and self._started and self._arrival.poll(0):
            self._receive()
        return len(self._given)

    def settle(self) -> None:
        """Forget what was given and not taken; a child that is not done with it soon is ended."""
        while self._in_step and self._given and self._started and self._arrival.poll(1000 * _PARTING):
            self._receive()
        if self._given or not self._in_step:
            self.close()
        self._outcomes.clear()

    def close(self) -> None:
        """End the child, if there is one. Idempotent; a later file starts another."""
        self._end()
        self._given.clear()
        self._outcomes.clear()
        self._in_step = True

    def forget(self) -> None:
        """In a fork: let go of a child that belongs to the parent process, without a word to it."""
        if self._pipe:
            self._pipe.close()  # or the child would not see the end of its true parent
        if self._process:
            self._process.returncode = 0  # nothing for this process to wait for
        self._pipe = self._process = None
        self.close()

    def _receive(self) -> None:
        """Wait for the child's next answer; where there is none, the others go to another child."""
        self._in_step = False
        outcome = self._outcome()
        self._given.popleft()
        self._outcomes.append(outcome)
        self._since = time.monotonic()
        if self._given and not self._pipe:
            self.start()
            for request in self._given:
                self._send(request)
        self._in_step = True

    def _outcome(self) -> _Answer | Refusal:
        try:
            if not self._started:
                self._await_start()
            answer = self._answer(self._seconds)
        except (EOFError, ConnectionError):
            return Refusal(RejectReason.DECODER_DIED, f"the decoder ended with {self._end()}")
        if answer is None:
            self._end()
            return Refusal(RejectReason.TOO_SLOW, f"not decoded within {self._seconds:g} seconds")
        return self._decode(answer)

    def _await_start(self) -> None:
        try:
            ready = self._answer(_START)
        except (EOFError, ConnectionError):
            ready = None
        if not ready:
            raise TransientError(
                f"the decoder child did not start ({self._end()}); see whether"
                f" `{sys.executable} -m {self._program}` can import its libraries"
            )
        self._started, self._since = True, time.monotonic()

    def _answer(self, seconds: float) -> bytes | None:
        """Wait for a word of the child; None when it has not come ``seconds`` after it began with what it does."""
        left = self._since + seconds - time.monotonic()
        if not self._pipe:
            raise EOFError
        return self._pipe.recv_bytes(_LONGEST) if self._arrival.poll(max(0.0, 1000 * left)) else None

    def _send(self, request: _Request) -> None:
        with suppress(ConnectionError):  # it has ended; whoever waits for the answer will see how
            if self._pipe:
                self._pipe.send_bytes(self._encode(request))

    def _end(self) -> str:
        """Kill the child, if there is one; say how it ended."""
        if self._pipe:
            self._pipe.close()
            self._pipe = None
        if not self._process:
            return "nothing"
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class Decoder(Child[Path, Picture | Refusal]):
    """A child process that decodes images.

    Args:
        limits: What an image may be.
        seconds: How long one image may take.
        memory: How many bytes of data the child may hold.
    """

    def __init__(self, limits: Limits, seconds: float, memory: int) -> None:
        super().__init__(
            "pixcore_adapters.validator.child",
            {"limits": asdict(limits)},
            seconds,
            memory,
            encode=lambda path: os.fsencode(path.absolute()),
            decode=from_json,
        )


def _start(program: str, descriptor: int, settings: str) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 (our own interpreter and program)
            [sys.executable, "-P", "-m", program, str(descriptor), settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)} | _ONE_THREAD,
            process_group=0,  # Ctrl-C is the parent's to answer
        )
    except OSError as error:
        raise TransientError(f"no decoder child can be started: {error.strerror}; too many processes?") from error
