"""What an export needs of a place that is not a folder of this machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from attrs import frozen


@frozen
class Stored:
    """A stored file: its name, its size in bytes, and its sha256 in hex, which is empty if the place does not know."""

    name: str
    size: int
    sha256: str = ""


class Remote(Protocol):
    """A flat map from names to files. Names are relative paths with ``/``. Each method may be called by threads.

    Every method raises StoreDenied, StoreNotFound or StoreUnavailable if the place refuses, is missing, or cannot be
    reached after retries.

    Attributes:
        url: Names the place in messages; holds no credential.
        at_once: How many threads may use it at a time.
        rename: Renames a folder in one step; None if the place cannot. The new name must not exist, or be that of an
            empty folder; if it is not empty, InvalidRequest is raised.
    """

    @property
    def url(self) -> str: ...  # noqa: D102 - the class describes it

    @property
    def at_once(self) -> int: ...  # noqa: D102 - the class describes it

    @property
    def rename(self) -> Callable[[str, str], None] | None: ...  # noqa: D102 - the class describes it

    def list(self, folder: str) -> Iterator[Stored]:
        """Yield the files below a folder, in any order, with names relative to it. ``""`` is the whole place."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a small file."""
        ...

    def put(self, name: str, source: Path, sent: Stored) -> None:
        """Store a file, which ``sent`` describes. A file with that name is kept if it is the same, else replaced.

        A reader may see an incomplete file, but never one of full size with other bytes.
        """
        ...

    def prepare(self, name: str, to: str) -> Callable[[], object]:
        """Prepare to give a file another name; return the function that does it, as fast as the place can.

        The file is not sent again. It may keep its old name too.

        Raises:
            StoreConflict: Another file has the new name. The function raises it.
        """
        ...

    def clear(self, folder: str) -> None:
        """Remove a folder with all its files, or a file. A missing one is no error."""
        ...
