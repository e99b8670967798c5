"""Archivers, one technology a file, and the rules they share: for a target, for damage and for rows read back."""

import hashlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, one_line
from pixcore.model.archives import Archive

_BLOCK = 1 << 18

# RuntimeError is zipfile's word for an encrypted member, and json's for rows nested too deep
_DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError)


@contextmanager
def whole_or_gone(target: Path) -> Generator[None]:
    """Remove ``target`` when the block fails, however it fails."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class Target:
    """An archive that is being written to ``file``, and read again right behind that, while it is in the caches."""

    def __init__(self, file: BinaryIO, written: BinaryIO) -> None:
        self.file = file
        self._written = written
        self._sha256 = hashlib.sha256()
        self._size = 0

    def settle(self) -> None:
        """Read what has been written so far; none of it may be written over from now on."""
        self.file.flush()
        while block := self._written.read(_BLOCK):
            self._sha256.update(block)
            self._size += len(block)

    def described(self, path: Path, images: int) -> Archive:
        """Say what was written, all of which is settled."""
        return Archive(path=path, size=self._size, sha256=self._sha256.hexdigest(), images=images)


@contextmanager
def new_archive(path: Path) -> Generator[Target]:
    """Make a target at ``path``, in the place of what is there; when the block fails, it is gone.

    Raises:
        WorkspaceFull, TransientError: As ``local_disk`` says of the block.
    """
    with (
        whole_or_gone(path),
        local_disk("packing"),
        path.open("wb") as file,
        path.open("rb", buffering=0) as written,
    ):
        yield Target(file, written)


@contextmanager
def reading(archive: Path, *damage: type[Exception]) -> Generator[None]:
    """Translate what reading a damaged archive raises; ``damage`` are the technology's own errors.

    Raises:
        InvalidRequest: It cannot be read, or not to its end.
    """
    try:
        yield
    except (*damage, *_DAMAGE) as exc:
        raise InvalidRequest(
            f"{archive.name} is no whole archive of a chunk ({one_line(exc)}); fetch or make it again"
        ) from exc


def as_row(value: object) -> Mapping[str, object]:
    """Take a parsed JSON value for a row.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.40} is no row")
    return value
