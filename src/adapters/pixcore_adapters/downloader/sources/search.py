"""Search: how the result pages of one source are asked for and read. What all have in common is in ``paged``."""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from pixcore.model.images import Provenance


@frozen
class Result:
    """One result of a page: the image's address, where it comes from, and the slug of its licence, such as ``by-sa``.

    ``license`` is ``""`` where the source does not tell.
    """

    url: str
    provenance: Provenance
    license: str = ""


class Unreadable(Exception):
    """A page came, but no result can be read from it; the text says why. ``paged`` makes it a SourceChanged."""


class Overloaded(Exception):
    """A page came, and asks to come back later; the text says why. ``paged`` makes it a SourceUnavailable."""


class Search(Protocol):
    """One source that is searched by keyword."""

    @property
    def name(self) -> str:
        """The source's name."""
        ...

    @property
    def size(self) -> int:
        """Results a page. The result of rank ``r`` on page ``p``, both from 0, has the position ``p * size + r``."""
        ...

    @property
    def limit(self) -> int:
        """How many results a query can give at most, as the source documents it."""
        ...

    @property
    def licenses(self) -> frozenset[str]:
        """Slugs of the licences that its results can be limited to; empty where it tells no licences."""
        ...

    @property
    def ahead(self) -> int:
        """How many pages may be asked for before they are needed."""
        ...

    @property
    def empty_is_end(self) -> bool:
        """Whether an empty page is believed where no result came before it; else the page counts as changed."""
        ...

    def url(self, query: str, licenses: str, page: int) -> str:
        """The address of a page, from 0. ``licenses`` is comma-separated slugs, or ``""`` for any."""
        ...

    def read(self, page: bytes) -> Sequence[Result | None]:
        """The results by rank; None keeps the place of one that is no image. An empty page is the end of the results.

        Raises:
            Unreadable: It is another page than a page of results.
            Overloaded: It is none now, and may be one later.
        """
        ...
