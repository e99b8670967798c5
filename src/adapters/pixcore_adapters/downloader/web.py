"""Images from the web: candidates out of sources, bytes through the one fetcher."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from pixcore.errors import InvalidRequest, SourceChanged, TransientError
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore.ports.downloader import at_leisure
from pixcore_adapters.downloader.changed import noting_changes, past_changed
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetching import Start, fetching
from pixcore_adapters.downloader.source import Pages, Source

_GLANCE = 0.2  # seconds of waiting between two calls of `waiting`
_LARGEST_PAGE = 20 << 20  # bytes


@frozen
class _Fetch:
    """A candidate on its way to its file."""

    candidate: Candidate
    path: Path
    outcome: Future[Fetched | Missed]


@define
class _Ahead:
    """What is on its way, in order, and the page that the next candidates come from."""

    room: int
    items: deque[_Fetch | Miss] = field(factory=deque[_Fetch | Miss])
    page: Future[bytes] | None = None
    failed: SourceChanged | TransientError | None = None

    def __bool__(self) -> bool:
        return bool(self.items or self.page)

    def fill(self, proposed: Iterator[Candidate | Miss | Future[bytes]], begin: Callable[[Candidate], _Fetch]) -> None:
        """Take what is proposed, as long as there is room and no page to be waited for; not for one place alone."""
        if self.page and self.page.done():
            self.page = None
        if len(self.items) > self.room - self.room // 8:
            return
        try:
            while not self.page and len(self.items) <= self.room and (one := next(proposed, None)):
                if isinstance(one, Future):
                    self.page = None if one.done() else one
                else:
                    self.items.append(begin(one) if isinstance(one, Candidate) else one)
        except (SourceChanged, TransientError) as error:
            self.failed = error  # what is on its way is worth no less for it

    def settled(self) -> bool:
        """Wait a little for something to happen, and say whether it is known how the head ends."""
        head = self.items[0] if self.items else None
        if isinstance(head, Miss) or (head and head.outcome.done()):
            return True
        awaited: list[Future[Any]] = [future for future in (head and head.outcome, self.page) if future]
        wait(awaited, _GLANCE, FIRST_COMPLETED)
        return head is not None and head.outcome.done()


@frozen
class WebDownloader:
    """Fetches the candidates of ``sources``, by their names, in order and many at a time.

    Runs ahead of its consumer by twice as many candidates as may fly at once, so that a slow one at the head lets the
    others go on until its deadline. A URL that was proposed before, by whatever source, is a miss. Before it is raised
    that a source cannot be reached or read, what is on its way is delivered.

    Attributes:
        sources: By name.
        policy: How to fetch.
        moment: Stands in the rows instead of the time of the fetch, for archives that can be made again byte by byte.
    """

    sources: Mapping[str, Source]
    policy: FetchPolicy
    moment: datetime | None = None

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = at_leisure,
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        ahead = _Ahead(2 * self.policy.in_flight)
        try:
            with (
                fetching(partial(Fetcher, self.policy)) as start,
                closing(self._proposed(slices, skip, partial(_page, start))) as proposed,
            ):
                while True:
                    ahead.fill(proposed, partial(_begun, into, start))
                    if not ahead:
                        if ahead.failed:
                            raise ahead.failed
                        return
                    if ahead.settled():
                        yield self._item(ahead.items.popleft())
                    else:
                        waiting()
        finally:
            # the fetcher has ended: what is still here was fetched for nobody
            for fetch in ahead.items:
                if isinstance(fetch, _Fetch):
                    fetch.path.unlink(missing_ok=True)

    def _proposed(
        self, slices: Sequence[Slice], skip: frozenset[CandidateKey], pages: Pages
    ) -> Generator[Candidate | Miss | Future[bytes]]:
        """What the sources propose, without the candidates to be passed over."""
        streams = (noting_changes(piece, self._of(piece.source).candidates(piece, pages)) for piece in slices)
        known: set[bytes] = set()  # digests: a list's URLs may be as long as its lines
        with closing(past_changed(streams, delivered=bool(skip))) as proposals:
            for proposed in proposals:
                item = proposed
                if isinstance(item, Candidate):
                    digest = _digest(item.url)
                    if digest in known:
                        item = Miss(item, MissReason.REPEATED, permanent=True)
                    known.add(digest)  # even of one to be passed over: it was fetched before
                if isinstance(item, Future) or _candidate(item).key not in skip:
                    yield item

    def _of(self, source: str) -> Source:
        if source not in self.sources:
            raise InvalidRequest(f"unknown source {source!r}; there are: {', '.join(self.sources)}")
        return self.sources[source]

    def _item(self, head: _Fetch | Miss) -> Download | Miss:
        if isinstance(head, Miss):
            return head
        outcome = head.outcome.result()
        if isinstance(outcome, Missed):
            return Miss(head.candidate, outcome.reason, outcome.permanent, outcome.detail)
        candidate = head.candidate
        if outcome.opt_out:
            candidate = evolve(candidate, provenance=evolve(candidate.provenance, opt_out=outcome.opt_out))
        return Download(candidate, head.path, outcome.size, self.moment or outcome.fetched_at)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:16]


def _candidate(item: Candidate | Miss) -> Candidate:
    return item.candidate if isinstance(item, Miss) else item


def _page(start: Start, url: str) -> Future[bytes]:
    return start(lambda fetcher: fetcher.page(url, _LARGEST_PAGE))


def _begun(into: Path, start: Start, candidate: Candidate) -> _Fetch:
    # by the key: the same candidate finds the same name, and no other does, however often the slices are opened
    path = into / _digest(repr(candidate.key)).hex()
    return _Fetch(candidate, path, start(lambda fetcher: fetcher.fetch(candidate.url, path)))
