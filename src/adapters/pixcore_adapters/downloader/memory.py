"""A downloader for tests, whose results come from a mapping."""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore.ports.downloader import do_nothing, held_nowhere


@frozen
class MemoryDownloader:
    """Serve queries from memory.

    Attributes:
        results: Each query's results in order: the bytes of a picture, or None for a miss with the reason ``GONE``.
        source: The name of the source in slices.
        fetched_at: The time of every download.
    """

    results: Mapping[str, Sequence[bytes | None]]
    source: str = "memory"
    fetched_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = do_nothing,  # noqa: ARG002 - memory never waits
        held: Callable[[Candidate], str] = held_nowhere,  # noqa: ARG002 - copying costs nothing
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        for slice_ in slices:
            if slice_.source != self.source or slice_.query not in self.results:
                raise InvalidRequest(
                    f"no results for query {slice_.query!r} of source {slice_.source!r}; add the query to `results`"
                )
            for position, data in enumerate(self.results[slice_.query][slice_.start : slice_.stop], slice_.start):
                key = CandidateKey(slice_.source, slice_.query, position)
                if key in skip:
                    continue
                candidate = Candidate(key, address=f"memory:{slice_.query}/{position}")
                if data is None:
                    yield Miss(candidate, MissReason.GONE, permanent=True)
                    continue
                path = into / hashlib.sha256(candidate.url.encode()).hexdigest()[:32]
                with local_disk("writing a download"):
                    path.write_bytes(data)
                yield Download(candidate, path, len(data), self.fetched_at)
