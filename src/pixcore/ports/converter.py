"""Converter: resize images and encode them again."""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Protocol

from pixcore.model.conversion import Conversion, Converted, Unconverted


class Converter(Protocol):
    """Converts image files, each by itself."""

    def convert(self, files: Iterable[tuple[Path, Path]], how: Conversion) -> Generator[Converted | Unconverted]:
        """Convert the first file of each pair, and write the result to the second. Yield one outcome a pair, in order.

        Draws from ``files`` in the thread that consumes the outcomes, lazily, and ahead of them by a bounded number
        only. Whatever a file holds, the result is an outcome, never an exception, within bounded time and memory. The
        first files stay as they are. After ``Unconverted``, there is no second file.

        The result is upright, opaque and in sRGB with 8 bits a channel; it has one frame and no metadata. The same
        bytes and conversion give the same result, within one version of the converter and of its libraries.

        Raises:
            WorkspaceFull: The disk has no space for a result.
            TransientError: The converter itself does not work now. This says nothing about any file.
            Exception: What ``files`` raises.
        """
        ...
