"""Several downloaders as one: each slice goes to the one that serves its source."""

from collections.abc import Generator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.model import CandidateKey, Download, Miss, Slice
from pixcore.ports import Downloader
from pixcore_adapters.downloader.changed import past_changed


@frozen
class BySource:
    """Hands the slices, in order, to the downloader of their source."""

    downloaders: Mapping[str, Downloader]

    def download(
        self, slices: Sequence[Slice], into: Path, skip: frozenset[CandidateKey] = frozenset()
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        groups = groupby(slices, key=lambda piece: piece.source)
        streams = (self._of(source).download(list(pieces), into, skip) for source, pieces in groups)
        return past_changed(streams, delivered=bool(skip))

    def _of(self, source: str) -> Downloader:
        if source not in self.downloaders:
            raise InvalidRequest(f"unknown source {source!r}; there are: {', '.join(self.downloaders)}")
        return self.downloaders[source]
