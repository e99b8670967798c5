"""Images from the web: sources propose candidates, and one fetcher downloads them."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from pixcore.errors import InvalidRequest, SourceChanged, TransientError
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore.ports.downloader import do_nothing, held_nowhere
from pixcore_adapters.downloader.failed import mark_failed, skip_failed
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.pages import PageAnswer, PageRequest
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetching import Started, Submit, fetching
from pixcore_adapters.downloader.pacing.interface import Pacing
from pixcore_adapters.downloader.pacing.process import ProcessPacing
from pixcore_adapters.downloader.source import Pages, Source
from pixcore_adapters.downloader.sources.page_requests import PageRequests

_POLL_SECONDS = 0.2  # how long to block between two calls of `waiting`
_MAX_PAGE = 20 << 20  # bytes

Wait = Callable[[Started[Any] | None, Future[Any] | None, float], None]
"""Waits until a fetch or a page has ended, but at most so many seconds; see ``Submit.wait``."""


@frozen
class _Fetch:
    """A candidate that is being fetched into its file."""

    candidate: Candidate
    path: Path
    outcome: Started[Fetched | Missed]


@define
class _Window:
    """The fetches in progress, in candidate order, and the page that the source waits for, if it does."""

    size: int
    items: deque[_Fetch | Miss] = field(factory=deque[_Fetch | Miss])
    page: Future[PageAnswer] | None = None
    failed: SourceChanged | TransientError | None = None

    def __bool__(self) -> bool:
        return bool(self.items or self.page)

    def fill(
        self, proposals: Iterator[Candidate | Miss | Future[PageAnswer]], fetch: Callable[[Candidate], _Fetch]
    ) -> None:
        """Start fetches until the window is full or the source waits for a page.

        Refill only when an eighth of the window is free: starting several fetches at once costs less.
        """
        if self.page and self.page.done():
            self.page = None
        if len(self.items) > self.size - self.size // 8:
            return
        try:
            while not self.page and len(self.items) <= self.size and (proposal := next(proposals, None)):
                if isinstance(proposal, Future):
                    self.page = None if proposal.done() else proposal
                else:
                    self.items.append(fetch(proposal) if isinstance(proposal, Candidate) else proposal)
        except (SourceChanged, TransientError) as error:
            self.failed = error  # raised only after the fetches in progress are delivered

    def head_done(self, wait: Wait) -> bool:
        """Return whether the oldest fetch has finished. If it has not, wait briefly before."""
        head = self.items[0] if self.items else None
        if head is None:
            wait(None, self.page, _POLL_SECONDS)
            return False
        if isinstance(head, Miss):
            return True
        if not head.outcome.ended:
            wait(head.outcome, self.page, _POLL_SECONDS)
        return head.outcome.ended


@frozen
class WebDownloader:
    """Fetch the candidates of ``sources`` concurrently and yield them in order.

    The window holds twice as many candidates as run at once, so that the others continue while the oldest one is slow,
    until its deadline. A URL that any source already proposed is a miss. An error of a source is raised only after the
    fetches in progress are delivered.

    Attributes:
        sources: The sources by name.
        policy: How to fetch.
        moment: The time in the rows, instead of the time of each fetch, to make archives reproducible byte by byte.
        pacing: Who shares the limits per host. By default all downloads of this object.
    """

    sources: Mapping[str, Source]
    policy: FetchPolicy
    moment: datetime | None = None
    pacing: Pacing = field(factory=ProcessPacing)
    _requests: PageRequests = field(factory=PageRequests, init=False, eq=False, repr=False)

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = do_nothing,
        held: Callable[[Candidate], str] = held_nowhere,
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        window = _Window(2 * self.policy.in_flight)
        try:
            with (
                fetching(partial(Fetcher, self.policy, pacing=self.pacing)) as submit,
                closing(self._proposals(slices, skip, held, partial(_fetch_page, submit, self._requests))) as proposals,
            ):
                while True:
                    window.fill(proposals, partial(_fetch_image, into, submit))
                    if not window:
                        if window.failed:
                            raise window.failed
                        return
                    if window.head_done(submit.wait):
                        yield self._result(window.items.popleft())
                    else:
                        waiting()
        finally:
            # the fetcher is closed: remove the files that were not delivered
            for fetch in window.items:
                if isinstance(fetch, _Fetch):
                    fetch.path.unlink(missing_ok=True)

    def _proposals(
        self,
        slices: Sequence[Slice],
        skip: frozenset[CandidateKey],
        held: Callable[[Candidate], str],
        pages: Pages,
    ) -> Generator[Candidate | Miss | Future[PageAnswer]]:
        """Yield what the sources propose, without the candidates in ``skip``.

        Repeated URLs, and bytes that another chunk has, are misses.
        """
        streams = (mark_failed(slice_, self._source(slice_.source).candidates(slice_, pages)) for slice_ in slices)
        known: set[bytes] = set()  # digests, because URLs in a list may be long
        with closing(skip_failed(streams, delivered=bool(skip))) as proposals:
            for proposal in proposals:
                item = proposal
                if isinstance(item, Candidate):
                    digest = _digest(item.address)
                    if digest in known:
                        item = Miss(item, MissReason.REPEATED, permanent=True)
                    known.add(digest)  # also for a candidate in `skip`: an earlier call fetched it
                if isinstance(item, Future):
                    yield item
                elif _candidate(item).key not in skip:
                    holder = held(item) if isinstance(item, Candidate) and item.checksum else ""
                    yield Miss(_candidate(item), MissReason.SEEN, permanent=True, detail=holder) if holder else item

    def _source(self, name: str) -> Source:
        if name not in self.sources:
            raise InvalidRequest(f"unknown source {name!r}; use one of: {', '.join(self.sources)}")
        return self.sources[name]

    def _result(self, head: _Fetch | Miss) -> Download | Miss:
        if isinstance(head, Miss):
            return head
        outcome = head.outcome.result()
        if isinstance(outcome, Missed):
            return Miss(head.candidate, outcome.reason, outcome.permanent, outcome.detail, outcome.transfer)
        candidate = head.candidate
        if outcome.opt_out:
            candidate = evolve(candidate, provenance=evolve(candidate.provenance, opt_out=outcome.opt_out))
        fetched_at = self.moment or outcome.fetched_at
        return Download(candidate, head.path, outcome.size, fetched_at, transfer=outcome.transfer)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:16]


def _candidate(item: Candidate | Miss) -> Candidate:
    return item.candidate if isinstance(item, Miss) else item


def _fetch_page(submit: Submit, requests: PageRequests, request: PageRequest) -> Future[PageAnswer]:
    return submit(lambda fetcher: requests.page(fetcher, request, _MAX_PAGE))


def _fetch_image(into: Path, submit: Submit, candidate: Candidate) -> _Fetch:
    # the file is named by the candidate's key, so the name is unique and the same at each retry
    path = into / _digest(repr(candidate.key)).hex()
    return _Fetch(candidate, path, submit.start(lambda fetcher: fetcher.fetch(candidate.address, path)))
