"""DuckDuckGo's images through the library ddgs: the library itself, against a server on loopback and without one."""

import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from command import at_home, pixcore
from contract.source import Asked, Reply, Server, serving
from ddgs.engines.duckduckgo_images import DuckduckgoImages

from pixcore.errors import InvalidRequest, SourceChanged, SourceUnavailable
from pixcore.model.images import Candidate, Miss, Provenance
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.fetch.pages import PageAnswer
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.source import Pages
from pixcore_adapters.downloader.sources.ddgs import Ddgs
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.web import WebDownloader
from pixcore_runners.assembly import sources


def answers(count: int) -> Callable[[Asked], Reply]:
    """Answer as DuckDuckGo does, a hundred results a page, one of which has no image."""

    def answer(asked: Asked) -> Reply:
        start = int(asked.query.get("s", 0))
        numbers = range(count)[start : start + 100]
        found = [
            {
                "title": f"Red panda {n}",
                "image": f"https://images.example/{n}.jpg" if n % 100 != 10 else "",
                "thumbnail": f"https://thumbnails.example/{n}",
                "url": f"https://pandas.example/{n}",
                "height": 480,
                "width": 640,
                "source": "Bing",
            }
            for n in numbers
        ]
        return Reply.json({"results": found})

    return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve DuckDuckGo on loopback; the library requests it instead of the real one."""
    with serving(answers(250)) as server:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(DuckduckgoImages, "search_url", f"{server.url}/i.js")
        monkeypatch.setattr(DuckduckgoImages, "_get_vqd", lambda *_: "4-1")
        yield server


def candidates(search: Ddgs, start: int, stop: int) -> list[Candidate]:
    """Return the candidates of a slice, without fetching images."""
    source = PagedSource(search)
    found: list[Candidate] = []

    class Unfetched:
        def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[PageAnswer]]:
            for item in source.candidates(slice_, pages):
                if isinstance(item, Future):
                    yield item
                elif isinstance(item, Candidate):
                    found.append(item)

    downloader = WebDownloader({"ddgs": Unfetched()}, FetchPolicy())
    list(downloader.download([Slice("ddgs", "red panda", start, stop)], Path("/nonexistent")))
    return found


def test_the_library_gives_the_results_of_all_pages(server: Server) -> None:
    """Results keep their positions, page and title; no page behind the last one is requested."""
    found = candidates(Ddgs(), 0, 500)
    assert [item.key.position for item in found] == [n for n in range(250) if n % 100 != 10]
    assert {item.url for item in found} == {f"https://images.example/{n}.jpg" for n in range(250) if n % 100 != 10}
    shown = next(item for item in found if item.url.endswith("/7.jpg"))
    assert shown.provenance == Provenance("https://pandas.example/7", "Red panda 7")
    assert [asked.query.get("s", "0") for asked in server.asked] == ["0", "100", "200", "300"]
    assert {item.key.position for item in candidates(Ddgs(), 120, 130)} == {*range(120, 130)}


@pytest.mark.parametrize("reply", [Reply(status=403), Reply.json({"results": []}), Reply(b"<p>blocked")])
def test_a_block_is_no_end_of_the_results(server: Server, reply: Reply) -> None:
    """The library hides the status of a page, so a first page without results must not look like a rare keyword."""
    server.answers = lambda _: reply
    with pytest.raises((SourceChanged, SourceUnavailable), match="ddgs"):
        candidates(Ddgs(), 0, 10)


def test_without_a_network_the_source_is_unavailable() -> None:
    """A later attempt may succeed, and the message has one line."""
    with pytest.raises(SourceUnavailable) as raised:
        candidates(Ddgs(proxy="http://127.0.0.1:9"), 0, 10)
    message = str(raised.value)
    assert message.startswith("ddgs: https://duckduckgo.com/i.js: unreachable: ")
    assert message.endswith("; check that this machine is online and the site is up, and try again")
    assert "\n" not in message


def test_a_missing_library_is_named_when_a_dataset_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra must be named before anything is stored."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "ddgs", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'pixcore\[ddgs\]'"):
        sources.search_named("ddgs").request("red panda", "", 0, "")
    ran = pixcore("plan", "red panda", "--source", "ddgs", "--count", "10")
    assert (ran.code, ran.out, "pip install 'pixcore[ddgs]'" in ran.err) == (2, "", True)
