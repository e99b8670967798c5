"""Draw the pictures of the page: small ones for the grid, a large one for the details."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from pixcore_adapters.outputs.review.chunks import Made, NotShown, ReviewChunks
from pixcore_adapters.outputs.review.spool import Spool
from pixcore_adapters.thumbnails import Encoding, Thumbnails

SMALL = Thumbnails(budget=40_000, side=240, encoding=Encoding.JPEG)
LARGE = Thumbnails(budget=600_000, side=1100, encoding=Encoding.JPEG)

_SMALL_ONES = 1_000_000_000  # bytes of small pictures on the disk at most


class Pictures:
    """Pictures of the images of ``chunks``. As many are drawn at a time as there are cores, so memory is bounded.

    Small pictures are kept in a file in ``folder``. Threads may share it. Use it within
    ``pixcore_adapters.thumbnails.bombs_are_errors``.
    """

    def __init__(self, chunks: ReviewChunks, folder: Path) -> None:
        self._chunks = chunks
        self._small: Spool[tuple[Made, int]] = Spool(folder, _SMALL_ONES)
        self._cores = threading.BoundedSemaphore(os.cpu_count() or 1)

    def small(self, chunk: Made, place: int, wanted: Callable[[], bool]) -> bytes:
        """Return a small JPEG of the image with row number ``place`` of a chunk; ``b""`` if it cannot be drawn.

        ``wanted`` is called when a core is free for it.

        Raises:
            NotShown: There is no such image, or it is no longer wanted.
            PixcoreError: As ``ReviewChunks.image`` raises it.
        """
        known = self._small.get((chunk, place))
        if known is None:
            known = self._draw(SMALL, chunk, place, wanted)
            self._small.put((chunk, place), known)
        return known

    def large(self, chunk: Made, place: int, wanted: Callable[[], bool]) -> bytes:
        """Return a large JPEG, which is not kept, as ``small`` does."""
        return self._draw(LARGE, chunk, place, wanted)

    def close(self) -> None:
        """Remove the file."""
        self._small.close()

    def _draw(self, size: Thumbnails, chunk: Made, place: int, wanted: Callable[[], bool]) -> bytes:
        with self._cores:
            if not wanted():
                raise NotShown("the browser no longer waits for this picture")
            return size.draw(self._chunks.image(chunk, place))
