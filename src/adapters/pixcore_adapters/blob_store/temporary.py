"""Temporary files of writers of a folder. Each is locked while its writer lives, so that others can remove it later."""

import fcntl
import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pixcore_adapters.blob_store.durable import make_folder

_SWEEP_LIMIT = 100  # files checked for each new one


@contextmanager
def temporary_file(
    folder: Path, locked: Callable[[], AbstractContextManager[None]], source: Path | None = None
) -> Iterator[BinaryIO]:
    """Create a temporary file in a folder. Remove it at the end unless it was renamed.

    It is empty, or the file ``source`` under a second name if the file system can do that. ``locked`` gives the lock of
    the folder. Also removes some of the files that dead writers left there.
    """
    with locked():
        make_folder(folder)
        _sweep(folder)
        path = folder / uuid.uuid4().hex
        file = path.open("r+b" if source and _linked(source, path) else "xb")
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield file
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _linked(source: Path, path: Path) -> bool:
    """Give a file a second name; return whether that worked: not between file systems, and not in all of them."""
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove some of the temporary files that dead writers left. Needs the lock: a new file is not locked at once."""
    with os.scandir(folder) as entries:
        for entry in itertools.islice(entries, _SWEEP_LIMIT):
            with suppress(OSError), Path(entry.path).open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the writer lives
                Path(entry.path).unlink()
