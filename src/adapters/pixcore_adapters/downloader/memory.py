"""A downloader for tests: candidates out of a mapping."""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore.ports.downloader import at_leisure


@frozen
class MemoryDownloader:
    """Serves queries from memory.

    ``results`` maps a query to its results in order: the bytes of a picture, or None for one that is gone.
    """

    results: Mapping[str, Sequence[bytes | None]]
    source: str = "memory"
    fetched_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = at_leisure,  # noqa: ARG002 - nothing here is waited for
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        for piece in slices:
            if piece.source != self.source or piece.query not in self.results:
                raise InvalidRequest(f"no source {piece.source!r} with {piece.query!r} here")
            for position, data in enumerate(self.results[piece.query][piece.start : piece.stop], piece.start):
                key = CandidateKey(piece.source, piece.query, position)
                if key in skip:
                    continue
                candidate = Candidate(key, url=f"memory:{piece.query}/{position}")
                if data is None:
                    yield Miss(candidate, MissReason.GONE, permanent=True)
                    continue
                path = into / hashlib.sha256(candidate.url.encode()).hexdigest()[:32]
                with local_disk("writing a download"):
                    path.write_bytes(data)
                yield Download(candidate, path, len(data), self.fetched_at)
