"""An export in a folder of this machine, which is renamed when it is complete."""

import errno
import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from attrs import frozen

from pixcore.errors import InvalidRequest, WorkspaceFull
from pixcore_adapters.outputs.export.destinations import check_name

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@frozen
class Folder:
    """A ``Destination``: the new or empty folder ``path``.

    The export is written to a folder ``.NAME.partial-…`` beside it. If the export fails, nothing is left. If the
    process is killed, that folder stays, and the next export to the same path removes it.
    """

    path: Path

    remains = ""

    def __str__(self) -> str:
        return str(self.path)

    def check(self) -> None:
        """See ``Destination``."""
        with self._translated():
            if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
                raise InvalidRequest(
                    f"{self} already exists and is not an empty folder; nothing was written: choose another folder"
                )
            existing = next(folder for folder in self.path.resolve().parents if folder.exists())
            if not existing.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(existing, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @contextmanager
    def writing(self) -> Generator["InFolder"]:
        """See ``Destination``."""
        self.check()
        with self._translated():
            target = self.path.resolve()
            _sweep(target)
            with _partial(target) as partial:
                yield InFolder(partial)
                partial.rename(target)  # replaces an empty folder; fails if that is not empty any more

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except OSError as exc:
            if exc.errno in _FULL:
                raise WorkspaceFull(
                    f"nothing was exported to {self}: {exc.strerror}; free some space there or choose another folder"
                ) from exc
            if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
                self.check()
            raise InvalidRequest(
                f"nothing was exported to {self}: {exc.strerror or exc}; choose a folder that you can write to"
            ) from exc


@frozen
class InFolder:
    """The ``Files`` of an export, as files of a folder."""

    folder: Path

    @contextmanager
    def create(self, name: str) -> Generator[Path]:
        """See ``Files``."""
        check_name(name)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path


@contextmanager
def _partial(target: Path) -> Generator[Path]:
    """Create a folder beside the target. It is locked until the end of the block, and then removed if it is left."""
    while True:
        partial = target.with_name(f".{target.name}.partial-{uuid4().hex[:8]}")
        partial.mkdir(parents=True)
        lock = os.open(partial, os.O_RDONLY)
        try:
            with suppress(OSError):  # some network file systems cannot lock a folder; then none is swept either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if partial.exists():  # a sweep may have removed it before it was locked
                yield partial
                return
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(lock)


def _sweep(target: Path) -> None:
    """Remove the folders that killed exports to the same target left."""
    for partial in target.parent.glob(f".{_literal(target.name)}.partial-*"):
        with suppress(OSError):
            lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the export runs
                shutil.rmtree(partial, ignore_errors=True)
            finally:
                os.close(lock)


def _literal(name: str) -> str:
    """Return a glob pattern that matches only this name."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
