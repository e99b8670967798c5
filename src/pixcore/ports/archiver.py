"""Archiver: from accepted images to one file, and back."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from attrs import frozen

from pixcore.model.archives import Archive
from pixcore.model.rows import Row


@frozen
class Contents:
    """What an archive holds, as it stands there: nothing is checked yet (see pixcore.stored.check).

    ``rows`` are the metadata rows in order; ``files`` yields every other member as (name, bytes), lazily, once.
    """

    rows: tuple[Mapping[str, object], ...]
    files: Iterator[tuple[str, bytes]]


class Archiver(Protocol):
    """Packs a chunk into one file."""

    @property
    def suffix(self) -> str:
        """What ends the blob's key, such as ``.zip``."""
        ...

    @property
    def content_type(self) -> str:
        """The archive's media type."""
        ...

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """Write the images and their rows, in order, to ``target``, which is replaced if it exists.

        Draws each image when the one before is written, for the next may still have to be fetched. What ``images``
        raises, which may be a BaseException, passes through as it is.

        Deterministic: the same rows and bytes give the same archive, whatever the time, the umask or the machine.
        Formats that are compressed already are stored as they are. Nothing is left at ``target`` on failure.

        Raises:
            WorkspaceFull: No room for the archive.
            TransientError: An image or the archive could not be read or written for another reason.
        """
        ...

    def contents(self, archive: Path) -> Contents:
        """Read an archive back; the file must stay until ``files`` is used up or closed.

        Raises:
            InvalidRequest: It is no whole archive of this kind; also while ``files`` is being read.
        """
        ...
