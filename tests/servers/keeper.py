"""Runs the programs of one server, and ends them on a signal, when one of them ends, or when the test run ends.

The test run holds a lock while it runs. The kernel releases it however the run ends, SIGKILL included; then the keeper
removes the run's folder too. It is a separate process in its own session, and uses the standard library only.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

GRACE = 3.0  # seconds between SIGTERM and SIGKILL
SIGNALLED, DIED, OVER = "a signal", "a program ended", "the run is over"


def keep(run: str, folder: str, commands: list[list[str]], stop: int, options: dict[str, Any]) -> None:
    """Run the commands in ``folder`` until there is a reason to end them; return when all have ended."""
    reasons: SimpleQueue[str] = SimpleQueue()  # not Queue, because a signal handler puts into it

    def watch(wait: Callable[[], object], reason: str) -> None:
        def report() -> None:
            wait()
            reasons.put(reason)

        Thread(target=report, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: reasons.put(SIGNALLED))
    with Path(folder, "kept").open("w") as kept:
        fcntl.lockf(kept, fcntl.LOCK_EX)  # the end of the run waits for this lock
        watch(lambda: await_end(Path(run)), OVER)
        programs: list[subprocess.Popen[bytes]] = []
        try:
            for command in commands:
                programs.append(subprocess.Popen(command, cwd=folder, process_group=0, **options))
                watch(programs[-1].wait, DIED)
            reason = reasons.get()
        finally:
            end(programs, stop)
        if reason == OVER:
            # all keepers of the run remove it; for the last one no process writes there any more
            shutil.rmtree(Path(run).parent, ignore_errors=True)


def await_end(run: Path) -> None:
    """Return when no process holds the lock of the run."""
    with suppress(FileNotFoundError), run.open() as lock:
        fcntl.lockf(lock, fcntl.LOCK_SH)


def end(programs: list[subprocess.Popen[bytes]], stop: int) -> None:
    """End the programs and their process groups."""
    for program in programs:
        program.send_signal(stop)
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            program.wait(GRACE)
        with suppress(ProcessLookupError):  # all of the group have ended, as expected
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


if __name__ == "__main__":
    keep(**json.loads(sys.argv[1]))
