"""Archivers, one file for each format, and what they share: writing the target, bounds, read errors and row checks."""

import hashlib
import io
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, one_line
from pixcore.model.archives import Archive

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_SMALL = 64 << 20  # bytes
# more than pixcore's own columns and the longest line of a list take together
_LONGEST_ROW = 1 << 20  # bytes

# zipfile raises RuntimeError for an encrypted member, and json raises a subclass of it for rows nested too deeply
_DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError)


@contextmanager
def removed_on_failure(target: Path) -> Generator[None]:
    """Remove ``target`` if the block raises anything, including a ``BaseException``."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class ArchiveFile(io.RawIOBase):
    """An archive that is being written, as a file object for zipfile and tarfile. Its bytes are hashed on their way.

    What is written stays in memory until ``commit``, so that the writer may go back and write a header again, in one
    call as before. ``commit`` sends it to the file: each byte is hashed and written once, and never read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._parts: dict[int, bytes] = {}  # not committed yet, by position
        self._position = self._size = 0

    def write(self, data: "ReadableBuffer") -> int:
        """Write one part at the current position: behind all others, or in place of one of them."""
        part = bytes(data)
        self._parts[self._position] = part
        self._position += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position from the start."""
        if whence != os.SEEK_SET:
            raise io.UnsupportedOperation("an archive is written from its start")
        self._position = offset
        return offset

    def tell(self) -> int:
        """Return the current position."""
        return self._position

    def seekable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def commit(self) -> None:
        """Hash what was written since the last call, and send it to the file. It cannot be overwritten any more."""
        for part in self._parts.values():
            self._sha256.update(part)
            self._size += self._file.write(part)
        self._parts.clear()

    def archive(self, path: Path, images: int, version: int) -> Archive:
        """Return the description of the archive. Call ``commit`` after the last write first."""
        return Archive(path, self._size, self._sha256.hexdigest(), images, version)


@contextmanager
def new_archive(path: Path) -> Generator[ArchiveFile]:
    """Create the archive file at ``path``, replacing an existing one. Remove it if the block raises.

    Raises:
        WorkspaceFull, TransientError: The block failed to write; see ``local_disk``.
    """
    with removed_on_failure(path), local_disk("packing"), path.open("wb") as file:
        yield ArchiveFile(file)


@contextmanager
def read_errors(*damage: type[Exception]) -> Generator[None]:
    """Translate the exceptions of reading a damaged archive. ``damage`` lists the format's own exceptions.

    Raises:
        InvalidRequest: The archive cannot be read to its end.
    """
    try:
        yield
    except (*damage, *_DAMAGE) as exc:
        raise InvalidRequest(
            f"the archive is not a complete one ({one_line(exc)}); fetch it again or create it again"
        ) from exc


def most_unpacked(archive: Path) -> int:
    """Return how many bytes a member, and all rows together, may have in this archive: its own size, at least 64 MiB.

    pixcore stores members unpacked, so those of its own archives are always smaller. The bound is for archives that
    other programs packed: a deflated member may unpack to a thousand times its size.
    """
    return max(archive.stat().st_size, _SMALL)


def parsed_row(line: bytes) -> Mapping[str, object]:
    """Return a line of JSON as a row.

    Raises:
        ValueError: The line is longer than 1 MiB, or not JSON.
        TypeError: It is not a JSON object, or one that holds arrays or objects.
    """
    if len(line) > _LONGEST_ROW:
        raise ValueError(f"a row has {len(line)} bytes, more than {_LONGEST_ROW}")
    return as_row(json.loads(line))


def as_row(value: object) -> Mapping[str, object]:
    """Return a parsed JSON value as a row.

    Raises:
        TypeError: The value is not a JSON object, or one that holds arrays or objects.
    """
    if not isinstance(value, dict) or any(isinstance(cell, dict | list) for cell in value.values()):
        raise TypeError(f"{value!r:.40} is not a row")
    return value
