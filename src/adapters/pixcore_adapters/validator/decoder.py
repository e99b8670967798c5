"""Control a child process that opens files, from its parent process.

A file may take too much time or memory, or crash the child. Then the parent returns a refusal. ``Child`` runs any
program that answers requests about files; ``Decoder`` runs the one that decodes images.
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

from pixcore.errors import MachineUnfit
from pixcore.model.images import RejectReason
from pixcore_adapters.validator.picture import (
    Limits,
    Picture,
    Preview,
    PreviewOf,
    Refusal,
    answer_from_bytes,
    request_to_bytes,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")

_START = 60.0  # seconds; imports take 0.2 on an idle machine
_PARTING = 0.1  # seconds that a child has to finish abandoned requests before it is ended
_LONGEST = 1 << 16  # bytes of an answer

# The variables that a child needs to find Python and its libraries. Credentials are not passed on.
_PASSED_ON = ("PYTHON", "LD_", "DYLD_", "LC_", "LANG", "PATH", "HOME", "TMPDIR", "COVERAGE_")
# Each thread of a numeric library reserves tens of megabytes that the memory limit counts.
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}


class Child(Generic[_Request, _Answer]):
    """A child process that answers requests in the order in which they are given, ahead of ``take``.

    The first request starts the child, and so does a request after its end. Not thread-safe.

    Args:
        program: The module that the child runs: it calls ``pixcore_adapters.validator.child.serve``.
        settings: The settings of the program, as JSON values.
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
        self._since = 0.0  # when the child began with the first of ``_given``, or was started
        self._started = False
        self._in_step = True  # whether the queues match what was sent and received; False after a call was interrupted

    def start(self) -> None:
        """Start a child if none is running. It need not be ready when this returns.

        Raises:
            MachineUnfit: No child can be started.
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
            MachineUnfit: No child can be started.
        """
        self._in_step = False
        if not self._given:
            self.start()
        self._given.append(request)
        self._send(request)
        self._in_step = True

    def take(self) -> _Answer | Refusal:
        """Wait for the next outcome, in the order given. Return a refusal if the file crashed or blocked the child.

        Raises:
            MachineUnfit: No child can be started.
        """
        if not self._outcomes:
            self._receive()
        return self._outcomes.popleft()

    def ask(self, request: _Request) -> _Answer | Refusal:
        """Return the answer to one request now. The answers to earlier requests are still to be taken.

        Raises:
            MachineUnfit: No child can be started.
        """
        self.give(request)
        while self._given:
            self._receive()
        return self._outcomes.pop()

    def load(self) -> int:
        """Return how many requests the child has not answered yet."""
        while self._given and self._started and self._arrival.poll(0):
            self._receive()
        return len(self._given)

    def settle(self) -> None:
        """Discard all requests and outcomes that were not taken. End the child if it does not finish them soon."""
        while self._in_step and self._given and self._started and self._arrival.poll(1000 * _PARTING):
            self._receive()
        if self._given or not self._in_step:
            self.close()
        self._outcomes.clear()

    def close(self) -> None:
        """End the child, if there is one. Idempotent. A later request starts another child."""
        self._end()
        self._given.clear()
        self._outcomes.clear()
        self._in_step = True

    def forget(self) -> None:
        """Release, in a forked process, the child of the parent process without sending it anything."""
        if self._pipe:
            self._pipe.close()  # else the child would not notice the end of its parent
        if self._process:
            self._process.returncode = 0  # the child is not a child of this process, which must not wait for it
        self._pipe = self._process = None
        self.close()

    def _receive(self) -> None:
        """Wait for the child's next answer. If the child ended, send the other requests to a new child."""
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
            raise MachineUnfit(
                f"the decoder child did not start ({self._end()}); see whether"
                f" `{sys.executable} -m {self._program}` can import its libraries"
            )
        self._started, self._since = True, time.monotonic()

    def _answer(self, seconds: float) -> bytes | None:
        """Wait for a message of the child; return None if none arrives within ``seconds`` of ``_since``."""
        left = self._since + seconds - time.monotonic()
        if not self._pipe:
            raise EOFError
        return self._pipe.recv_bytes(_LONGEST) if self._arrival.poll(max(0.0, 1000 * left)) else None

    def _send(self, request: _Request) -> None:
        with suppress(ConnectionError):  # the child has ended; ``_outcome`` finds out how
            if self._pipe:
                self._pipe.send_bytes(self._encode(request))

    def _end(self) -> str:
        """Kill the child, if there is one, and return how it ended."""
        if self._pipe:
            self._pipe.close()
            self._pipe = None
        if not self._process:
            return "nothing"
        self._process.kill()
        code = self._process.wait()
        self._process = None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class Decoder(Child[Path | PreviewOf, Picture | Refusal | Preview]):
    """A child process that decodes images, and makes previews of them.

    Args:
        limits: The limits of an image.
        seconds: How long one image may take.
        memory: How many bytes of data the child may hold.
    """

    def __init__(self, limits: Limits, seconds: float, memory: int) -> None:
        super().__init__(
            "pixcore_adapters.validator.child",
            {"limits": asdict(limits)},
            seconds,
            memory,
            encode=request_to_bytes,
            decode=answer_from_bytes,
        )


def _start(program: str, descriptor: int, settings: str) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 (our own interpreter and program)
            [sys.executable, "-P", "-m", program, str(descriptor), settings],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)} | _ONE_THREAD,
            process_group=0,  # only the parent handles Ctrl-C
        )
    except OSError as error:
        raise MachineUnfit(f"no decoder child can be started: {error.strerror}; too many processes?") from error
