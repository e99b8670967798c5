"""Search: the requests for a source's result pages, and how to parse them. ``paged`` holds what all searches share."""

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen

from pixcore.model.images import Provenance
from pixcore_adapters.downloader.fetch.pages import Grant, PageAnswer, PageRequest

__all__ = [
    "About",
    "Credential",
    "Detail",
    "Grant",
    "Limits",
    "Overloaded",
    "PageAnswer",
    "PageRequest",
    "Refused",
    "Result",
    "ResultPage",
    "Search",
    "Unreadable",
]


@frozen
class Credential:
    """A credential that a source takes from an environment variable.

    Attributes:
        variable: The name of the variable.
        url: Where to get one.
        required: Whether the source cannot be used without it.
    """

    variable: str
    url: str
    required: bool = True


@frozen
class Limits:
    """The limits of a source, as it documents them; 0 for one that it does not document.

    Attributes:
        concurrent: Requests at once.
        minute: Requests a minute.
        day: Requests a day.
    """

    concurrent: int = 1
    minute: int = 0
    day: int = 0


@frozen
class About:
    """What is known of a source before any request. ``pixcore sources`` and ``pixcore plan`` show it.

    Attributes:
        name: The source's name, as users write it and as slices name it.
        size: Results a page. The result of rank ``r`` on page ``p``, both from 0, has the position ``p * size + r``.
        depth: The largest number of results that one query can give, with the credentials that are set.
        terms: The terms of use, in one line.
        terms_url: The address of the terms.
        tried: How it was tried, in one line.
        licenses: Slugs of the licences that results can be limited to; empty if the source states no licences.
        credentials: What it takes from the environment.
        limits: Its limits.
        ahead: How many pages may be fetched ahead, before their results are needed.
        by_cursor: Whether a page can be requested only by the cursor that the page before it holds.
        empty_is_end: Whether an empty first page means "no results". If False, it raises SourceChanged.
        contact: Whether it answers only clients whose user agent names a contact address.
        details: Whether each result needs a request of its own; see ``Detail``.
        exact: A regular expression for keywords that name a set of images, such as a species, of which variations such
            as "… photo" are no keywords.
        known: What is known not to work, in one line; ``""`` if nothing is.
    """

    name: str
    size: int
    depth: int
    terms: str
    terms_url: str
    tried: str
    licenses: frozenset[str] = frozenset()
    credentials: tuple[Credential, ...] = ()
    limits: Limits = Limits()
    ahead: int = 1
    by_cursor: bool = False
    empty_is_end: bool = True
    contact: bool = False
    details: bool = False
    exact: str = ""
    known: str = ""


@frozen
class Result:
    """One result of a page.

    Attributes:
        url: The image's URL.
        provenance: Where the image comes from.
        license: The slug of its licence, such as ``by-sa``; ``""`` if the source does not state it.
        label: Its class, if the source states one, such as a species; else ``""``.
        checksum: What its bytes must have, as ``sha256:HEX``, ``sha1:HEX`` or ``md5:HEX``; ``""`` if the source does
            not say.
    """

    url: str
    provenance: Provenance
    license: str = ""
    label: str = ""
    checksum: str = ""


@frozen
class Detail:
    """A result that a page only names, so that a request of its own describes it.

    Attributes:
        request: The request. A source that answers 404 or 410 has withdrawn the result.
        read: Parses the answer as ``Search.read`` does; returns None for a result without an image.
    """

    request: PageRequest
    read: Callable[[PageAnswer], Result | None]


@frozen
class ResultPage:
    """A parsed page.

    Attributes:
        results: Its results in order of rank, at most ``About.size``; more are ignored. None stands for a result
            without an image, so that the later ones keep their positions. Without results, it is the last page, unless
            it has a cursor. At most ``Limits.concurrent`` details are requested at once.
        cursor: The cursor of the next page; ``""`` if there is none, or the source counts pages.
        total: How many results there are, as the source says; None if it does not. No page beyond is requested.
        spent: The limit that the answer says is spent, such as ``200 a day``; ``""`` if none is. No further page is
            requested then. ``Retry-After`` and Openverse's ``X-RateLimit`` are read for every source.
    """

    results: Sequence[Result | Detail | None]
    cursor: str = ""
    total: int | None = None
    spent: str = ""


class Unreadable(Exception):
    """A page was fetched, but it cannot be parsed as a page of results. ``paged`` raises SourceChanged for it.

    The message is a reason that completes "a page of NAME cannot be read: …", such as "it has no list of results".
    """


class Overloaded(Exception):
    """The fetched page says to try again later; the message is why. ``paged`` raises SourceUnavailable for it.

    A limit that is spent, by the minute or the day, is such a reason.
    """


class Refused(Exception):
    """The fetched page refuses the query or the credentials. ``paged`` raises SourceChanged for it.

    The message completes "NAME …" and names the remedy, such as "has no category 'Cats'; check its name".
    """


class Search(Protocol):
    """One source that is searched by keyword. It only makes requests and parses pages; ``paged`` sends them."""

    @property
    def about(self) -> About:
        """What is known of the source."""
        ...

    def request(self, query: str, licenses: str, page: int, cursor: str) -> PageRequest:
        """Return the request for page number ``page``, from 0.

        Deterministic, because planning, workers and retries must get the same pages. ``licenses`` is a comma-separated
        list of slugs of ``About.licenses``, or ``""`` for any licence. Results with another licence are dropped later,
        so the request need not filter them. ``cursor`` is the one that the page before holds; ``""`` for the first
        page, and always if the source counts pages.
        """
        ...

    def read(self, answer: PageAnswer) -> ResultPage:
        """Parse a page.

        Raises:
            Unreadable: The body is not a page of results.
            Overloaded: The source says to try again later.
            Refused: The source refuses the query or the credentials.
        """
        ...
