"""Several downloaders as one. Each slice goes to the downloader of its source."""

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.model.images import Candidate, CandidateKey, Download, Miss
from pixcore.model.requests import Slice
from pixcore.ports import Downloader
from pixcore.ports.downloader import do_nothing, held_nowhere
from pixcore_adapters.downloader.failed import skip_failed


@frozen
class BySource:
    """Pass each slice, in order, to the downloader of its source.

    Attributes:
        downloaders: The downloader for each source name. One downloader may serve several sources.
    """

    downloaders: Mapping[str, Downloader]

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = do_nothing,
        held: Callable[[Candidate], str] = held_nowhere,
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``."""
        # grouped by downloader, not by source: one that serves several sources must see all of them, because it raises
        # SourceChanged only if none of them delivers
        pairs = ((self._downloader(slice_.source), slice_) for slice_ in slices)
        runs = (list(group) for _, group in groupby(pairs, key=lambda pair: id(pair[0])))
        streams = (run[0][0].download([slice_ for _, slice_ in run], into, skip, waiting, held) for run in runs)
        return skip_failed(streams, delivered=bool(skip))

    def _downloader(self, source: str) -> Downloader:
        if source not in self.downloaders:
            raise InvalidRequest(f"unknown source {source!r}; use one of: {', '.join(self.downloaders)}")
        return self.downloaders[source]
