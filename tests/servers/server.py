"""One server: prepared in a folder on free ports, started, awaited, stopped, and started again on its data."""

import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from secrets import randbelow
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from attrs import field, frozen
from tenacity import Retrying, retry, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_fixed

from servers import keeper, run
from servers.tools import Unavailable, tail

A = TypeVar("A")

READY = 60.0  # seconds that a server may take to start
NOT_YET = (OSError, subprocess.SubprocessError)


@frozen
class Setup(Generic[A]):
    """How to start a prepared server: commands that run in its folder; ``ready`` raises ``NOT_YET`` until it serves."""

    address: A
    ports: tuple[int, ...]
    programs: tuple[tuple[str, ...], ...]
    ready: Callable[[], object]
    environment: Mapping[str, str] = field(factory=dict)
    owner: pwd.struct_passwd | None = None
    """The user who runs the programs, if not the user of the tests."""
    stop: signal.Signals = signal.SIGTERM


Prepare = Callable[[Path], Setup[A]]
"""Fills a server's new folder, and returns how to start it."""


class PortTaken(Unavailable):
    """Another program took the port first."""


class Server(Generic[A]):
    """A running server, until ``close``; ``stop`` and ``start`` keep its address and its data."""

    def __init__(self, folder: Path, setup: Setup[A]) -> None:
        self.address = setup.address
        self._folder, self._setup = folder, setup
        self.start()

    def start(self) -> None:
        """Start it again, and wait until it serves.

        Raises:
            Unavailable: It ended or did not serve in time; quotes the end of its log.
        """
        setup = self._setup
        options = {"env": {"PATH": os.defpath, "HOME": str(self._folder), "LC_ALL": "C.UTF-8", **setup.environment}}
        order = {
            "run": str(self._folder.parent / run.LOCK),
            "folder": str(self._folder),
            "commands": setup.programs,
            "stop": setup.stop,
            "options": options | as_user(setup.owner),
        }
        with self._log.open("ab") as log:
            command = (sys.executable, "-IS", keeper.__file__, json.dumps(order))
            self._keeper = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(NOT_YET),
                wait=wait_fixed(0.02),
                stop=stop_after_delay(READY),
                reraise=True,
            ):
                with attempt:
                    self._check()
        except NOT_YET as exc:
            self.stop()
            raise Unavailable(
                f"not ready after {READY:g} s, {exc!r}; its log ends:\n{tail(self._log.read_bytes())}"
            ) from exc
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it and wait until it has ended; its data stay."""
        self._keeper.terminate()
        self._keeper.wait()

    def leave_to_run(self) -> None:
        """Do not end the server with this process: its keeper ends it with the test run."""
        self._keeper.returncode = 0  # or Popen warns, when this process ends, that the keeper is still running

    def close(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _check(self) -> None:
        if self._keeper.poll() is None:
            self._setup.ready()
        elif any(map(listening, self._setup.ports)):
            raise PortTaken(f"another program has one of the ports {self._setup.ports}")
        else:
            raise Unavailable(f"the server ended while starting; its log ends:\n{tail(self._log.read_bytes())}")


@retry(retry=retry_if_exception_type(PortTaken), stop=stop_after_attempt(3), reraise=True)
def started(prepare: Prepare[A]) -> Server[A]:
    """Start a new server, and close it with the block.

    Raises:
        Unavailable: It cannot be installed or started.
    """
    folder = Path(mkdtemp(dir=run.folder()))
    folder.chmod(0o711)
    return Server(folder, prepare(folder))


def as_user(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return the options of Popen that start a program as another user."""
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}


def free_port() -> int:
    """Return a port without a listener, below the ephemeral ports, so that a stopped server finds it free again."""
    while True:
        port = 20_000 + randbelow(12_000)
        if not listening(port):
            return port


def listening(port: int) -> bool:
    """Return whether a program listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def speaks_http(*ports: int) -> None:
    """Request a page from each port; any response will do."""
    for port in ports:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/")
            connection.getresponse()
