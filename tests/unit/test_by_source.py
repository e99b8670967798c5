"""Several downloaders as one, for chunks with slices of several sources."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
from attrs import define

from pixcore.errors import InvalidRequest, SourceChanged, SourceUnavailable
from pixcore.model.images import CandidateKey, Download, Miss
from pixcore.model.requests import Slice
from pixcore.ports import Downloader
from pixcore.ports.downloader import do_nothing
from pixcore_adapters.downloader.by_source import BySource
from pixcore_adapters.downloader.memory import MemoryDownloader


@define
class Failing:
    """Yields another downloader's items, then raises. Records whether it is still open."""

    error: Exception
    results: Sequence[bytes | None] = ()
    ended: int = 0

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = do_nothing,
        *_held: object,
    ) -> Generator[Download | Miss]:
        """See ``Downloader``."""
        try:
            yield from MemoryDownloader({"bad": self.results}, source="bad").download(slices, into, skip, waiting)
            raise self.error
        finally:
            self.ended += 1


A, B = MemoryDownloader({"a": [b"0", b"1", b"2"]}, source="a"), MemoryDownloader({"b": [b"3", b"4"]}, source="b")


def contents(downloader: Downloader, into: Path, *sources: str, skip: frozenset[CandidateKey] = frozenset()) -> str:
    """Return the results of one candidate from each of the sources in turn."""
    slices = [
        Slice(source, source, sources[:n].count(source), sources[:n].count(source) + 1)
        for n, source in enumerate(sources)
    ]
    items = list(downloader.download(slices, into, skip))
    return "".join(item.path.read_text() for item in items if isinstance(item, Download))


def test_slices_are_downloaded_in_order_across_sources(tmp_path: Path) -> None:
    """The slices are downloaded in their order, across sources."""
    assert contents(BySource({"a": A, "b": B}), tmp_path, "a", "a", "b", "a", "b") == "01324"


def test_candidates_to_skip_are_passed_on(tmp_path: Path) -> None:
    """Candidates in `skip` are passed to the downloaders."""
    skip = frozenset({CandidateKey("a", "a", 0), CandidateKey("b", "b", 0)})
    assert contents(BySource({"a": A, "b": B}), tmp_path, "a", "a", "b", "b", skip=skip) == "14"


def test_an_unknown_source_names_the_known_ones(tmp_path: Path) -> None:
    """An unknown source is refused with the names of the known ones."""
    with pytest.raises(InvalidRequest, match="unknown source 'c'; use one of: a, b"):
        contents(BySource({"a": A, "b": B}), tmp_path, "c")


def test_closing_early_closes_the_running_downloader(tmp_path: Path) -> None:
    """Closing early closes the downloader that is running, which holds threads and sockets."""
    bad = Failing(SourceUnavailable("down"), [b"x", b"y"])
    items = BySource({"bad": bad}).download([Slice("bad", "bad", 0, 2)], tmp_path)
    next(items)
    items.close()
    assert bad.ended == 1


@pytest.mark.parametrize("sources", [("a", "bad"), ("bad", "a"), ("bad", "a", "bad")])
def test_a_changed_source_does_not_end_the_others(tmp_path: Path, sources: tuple[str, ...]) -> None:
    """A search engine's new markup does not end the other sources."""
    assert contents(BySource({"a": A, "bad": Failing(SourceChanged("new"))}), tmp_path, *sources) == "0"


def test_source_changed_is_raised_if_none_delivered(tmp_path: Path) -> None:
    """SourceChanged is raised if nothing was delivered, neither now nor in an earlier call."""
    both = BySource({"a": MemoryDownloader({"a": []}, source="a"), "bad": Failing(SourceChanged("new"))})
    with pytest.raises(SourceChanged, match="new"):
        contents(both, tmp_path, "bad", "a")
    assert contents(both, tmp_path, "bad", "a", skip=frozenset({CandidateKey("a", "a", 7)})) == ""


def test_an_unavailable_source_is_raised_at_once(tmp_path: Path) -> None:
    """SourceUnavailable is raised at once, so that the pipeline can retry."""
    with pytest.raises(SourceUnavailable, match="down"):
        contents(BySource({"a": A, "bad": Failing(SourceUnavailable("down"))}), tmp_path, "a", "bad", "a")
