"""Archiver: pack images into one file, and read them back."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from attrs import frozen

from pixcore.model.archives import Archive
from pixcore.model.rows import Row


@frozen
class Contents:
    """The contents of an archive, unchecked (``pixcore.stored.check`` checks them).

    ``rows`` are the metadata rows in order. ``files`` yields every other member as (name, bytes), lazily and once.
    """

    rows: tuple[Mapping[str, object], ...]
    files: Iterator[tuple[str, bytes]]


class Archiver(Protocol):
    """Packs a chunk's images into one file."""

    @property
    def suffix(self) -> str:
        """The end of the blob's key, such as ``.zip``."""
        ...

    @property
    def content_type(self) -> str:
        """The archive's media type."""
        ...

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """Write the images and their rows, in order, to ``target``; replace it if it exists.

        Iterates over ``images`` once, and draws an image only after writing the one before: the next may still have to
        be downloaded. What ``images`` raises, which may be a BaseException, passes through unchanged.

        A format may name the files otherwise than the rows do; the rows that it packs have its names as ``file_name``.

        Deterministic: the same rows and bytes give the same archive, whatever the time, the umask or the machine.
        Formats that are compressed already are stored as they are. On failure, nothing is left at ``target``.

        Raises:
            WorkspaceFull: The disk has no space for the archive.
            TransientError: An image could not be read or the archive not be written, for another reason.
        """
        ...

    def contents(self, archive: Path) -> Contents:
        """Read an archive back. The file must stay until ``files`` is exhausted or closed.

        Raises:
            InvalidRequest: It is not a whole archive of this kind. Also raised while ``files`` is read.
        """
        ...
