"""The promises of a source that is searched: what ``Search`` says, against a server that gives documented answers."""

import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixcore.errors import SourceChanged, SourceUnavailable
from pixcore.model.images import Candidate, Miss
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.source import Pages
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.sources.search import (
    About,
    Overloaded,
    PageAnswer,
    Refused,
    Search,
    Unreadable,
)
from pixcore_adapters.downloader.web import WebDownloader

from .memory import growth

QUERY = "red panda"
_LARGE = 200 << 20
_JSON = {"Content-Type": "application/json"}
_SLUG = re.compile(r"[a-z0-9+-]+")
_NAMES = ("results", "items", "data", "query", "pages", "error", "url", "license", "next", "continue", "total")
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4),
    max_leaves=8,
)


@frozen
class Asked:
    """A request as the server got it. The names of headers are in lower case; a form has one value a field."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, str]


@frozen
class Reply:
    """What the server answers. ``size`` declares a length and sends so many further bytes."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict[str, str])
    size: int = 0

    @classmethod
    def json(cls, value: object, status: int = 200, **headers: str) -> "Reply":
        """Answer with JSON. Underscores in the names of headers stand for hyphens."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(json.dumps(value).encode(), status, _JSON | named)


Answers = Callable[[Asked], Reply]
"""Answers a request as the source documents it."""


@define
class Server:
    """A server on loopback.

    Attributes:
        port: Its port.
        answers: What it answers; may be replaced while it serves.
        asked: The requests so far, in order.
    """

    port: int
    answers: Answers
    asked: list[Asked] = field(factory=list[Asked])

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(answers: Answers) -> Generator[Server]:
    """Serve on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, _single(parts.query), headers, _single(body))
            server.asked.append(asked)
            reply = server.answers(asked)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + reply.size))
            self.end_headers()
            try:
                self.wfile.write(reply.body)
                for _ in range(reply.size >> 20):
                    self.wfile.write(b" " * (1 << 20))
            except OSError:
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(http.server_address[1], answers)
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), name="contract-source", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def _single(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


@define
class _Unfetched:
    """Passes the pages on that a source waits for, and keeps its candidates, so that no image is fetched."""

    source: PagedSource
    items: list[Candidate | Miss] = field(factory=list[Candidate | Miss])

    def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[PageAnswer]]:
        for item in self.source.candidates(slice_, pages):
            if isinstance(item, Future):
                yield item
            else:
                self.items.append(item)


class SearchContract(ABC):
    """The promises, one for each test. A subclass makes the source, and answers as its documentation says.

    Images are not fetched. The texts ``Ada`` and ``secret-credential`` are reserved: see ``answers`` and ``search``.
    """

    count: int = 600
    """How many results there are for ``QUERY``. More than a page, and at most what the source can give."""

    states: Sequence[str] = ("license", "creator", "page_url")
    """The names of the ``Provenance`` that the source states for each image."""

    json: bool = True
    """Whether its pages are JSON."""

    @abstractmethod
    def search(self, url: str) -> Search:
        """Return the source, with the server at ``url`` instead of its own.

        Every credential that it takes has the value ``secret-credential``.
        """

    @abstractmethod
    def answers(self, count: int, image: Callable[[int], str]) -> Answers:
        """Return a function that answers as documented, for ``count`` results.

        ``image(n)`` is the URL of result ``n``, counted from 0. Each has a licence that the source can be limited to,
        and the creator ``Ada``, if the source states them.
        """

    def image(self, number: int) -> str:
        """Return the URL of a result. Override it for a source that builds URLs of a form of its own."""
        return image(number)

    @pytest.fixture
    def server(self) -> Iterator[Server]:
        """Serve the documented answers."""
        with serving(self.answers(self.count, self.image)) as server:
            yield server

    def test_what_is_known_of_it_is_complete(self) -> None:
        """`pixcore sources` shows it before any request."""
        about = self.search("http://127.0.0.1:1").about
        assert about.terms
        assert about.tried
        assert "\n" not in about.terms + about.tried
        assert about.terms_url.startswith("https://")
        assert 0 < about.size <= about.depth
        assert about.ahead <= max(1, about.limits.concurrent)
        assert all(_SLUG.fullmatch(slug) for slug in about.licenses)
        assert all(one.variable.isupper() and one.url.startswith("https://") for one in about.credentials)

    def test_all_results_come_once_in_order_over_all_pages(self, server: Server) -> None:
        """All results of all pages come, in order, with what the source states of each."""
        about = self.search(server.url).about
        assert about.size < self.count <= about.depth
        found = self.candidates(server, 0, about.depth)
        assert [item.url for item in found] == [self.image(number) for number in range(self.count)]
        assert [item for item in found if not all(getattr(item.provenance, name) for name in self.states)] == []
        assert {item.key.source for item in found} == {about.name}
        assert [item.key.position for item in found] == sorted({item.key.position for item in found})

    def test_adjacent_slices_give_the_same(self, server: Server) -> None:
        """Chunks run in any order and in other processes, so a slice gives the same whatever was asked before it."""
        about = self.search(server.url).about
        whole = {item.key: item.url for item in self.candidates(server, 0, about.depth)}
        middle = max(key.position for key in whole) // 2 + 1
        borders = [0, 1, about.size, middle, about.depth]
        parts = [self.candidates(server, start, stop) for start, stop in pairwise(sorted(set(borders)))]
        assert {item.key: item.url for part in reversed(parts) for item in part} == whole
        one = PagedSource(self.search(server.url))  # a worker, which remembers the cursors of its earlier slices
        again = [self.candidates(server, start, start + 1, one) for start in (middle, 0, about.size)]
        assert all(item.url == whole[item.key] for part in again for item in part)

    def test_nothing_is_requested_beyond_its_depth(self, server: Server) -> None:
        """A source answers with an error, or repeats its last page, beyond the deepest result."""
        about = self.search(server.url).about
        found: list[Candidate] = []
        with suppress(SourceChanged):  # a worker may lack the credentials that a deeper result needs
            found = self.candidates(server, about.depth, about.depth + 9)
        assert found == []
        assert server.asked == []

    def test_no_results_are_no_error(self, server: Server) -> None:
        """A keyword without results ends, or says that the source has changed or does not know it."""
        server.answers = self.answers(0, self.image)
        found: list[Candidate] = []
        with suppress(SourceChanged):
            found = self.candidates(server, 0, 9)
        assert found == []
        assert 0 < len([asked for asked in server.asked if self.is_page(asked)]) <= 1

    def test_licences_are_kept_to(self, server: Server) -> None:
        """Results with other licences are misses, even if the source ignores the filter."""
        for licence in self.search(server.url).about.licenses:
            wanted = Slice(self.search(server.url).about.name, QUERY, 0, 5, licenses=licence)
            for item in self.items(server, wanted):
                assert isinstance(item, Candidate) or item.reason == "license_not_allowed"

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_is_named_with_its_remedy(self, server: Server, status: int) -> None:
        """A wrong key, or one without the right to search, is one line; the key itself is not in it."""
        server.answers = lambda _: Reply.json({"error": "refused secret-credential"}, status)
        about, message = self.failure(server, SourceChanged)
        for credential in about.credentials:
            assert credential.variable in message
        assert not about.credentials or about.credentials[0].url in message

    def test_a_spent_limit_may_be_tried_again(self, server: Server) -> None:
        """A limit that is spent for longer than a minute ends the source for now, without another request."""
        server.answers = lambda _: Reply.json({"error": "slow down"}, 429, Retry_After="3600")
        _, message = self.failure(server, SourceUnavailable)
        assert "try again later" in message
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        "body",
        [b"<!doctype html><title>Please wait</title>", b"", b'{"results": [{', b"[]", b"{}", b"null", b"\xff\xfe"],
    )
    def test_a_page_of_something_else_is_named(self, server: Server, body: bytes) -> None:
        """HTML instead of JSON, or half a page, is no end of the results, and the error names the source."""
        if not self.json and body.startswith((b"[", b"{", b"null")):
            return
        server.answers = lambda _: Reply(body, 200, {"Content-Type": "text/html"})
        self.failure(server, SourceChanged)

    def test_a_page_without_end_is_not_read(self, server: Server) -> None:
        """A page of 200 MB is refused before it is read, and takes no memory."""
        server.answers = lambda _: Reply(b"{", 200, _JSON, size=_LARGE)
        with growth() as grown:
            self.failure(server, SourceChanged)
        assert grown.peak < 100 << 20

    def test_a_cursor_that_repeats_ends(self, server: Server) -> None:
        """A source whose cursor leads back to an earlier page would never end."""
        about = self.search(server.url).about
        if not about.by_cursor:
            return
        first: list[Reply] = []
        documented = server.answers

        def repeating(asked: Asked) -> Reply:
            if self.is_page(asked):
                first.append(first[0] if first else documented(asked))
                return first[0]
            return documented(asked)

        server.answers = repeating
        _, message = self.failure(server, SourceChanged)
        assert "cursor repeats" in message
        assert len(first) <= 2

    def test_credentials_stay_with_the_source(self, server: Server) -> None:
        """No credential is in a candidate, in the URL of a row, or in what is printed of a request."""
        search = self.search(server.url)
        found = self.candidates(server, 0, 5)
        shown = repr((search.about, search.request(QUERY, "", 0, ""), found))
        assert "secret-credential" not in shown
        if any(credential.required for credential in search.about.credentials):
            assert any("secret-credential" in repr(asked) for asked in server.asked)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(_VALUES)
    def test_no_answer_breaks_the_reader(self, value: object) -> None:
        """Any JSON gives results or a documented error, and never another exception."""
        try:
            page = self.search("http://127.0.0.1:1").read(PageAnswer(json.dumps(value).encode(), query=QUERY))
        except (Unreadable, Overloaded, Refused):
            return
        assert all(result is None or result.url for result in page.results)

    # -- what the tests share ------------------------------------------------------------------------------------------

    def is_page(self, asked: Asked) -> bool:
        """Return whether a request is for a page of results, and not for a token."""
        return asked.method == "GET"

    def items(self, server: Server, wanted: Slice, source: PagedSource | None = None) -> list[Candidate | Miss]:
        """Return what the source proposes for a slice, without fetching images."""
        source = source or PagedSource(self.search(server.url))
        listed = _Unfetched(source)
        host = f"127.0.0.1:{server.port}"
        policy = FetchPolicy("contract/1.0 (+https://example.org)", private_hosts=frozenset({host}))
        list(WebDownloader({wanted.source: listed}, policy).download([wanted], Path("/nonexistent")))
        return listed.items

    def candidates(self, server: Server, start: int, stop: int, source: PagedSource | None = None) -> list[Candidate]:
        """Return the candidates at these positions."""
        wanted = Slice(self.search(server.url).about.name, QUERY, start, stop)
        return [item for item in self.items(server, wanted, source) if isinstance(item, Candidate)]

    def failure(self, server: Server, kind: type[Exception]) -> tuple[About, str]:
        """Return the one line with which the source fails."""
        about = self.search(server.url).about
        with pytest.raises(kind) as raised:
            self.candidates(server, 0, about.depth)
        message = str(raised.value)
        assert about.name in message
        assert "\n" not in message
        assert "secret-credential" not in message
        return about, message


def image(number: int) -> str:
    """Return the URL of a result."""
    return f"https://images.example/{number}.jpg"
