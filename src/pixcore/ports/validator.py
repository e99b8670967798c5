"""Validator: decide whether a download is a sound image."""

from collections.abc import Generator, Iterable
from typing import Protocol

from pixcore.model.images import Accepted, Download, Rejected


class Validator(Protocol):
    """Judges each download by itself. Which of the accepted images a chunk keeps is decided by ``pixcore.filters``."""

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield exactly one verdict for each download, lazily and in order.

        Draws from ``downloads`` in the thread that consumes the verdicts, and ahead of them by a bounded number only.
        Accepted means: decoded to the last pixel, and within the validator's limits. Whatever a file holds, the result
        is a verdict, never an exception, within bounded time and memory. The files stay as they are.

        Raises:
            TransientError: The validator itself does not work now. This says nothing about any download.
            Exception: What ``downloads`` raises.
        """
        ...
