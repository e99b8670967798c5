"""Previewer: makes small pictures of images that a dataset does not keep."""

from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Previewer(Protocol):
    """Makes previews of images that a validator accepted."""

    def preview(self, image: Path) -> bytes:
        """Return a small picture of the file as WebP, of at most 4 kB; ``b""`` if it cannot be made.

        The picture is what a viewer shows of the first frame. Whatever the file holds, the result comes within bounded
        time and memory. The same file gives the same bytes. Threads may call it.

        Raises:
            TransientError: No preview can be made now.
        """
        ...
