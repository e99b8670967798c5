"""Runs the programs of one server, and ends them when it is told to, when one of them ends, or when the test run does.

The test run holds a lock for as long as it lives, and the kernel frees it however the run ends, kill -9 included; then
the run's folder goes too. This is a process of its own, in a session of its own, with the standard library only.
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

GRACE = 3.0  # seconds that a program has between the signal that asks and the one that does not
TOLD, DIED, OVER = "told to end", "a program died", "the run is over"


def keep(run: str, folder: str, commands: list[list[str]], stop: int, options: dict[str, Any]) -> None:
    """Run the commands in ``folder`` until there is a reason to end them; return when none is left."""
    reasons: SimpleQueue[str] = SimpleQueue()  # of all queues, this one may be filled by a signal handler

    def watch(wait: Callable[[], object], reason: str) -> None:
        def wait_and_tell() -> None:
            wait()
            reasons.put(reason)

        Thread(target=wait_and_tell, daemon=True).start()

    for told in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(told, lambda *_: reasons.put(TOLD))
    with Path(folder, "kept").open("w") as kept:
        fcntl.lockf(kept, fcntl.LOCK_EX)  # the end of the run waits for this
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
            # the run's keepers all do so; the last of them finds nobody writing there any more
            shutil.rmtree(Path(run).parent, ignore_errors=True)


def await_end(run: Path) -> None:
    """Return when nobody holds the lock of the run."""
    with suppress(FileNotFoundError), run.open() as lock:
        fcntl.lockf(lock, fcntl.LOCK_SH)


def end(programs: list[subprocess.Popen[bytes]], stop: int) -> None:
    """End the programs and what they started in their process groups."""
    for program in programs:
        program.send_signal(stop)
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            program.wait(GRACE)
        with suppress(ProcessLookupError):  # all of the group are gone, as they should be
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


if __name__ == "__main__":
    keep(**json.loads(sys.argv[1]))
