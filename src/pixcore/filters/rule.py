"""The interface of a rule, and of a filter that another distribution brings."""

from collections.abc import Callable
from typing import Protocol

from attrs import frozen

from pixcore.model.images import Accepted


@frozen
class Fault:
    """Why an image is dropped: a reason that is counted, and a detail that is shown."""

    reason: str
    detail: str


# A rule of a dataset: it returns the fault of an image, or None to keep it.
Rule = Callable[[Accepted], Fault | None]


class Filter(Protocol):
    """Decides by a rule of its own which valid images a dataset keeps; a plug-in of the group ``pixcore.filters``."""

    def fault(self, image: Accepted) -> str:
        """Return why the image is dropped, in one line; empty to keep it.

        Sees what is known of the image: sizes, ``measures``, provenance, and ``grey``, a picture of 32 x 32 levels of
        grey as seen. Must depend on the image alone: the same image always gets the same answer. Must be quick, because
        it is called for every image, and must not read the file, whose bytes come from strangers.

        Raises:
            Exception: Ends the attempt at the chunk.
        """
        ...
