"""Several downloaders as one: each slice goes to the one that serves its source."""

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.model.images import CandidateKey, Download, Miss
from pixcore.model.requests import Slice
from pixcore.ports import Downloader
from pixcore.ports.downloader import at_leisure
from pixcore_adapters.downloader.changed import past_changed


@frozen
class BySource:
    """Hands the slices, in order, to the downloader of their source."""

    downloaders: Mapping[str, Downloader]

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = at_leisure,
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        # by the downloader, so that one that serves several sources knows what it had from each
        groups = groupby(((self._of(piece.source), piece) for piece in slices), key=lambda pair: id(pair[0]))
        runs = (list(group) for _, group in groups)
        streams = (run[0][0].download([piece for _, piece in run], into, skip, waiting) for run in runs)
        return past_changed(streams, delivered=bool(skip))

    def _of(self, source: str) -> Downloader:
        if source not in self.downloaders:
            raise InvalidRequest(f"unknown source {source!r}; there are: {', '.join(self.downloaders)}")
        return self.downloaders[source]
