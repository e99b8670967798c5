"""Images from the web: candidates out of sources, bytes through the one fetcher."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

from attrs import evolve, frozen

from pixcore.errors import InvalidRequest
from pixcore.model import Candidate, CandidateKey, Download, Miss, Slice
from pixcore_adapters.downloader.changed import past_changed
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.fetching import Start, fetching
from pixcore_adapters.downloader.source import Source

_GLANCE = 0.2  # seconds between two looks whether to stop


@frozen
class _Fetch:
    """A candidate on its way to its file."""

    candidate: Candidate
    path: Path
    outcome: Future[Fetched | Missed]


@frozen
class WebDownloader:
    """Fetches the candidates of ``sources``, by their names, in order and many at a time.

    Runs ahead of its consumer by twice as many candidates as may fly at once, so that a slow one at the head lets the
    others go on until its deadline.

    Attributes:
        sources: By name.
        policy: How to fetch.
        stop: Asked while waiting; once true, the downloads end early.
        moment: Stands in the rows instead of the time of the fetch, for archives that can be made again byte by byte.
    """

    sources: Mapping[str, Source]
    policy: FetchPolicy
    stop: Callable[[], bool] = lambda: False
    moment: datetime | None = None

    def download(
        self, slices: Sequence[Slice], into: Path, skip: frozenset[CandidateKey] = frozenset()
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        ahead: deque[_Fetch | Miss] = deque()
        try:
            with (
                fetching(partial(Fetcher, self.policy)) as start,
                closing(self._proposed(slices, skip)) as proposed,
            ):
                while not self.stop():
                    while len(ahead) <= 2 * self.policy.in_flight and (one := next(proposed, None)):
                        ahead.append(one if isinstance(one, Miss) else _begun(one, into, start))
                    if not ahead:
                        return
                    if _settled(ahead[0]):
                        yield self._item(ahead.popleft())
        finally:
            # the fetcher has ended: what is still here was fetched for nobody
            for fetch in ahead:
                if isinstance(fetch, _Fetch):
                    fetch.path.unlink(missing_ok=True)

    def _proposed(self, slices: Sequence[Slice], skip: frozenset[CandidateKey]) -> Generator[Candidate | Miss]:
        """What the sources propose, without the candidates to be passed over."""
        streams = (self._of(piece.source).candidates(piece) for piece in slices)
        with closing(past_changed(streams, delivered=bool(skip))) as proposals:
            for proposed in proposals:
                candidate = proposed.candidate if isinstance(proposed, Miss) else proposed
                if candidate.key not in skip:
                    yield proposed

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
        candidate = evolve(head.candidate, provenance=evolve(head.candidate.provenance, opt_out=outcome.opt_out))
        return Download(candidate, head.path, outcome.size, self.moment or outcome.fetched_at)


def _begun(candidate: Candidate, into: Path, start: Start) -> _Fetch:
    # by the key: the same candidate finds the same name, and no other does, however often the slices are opened
    name = hashlib.sha256(repr(candidate.key).encode("utf-8", "backslashreplace")).hexdigest()[:32]
    path = into / name
    return _Fetch(candidate, path, start(lambda fetcher: fetcher.fetch(candidate.url, path)))


def _settled(head: _Fetch | Miss) -> bool:
    return isinstance(head, Miss) or bool(wait([head.outcome], _GLANCE).done)
