"""TwinFinder: finds the images of a chunk that show the same picture."""

from collections.abc import Sequence
from typing import Protocol

from pixcore.model.comparison import Twin
from pixcore.model.images import Accepted


class Twins(Protocol):
    """The images of one attempt at a chunk, numbered from 0 in the order in which they are added.

    For one thread at a time. Results are deterministic, and do not depend on how images are grouped into calls. Time is
    bounded for each call and for all calls together; memory grows by a few kilobytes an image.
    """

    def propose(self, images: Sequence[Accepted]) -> Sequence[Sequence[int]]:
        """Add images; return for each the numbers of the earlier ones that may be its twins, the likeliest first.

        Opens no file. A pair that is not proposed counts as two pictures.
        """
        ...

    def confirm(self, image: Accepted, candidates: Sequence[Accepted]) -> Twin | None:
        """Compare the files of an image and of its likeliest candidates; return one that shows the same picture.

        At most the first 8 candidates are compared. None if none surely is a twin, if a file is gone or cannot be
        compared in time, or if all comparisons of the attempt have used up their time.

        Raises:
            TransientError: Pictures cannot be compared now.
        """
        ...

    def close(self) -> None:
        """Free what was started. Idempotent; nothing is called afterwards."""
        ...


class TwinFinder(Protocol):
    """Finds the images of a chunk that show the same picture, whatever their bytes: resized, cropped, mirrored."""

    def open(self) -> Twins:
        """Begin with the images of one attempt. Starts nothing until pictures are compared. Threads may call it."""
        ...
