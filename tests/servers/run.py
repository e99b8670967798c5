"""A run of the tests: the folder of its servers, and the lock that they live as long as."""

import atexit
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

VARIABLE = "TEST_SERVERS"  # tells the processes of a run where its folder is
PREFIX, LOCK = "pixcore-servers-", "run"


@contextmanager
def servers_of_this_run() -> Iterator[None]:
    """Be the process that servers live as long as: they end here or with this process, and no state stays."""
    sweep()
    folder = Path(mkdtemp(prefix=PREFIX))
    folder.chmod(0o711)  # PostgreSQL may have to run as somebody else
    os.environ[VARIABLE] = str(folder)
    try:
        with (folder / "unlocked").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)  # POSIX's kind of lock, which no child inherits
            (folder / "unlocked").rename(folder / LOCK)  # a sweep sees it locked or not at all
            yield
    finally:
        del os.environ[VARIABLE]
        for kept in folder.glob("*/kept"):
            with suppress(FileNotFoundError), kept.open() as keeper:
                fcntl.lockf(keeper, fcntl.LOCK_SH)  # until the keeper has gone
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of runs that were killed; a keeper does it at once, but not every run has one."""
    for lock in Path(gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), lock.open("r+") as left:  # somebody else's, or of a run that is alive
            fcntl.lockf(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


def folder() -> Path:
    """The folder of the run that this process belongs to, or else of one that ends with this process."""
    if VARIABLE not in os.environ:
        alone = ExitStack()
        alone.enter_context(servers_of_this_run())
        atexit.register(alone.close)
    return Path(os.environ[VARIABLE])
