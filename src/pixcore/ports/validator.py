"""Validator: is it an image?"""

from collections.abc import Generator, Iterable
from typing import Protocol

from pixcore.model.images import Accepted, Download, Rejected


class Validator(Protocol):
    """Judges downloads, each by itself; what a chunk keeps of those accepted is the core's to say."""

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield exactly one verdict a download, in order, lazily, pulling ahead by a bounded number only.

        Pulls ``downloads`` in the thread that consumes the verdicts. Accepted means: decoded to the last pixel
        and within the validator's limits. Whatever a file holds ends as a verdict, never as an exception, and
        within bounded time and memory. Leaves the files as they are.

        Raises:
            TransientError: The validator itself cannot work now, which says nothing about any download.
            Exception: Whatever ``downloads`` raises.
        """
        ...
