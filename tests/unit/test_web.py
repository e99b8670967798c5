"""Images from the web are yielded lazily and in order, and nothing remains, whatever sources and servers do."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from attrs import define, evolve, field
from contract.disk import no_file_above
from hostile import (
    PICTURE,
    Answer,
    Client,
    Site,
    dripping,
    handles,
    head,
    held,
    picture,
    policy,
    silent,
    text,
)
from listings import lane_of

from pixcore.errors import InvalidRequest, SourceChanged, SourceUnavailable, WorkspaceFull
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, Provenance
from pixcore.model.requests import Slice
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.source import Pages, Source
from pixcore_adapters.downloader.urls import Urls
from pixcore_adapters.downloader.web import WebDownloader

EVERYTHING = 1_000_000


@define
class Fake:
    """Proposes these URLs for every query, then raises ``error``. Counts the proposals."""

    urls: Callable[[], Iterator[str]]
    error: Exception | None = None
    checksums: Sequence[str] = ()
    proposed: int = field(default=0, init=False)

    def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[bytes]]:  # noqa: ARG002
        """See ``Source``."""
        for position, url in enumerate(self.urls()):
            if position in range(slice_.start, slice_.stop):
                self.proposed += 1
                key, checksum = (
                    CandidateKey(slice_.source, slice_.query, position),
                    "".join(self.checksums[position:][:1]),
                )
                yield Candidate(key, url, Provenance(title="a title"), checksum=checksum)
        if self.error:
            raise self.error


def fake(site: Site, *paths: str, error: Exception | None = None) -> Fake:
    """Return a source that proposes these pages of the site."""
    return Fake(lambda: map(site.url, paths), error)


def slice_of(source: str = "a", start: int = 0, stop: int = EVERYTHING) -> Slice:
    """Return a slice of a source."""
    return Slice(source, "q", start, stop)


def positions(items: list[Download | Miss]) -> list[int]:
    """Return the items' positions in their source."""
    return [item.candidate.key.position for item in items]


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site with ten good pages."""
    with Site({f"/{n}.jpg": picture(PICTURE + bytes([n])) for n in range(10)}) as site:
        yield site


def telling(event: threading.Event, then: Answer) -> Answer:
    """Signal the test that the page was requested."""

    async def answer(client: Client) -> bool:
        event.set()
        return await then(client)

    return answer


# -- order and laziness ----------------------------------------------------------------------------------------------


def test_candidates_stay_in_order_although_answers_do_not(site: Site, tmp_path: Path) -> None:
    """Candidates are yielded in order although the first one is answered last, and others continue meanwhile."""
    last = threading.Event()
    site.routes["/0.jpg"] = held(last, picture(PICTURE + bytes([0])))
    site.routes["/9.jpg"] = telling(last, picture(PICTURE + bytes([9])))
    source = fake(site, *(f"/{n}.jpg" for n in range(10)))
    items = list(WebDownloader({"a": source}, policy(site)).download([slice_of()], tmp_path))
    assert positions(items) == list(range(10))
    assert [item.path.read_bytes()[-1] for item in items if isinstance(item, Download)] == list(range(10))


def test_it_runs_ahead_only_by_its_window(site: Site, tmp_path: Path) -> None:
    """The downloader runs ahead only by its window, because sources may have millions of candidates."""
    source = Fake(lambda: (site.url(f"/{n}.jpg") for n in count()))
    items = WebDownloader({"a": source}, policy(site, in_flight=3)).download([slice_of()], tmp_path)
    assert source.proposed == 0
    next(items)
    first = source.proposed
    next(items)
    assert (first, source.proposed) == (7, 8)
    items.close()
    assert source.proposed == 8


@pytest.mark.parametrize("pulled", [0, 1, 2])
def test_closing_early_leaves_nothing(site: Site, tmp_path: Path, pulled: int) -> None:
    """Closing early leaves no thread, socket or file, whether bodies are silent, slow or complete."""
    data = PICTURE + bytes(1 << 20)
    begun = threading.Event()
    site.routes |= {
        "/silent.jpg": silent(),
        "/drip.jpg": telling(begun, dripping(head(200, Content_Length=len(data)), data)),
    }
    paths = ["/0.jpg", "/1.jpg", "/silent.jpg", "/drip.jpg", "/2.jpg", "/3.jpg"]
    threads, before = set(threading.enumerate()), handles(site)
    into = tmp_path / "into"
    into.mkdir()
    items = WebDownloader({"a": fake(site, *paths)}, policy(site)).download([slice_of()], into)
    taken = [next(items) for _ in range(pulled)]
    assert not pulled or begun.wait(10)
    items.close()
    # what an earlier test left to the garbage collector may close meanwhile
    assert (set(threading.enumerate()) - threads, handles(site) - before) == (set(), set())
    assert sorted(into.iterdir()) == sorted(item.path for item in taken if isinstance(item, Download))
    assert len(taken) == pulled


def test_an_error_leaves_nothing_even_while_it_is_held(site: Site, tmp_path: Path) -> None:
    """An error closes the source's generator, although the traceback refers to it."""
    (tmp_path / "urls.txt").write_text("".join(f"{site.url('/0.jpg')}\n" for _ in range(9_000)))
    source = Urls(LocalBlobStore(tmp_path / "store"), policy(site))
    lane = lane_of(source, str(tmp_path / "urls.txt"), "cats")
    into = tmp_path / "into"
    into.mkdir()
    downloader = WebDownloader({"urls": source}, policy(site, in_flight=2))
    with no_file_above(1000), pytest.raises(WorkspaceFull) as full:
        next(downloader.download([Slice("urls", lane.query, 0, 9_000, lane.snapshot)], into))
    assert not [handle for handle in handles(site) if str(tmp_path) in handle]
    assert list(into.iterdir()) == []
    assert full.value.__traceback__ is not None


def test_candidates_to_skip_are_not_fetched(site: Site, tmp_path: Path) -> None:
    """Candidates in `skip` are not fetched."""
    skip = frozenset(CandidateKey("a", "q", n) for n in (0, 2, 99))
    source = fake(site, "/0.jpg", "/1.jpg", "/2.jpg", "/3.jpg")
    items = list(WebDownloader({"a": source}, policy(site)).download([slice_of(stop=4)], tmp_path, skip))
    assert positions(items) == [1, 3]
    assert sorted(site.paths()) == ["/1.jpg", "/3.jpg", "/robots.txt"]


def test_an_interrupt_ends_it_although_the_first_candidate_hangs(site: Site, tmp_path: Path) -> None:
    """Ctrl-C ends the download although the first candidate hangs."""
    requested = threading.Event()
    site.routes["/silent.jpg"] = telling(requested, silent())
    source = fake(site, "/silent.jpg", "/0.jpg")
    downloader = WebDownloader({"a": source}, policy(site, seconds=600.0))

    def waiting() -> None:
        if requested.is_set():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(downloader.download([slice_of()], tmp_path, waiting=waiting))
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


# -- repeated URLs ---------------------------------------------------------------------------------------------------


def test_the_same_url_is_fetched_once(site: Site, tmp_path: Path) -> None:
    """A URL that lists, pages or sources repeat is fetched once; the others are misses with that reason."""
    sources = {"a": fake(site, "/0.jpg", "/1.jpg", "/0.jpg"), "b": fake(site, "/1.jpg", "/2.jpg")}
    items = list(WebDownloader(sources, policy(site)).download([slice_of("a"), slice_of("b")], tmp_path))
    assert [(item.reason, item.permanent) if isinstance(item, Miss) else "" for item in items] == [
        "",
        "",
        ("repeated_url", True),
        ("repeated_url", True),
        "",
    ]
    assert sorted(site.paths()) == ["/0.jpg", "/1.jpg", "/2.jpg", "/robots.txt"]


def test_resuming_keeps_the_position_of_a_url(site: Site, tmp_path: Path) -> None:
    """On resuming, delivered URLs count as proposed, and a transient miss is tried again at its first position."""
    sources = {"a": fake(site, "/0.jpg", "/1.jpg", "/0.jpg", "/1.jpg")}
    skip = frozenset({CandidateKey("a", "q", 0)})
    items = list(WebDownloader(sources, policy(site)).download([slice_of()], tmp_path, skip))
    assert [(item.candidate.key.position, isinstance(item, Miss)) for item in items] == [
        (1, False),
        (2, True),
        (3, True),
    ]
    assert "/0.jpg" not in site.paths()


def test_a_url_that_its_source_refused_is_not_proposed(site: Site, tmp_path: Path) -> None:
    """A URL that one source refused may still be fetched for another one."""

    @define
    class Refusing:
        def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[bytes]]:  # noqa: ARG002
            """See ``Source``."""
            yield Miss(Candidate(CandidateKey("b", "q", 0), site.url("/0.jpg")), "license_not_allowed", permanent=True)

    sources = {"b": Refusing(), "a": fake(site, "/0.jpg")}
    items = list(WebDownloader(sources, policy(site)).download([slice_of("b"), slice_of("a")], tmp_path))
    assert [item.reason if isinstance(item, Miss) else "" for item in items] == ["license_not_allowed", ""]


# -- sources that fail -----------------------------------------------------------------------------------------------


def came(sources: Mapping[str, Source], site: Site, into: Path, *names: str, skip: bool = False) -> list[str]:
    """Return the results of all candidates of these sources, a miss with its reason."""
    done = frozenset({CandidateKey("a", "q", 99)}) if skip else frozenset()
    items = WebDownloader(sources, policy(site)).download([slice_of(name) for name in names], into, done)
    return [
        f"{item.candidate.key.source}{item.candidate.key.position}"
        + (f" {item.reason}" if isinstance(item, Miss) else "")
        for item in items
    ]


def test_an_unknown_source_names_the_known_ones(site: Site, tmp_path: Path) -> None:
    """An unknown source is refused with the names of the known ones."""
    with pytest.raises(InvalidRequest, match="unknown source 'c'; use one of: a, b"):
        came({"a": fake(site), "b": fake(site)}, site, tmp_path, "c")


@pytest.mark.parametrize("names", [("bad", "good"), ("good", "bad")])
def test_a_changed_source_ends_and_the_others_continue(site: Site, tmp_path: Path, names: tuple[str, ...]) -> None:
    """A source that changed ends after its earlier results, and the others continue."""
    bad, good = fake(site, "/0.jpg", error=SourceChanged("consent page")), fake(site, "/1.jpg", "/2.jpg")
    assert sorted(came({"bad": bad, "good": good}, site, tmp_path, *names)) == [
        "bad0",
        "bad1 source_changed",
        "good0",
        "good1",
    ]
    empty = fake(site, error=SourceChanged("consent page"))
    assert sorted(came({"bad": empty, "good": good}, site, tmp_path, *names)) == [
        "bad0 source_changed",
        "good0",
        "good1",
    ]


def test_source_changed_is_raised_if_none_delivered(site: Site, tmp_path: Path) -> None:
    """SourceChanged is raised if nothing was delivered, neither now nor in an earlier call."""
    sources = {"a": fake(site, error=SourceChanged("consent page")), "b": fake(site)}
    with pytest.raises(SourceChanged, match="consent page"):
        came(sources, site, tmp_path, "a", "b")
    assert came(sources, site, tmp_path, "a", "b", skip=True) == ["a0 source_changed"]


def test_an_unavailable_source_is_raised_after_all_results(site: Site, tmp_path: Path) -> None:
    """The other sources may fill the chunk, so SourceUnavailable is raised only after theirs; a miss names it before.

    Resuming fetches the delivered images no second time.
    """
    sources = {"a": fake(site, "/0.jpg", "/1.jpg", error=SourceUnavailable("down")), "b": fake(site, "/2.jpg")}
    items = WebDownloader(sources, policy(site)).download([slice_of(), evolve(slice_of(), source="b")], tmp_path)
    assert positions([next(items), next(items)]) == [0, 1]
    lost, delivered = next(items), next(items)
    assert isinstance(lost, Miss)
    assert (lost.candidate.key.position, lost.reason, lost.permanent, lost.detail) == (
        2,
        "source_unavailable",
        False,
        "down",
    )
    assert delivered.candidate.key.source == "b"
    with pytest.raises(SourceUnavailable, match="down"):
        next(items)
    assert len(list(tmp_path.iterdir())) == 3


def test_bytes_that_another_chunk_has_are_not_fetched(site: Site, tmp_path: Path) -> None:
    """Only candidates with a stated checksum are looked up; the miss says which chunk has the bytes."""
    source = evolve(fake(site, "/0.jpg", "/1.jpg", "/2.jpg"), checksums=("sha1:a", "sha1:b", ""))
    asked: list[str] = []

    def holder(candidate: Candidate) -> str:
        asked.append(candidate.checksum)
        return "chunk 7 has the same bytes" if candidate.checksum == "sha1:b" else ""

    items = list(WebDownloader({"a": source}, policy(site)).download([slice_of()], tmp_path, held=holder))
    assert [(item.reason, item.permanent, item.detail) if isinstance(item, Miss) else "" for item in items] == [
        "",
        ("seen_in_dataset", True, "chunk 7 has the same bytes"),
        "",
    ]
    assert asked == ["sha1:a", "sha1:b"]
    assert "/1.jpg" not in site.paths()


def test_a_full_disk_is_an_error_not_a_miss(site: Site, tmp_path: Path) -> None:
    """A full disk raises WorkspaceFull; it is not a miss."""
    with no_file_above(1000), pytest.raises(WorkspaceFull, match="free some room"):
        came({"a": fake(site, "/0.jpg", "/1.jpg")}, site, tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_error_is_raised_in_the_consumers_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the fetcher's configuration is raised in the consumer's thread, and no thread remains."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://proxy.example:1080")
    before = set(threading.enumerate())
    downloader = WebDownloader({"a": Fake(lambda: iter(()))}, FetchPolicy(proxy_from_environment=True))
    with pytest.raises(InvalidRequest, match="socks5"):
        next(downloader.download([slice_of()], tmp_path))
    assert not set(threading.enumerate()) - before


# -- what a download states ------------------------------------------------------------------------------------------


def test_an_opt_out_that_was_ignored_stands_in_the_provenance(site: Site, tmp_path: Path) -> None:
    """An ignored opt-out is added to the provenance verbatim. Without one, the field is empty."""
    site.routes |= {
        "/robots.txt": text("User-agent: *\nDisallow: /1.jpg\n"),
        "/0.jpg": picture(X_Robots_Tag="noai, noimageai"),
    }
    sources = {"a": fake(site, "/0.jpg", "/1.jpg", "/2.jpg")}
    heeding = list(WebDownloader(sources, policy(site)).download([slice_of()], tmp_path))
    assert [item.reason if isinstance(item, Miss) else "" for item in heeding] == ["opted_out", "opted_out", ""]
    ignoring = list(WebDownloader(sources, policy(site, ignore_opt_out=True)).download([slice_of()], tmp_path))
    assert [item.candidate.provenance for item in ignoring] == [
        Provenance(title="a title", opt_out="X-Robots-Tag: noai, noimageai"),
        Provenance(title="a title", opt_out=f"robots.txt of {site.url('')}"),
        Provenance(title="a title"),
    ]


def test_the_time_of_a_fetch_may_be_given(site: Site, tmp_path: Path) -> None:
    """A given time replaces the time of the fetch, so that runs over the same bytes are identical."""
    moment = datetime(2001, 2, 3, tzinfo=UTC)
    sources = {"a": fake(site, "/0.jpg")}
    (given,) = WebDownloader(sources, policy(site), moment=moment).download([slice_of()], tmp_path)
    (own,) = WebDownloader(sources, policy(site)).download([slice_of()], tmp_path)
    assert isinstance(given, Download)
    assert isinstance(own, Download)
    assert (given.fetched_at, own.fetched_at > moment) == (moment, True)
