"""A run of the tests: the folder of its servers, and the lock that ends them."""

import atexit
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

VARIABLE = "TEST_SERVERS"  # names the folder for all processes of the run
PREFIX, LOCK = "pixcore-servers-", "run"


@contextmanager
def servers_of_this_run() -> Iterator[None]:
    """Tie the servers to this process: they end with the block or with the process, and leave no state."""
    sweep()
    folder = Path(mkdtemp(prefix=PREFIX))
    folder.chmod(0o711)  # PostgreSQL may have to run as another user
    os.environ[VARIABLE] = str(folder)
    try:
        with (folder / "unlocked").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)  # a POSIX lock, which no child inherits
            (folder / "unlocked").rename(folder / LOCK)  # a sweep finds it locked, or not at all
            yield
    finally:
        del os.environ[VARIABLE]
        for kept in folder.glob("*/kept"):
            with suppress(FileNotFoundError), kept.open() as keeper:
                fcntl.lockf(keeper, fcntl.LOCK_SH)  # until the keeper has ended
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of runs that were killed. A keeper does it at once, but not every run has one."""
    for lock in Path(gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), lock.open("r+") as left:  # another user's, or of a running run
            fcntl.lockf(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


def folder() -> Path:
    """Return the folder of this process's run; without a run, begin one that ends with the process."""
    if VARIABLE not in os.environ:
        alone = ExitStack()
        alone.enter_context(servers_of_this_run())
        atexit.register(alone.close)
    return Path(os.environ[VARIABLE])
