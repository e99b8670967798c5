"""Search: the URLs of a source's result pages and how to parse them. ``paged`` holds what all searches share."""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from pixcore.model.images import Provenance


@frozen
class Result:
    """One result of a page.

    Attributes:
        url: The image's URL.
        provenance: Where the image comes from.
        license: The slug of its licence, such as ``by-sa``; ``""`` if the source does not state it.
    """

    url: str
    provenance: Provenance
    license: str = ""


class Unreadable(Exception):
    """A page was fetched, but it cannot be parsed as a page of results. ``paged`` raises SourceChanged for it.

    The message is a reason that completes "a page of NAME cannot be read: …", such as "it has no list of results".
    """


class Overloaded(Exception):
    """The fetched page says to try again later; the message is why. ``paged`` raises SourceUnavailable for it."""


class Search(Protocol):
    """One source that is searched by keyword. It only builds URLs and parses pages; ``paged`` fetches them."""

    @property
    def name(self) -> str:
        """The source's name, as users write it and as slices name it."""
        ...

    @property
    def size(self) -> int:
        """Results a page. The result of rank ``r`` on page ``p``, both from 0, has the position ``p * size + r``."""
        ...

    @property
    def limit(self) -> int:
        """The largest number of results for one query, as the source documents it."""
        ...

    @property
    def licenses(self) -> frozenset[str]:
        """Slugs of the licences that results can be limited to; empty if the source states no licences."""
        ...

    @property
    def ahead(self) -> int:
        """How many pages may be fetched ahead, before their results are needed."""
        ...

    @property
    def empty_is_end(self) -> bool:
        """Whether an empty page means "no results" if the slice had none before. If False, it raises SourceChanged."""
        ...

    def url(self, query: str, licenses: str, page: int) -> str:
        """Return the URL of page number ``page``, from 0. Deterministic: planning and workers must get the same URL.

        ``licenses`` is a comma-separated list of slugs from ``licenses``, or ``""`` for any licence. Results with
        another licence are dropped later, so the URL need not filter them.
        """
        ...

    def read(self, page: bytes) -> Sequence[Result | None]:
        """Parse a page's body. Return its results in order of rank, at most ``size`` (more are ignored).

        None stands for a result without an image, so that the later ones keep their positions. An empty sequence means
        that there are no more results.

        Raises:
            Unreadable: The body is not a page of results.
            Overloaded: The source says to try again later.
        """
        ...
