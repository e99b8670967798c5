"""Where the files of an export are written. A destination shows all files of an export or none.

A layout asks ``Files`` for a path, writes the file there, and need not know whether the file stays on this disk.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from pixcore.errors import InvalidRequest


class Files(Protocol):
    """Takes the files of one export. Several may be open at a time."""

    def create(self, name: str) -> AbstractContextManager[Path]:
        """Give the block a path of this machine to write a new file to; its folder exists.

        The file belongs to the export once the block has ended without an exception. It may be gone from the path then.

        Args:
            name: The file's name within the export: a relative path with ``/``, new to the export.

        Raises:
            PixcoreError: The file, or an earlier one, could not be sent to the destination.
        """
        ...


class Destination(Protocol):
    """A place for one export. ``str`` names it in messages."""

    @property
    def remains(self) -> str:
        """The URL of what an interrupted export leaves for the next one; empty if it leaves nothing."""
        ...

    def check(self) -> None:
        """Check that an export can be written here. Call it before anything is read.

        Raises:
            InvalidRequest: It is not empty. What an interrupted export to it left does not count.
            StoreDenied, StoreNotFound, StoreUnavailable: It cannot be read.
        """
        ...

    def writing(self) -> AbstractContextManager[Files]:
        """Give the block the files of a new export. They appear together when the block ends without an exception.

        Raises:
            InvalidRequest: The destination is not empty, or cannot be written.
            WorkspaceFull: Its disk is full, or that of the work directory.
            StoreDenied, StoreNotFound, StoreConflict, StoreUnavailable: As a ``BlobStore`` raises them.
        """
        ...


def check_name(name: str) -> None:
    """Check the name of a file of an export.

    Raises:
        InvalidRequest: It could lead out of the export.
    """
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise InvalidRequest(f"an export cannot hold a file named {name!r}; the layout must name its files otherwise")
