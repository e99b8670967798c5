"""The interface of a rule, and of a filter that another distribution brings."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from attrs import frozen

from pixcore.model.images import Accepted


@frozen
class Fault:
    """Why an image is dropped: a reason that is counted, and a detail that is shown."""

    reason: str
    detail: str


# A rule of a dataset. It returns the fault of an image, or None to keep it.
Rule = Callable[[Accepted], Fault | None]


class Filter(Protocol):
    """Decides by a rule of its own which valid images a dataset keeps; a plug-in of the group ``pixcore.filters``."""

    def fault(self, image: Accepted) -> str:
        """Return why the image is dropped, in one line, or ``""`` to keep it.

        The image has its sizes, ``measures``, provenance and ``grey``, the upright picture in 32 x 32 levels of grey.
        The result must depend on the image alone: the same image always gets the same result. The method must be fast,
        because it is called for every image, and must not read the file, whose bytes are untrusted.

        Raises:
            Exception: Ends the attempt at the chunk.
        """
        ...


@runtime_checkable
class PictureFilter(Protocol):
    """Decides like a ``Filter``, and sees a small colour picture. A plug-in of the same group.

    A picture is made only for images that all of pixcore's own rules keep, and only if a dataset has such a filter.
    """

    def fault_of_picture(self, image: Accepted, picture: bytes) -> str:
        """Return why the image is dropped, in one line, or ``""`` to keep it.

        ``picture`` is a WebP file of at most 4 kB that a ``Previewer`` made: what a viewer shows of the first frame,
        about 160 x 160 pixels. It is ``b""`` if no picture can be made. All else is as for ``Filter.fault``.

        Raises:
            Exception: Ends the attempt at the chunk.
        """
        ...
