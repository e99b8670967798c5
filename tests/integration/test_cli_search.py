"""The pixcore command from a keyword to archives, with search engines and open APIs on loopback."""

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from apis import CommonsApi, OpenverseApi, commons_entry, openverse_entry
from attrs import asdict
from command import Ran, at_home, files, jpeg, pixcore
from engine_pages import CONSENT, Found, bing, engine
from hostile import Site, picture, status
from pictures import encoded, photo

from pixcore.model.images import Provenance
from pixcore.model.quality import Fingerprint, NearRule
from pixcore_adapters.downloader.sources.commons import Commons
from pixcore_adapters.downloader.sources.icrawler import Bing
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_runners.assembly import sources

if TYPE_CHECKING:
    from pixcore_adapters.downloader.sources.search import Search

ENGINE, API, WIKI = "/images/async", "/v1/images/", "/w/api.php"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Yield a site with forty pictures that also serves as Bing and Openverse; change to an empty folder."""
    at_home(tmp_path, monkeypatch)
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(40)}) as site:
        on_site: dict[str, Search] = {
            "openverse": Openverse(api=site.url(API)),
            "commons": Commons(site.url(WIKI)),
            "bing": Bing(site.url("")),
        }
        built_in = sources.search_named
        monkeypatch.setattr(sources, "search_named", lambda name: on_site.get(name) or built_in(name))
        yield site


def found(site: Site, *numbers: int) -> list[Found]:
    """Return the engine's results for these pictures."""
    return [Found(site.url(f"/{n}.jpg"), f"https://pandas.example/{n}", f"Red panda {n}") for n in numbers]


def run(site: Site, *words: object) -> Ran:
    """Collect red pandas in chunks of twelve, with the document on standard output."""
    allowed = ("--allow-private-hosts", site.host, "--quiet", "--json")
    return pixcore("run", "red panda", "--chunk-size", "12", *allowed, *words)


def rows(ran: Ran) -> list[list[dict[str, Any]]]:
    """Return the rows of each archive."""
    found = []
    for chunk in ran.chunks:
        with zipfile.ZipFile(chunk["url"].removeprefix("file://")) as archive:
            found.append([json.loads(line) for line in archive.read("rows.jsonl").decode().splitlines()])
    return found


def test_chunks_of_one_keyword_share_no_image_and_rows_have_their_page(site: Site) -> None:
    """An engine may list a picture twice, with two URLs or in two sizes; no URL and no bytes may be collected twice."""
    results = found(site, *range(30))
    results[17] = results[3]
    site.routes["/copy.jpg"] = picture(jpeg(1))
    site.routes["/alike.jpg"] = picture(encoded(photo(2, 64, 64), quality=60))
    results[18:20] = [Found(site.url(f"/{name}.jpg"), "https://pandas.example", "Again") for name in ("copy", "alike")]
    site.routes[ENGINE] = engine(bing(results))
    ran = run(site, "--source", "bing", "--count", "24")
    assert ran.code == 0
    one, other = rows(ran)
    for column in ("url", "sha256"):
        assert len({row[column] for row in one + other}) == 24
    assert {row["url"]: row["page_url"] for row in one + other} == {
        result.url: result.page_url for result in results if result.url in {row["url"] for row in one + other}
    }
    assert all(row["title"].startswith("Red panda") for row in one)
    assert {row["source"] for row in one + other} == {"bing"}
    assert ran.chunks[1]["rejected"] == {"seen_in_dataset": 2}


def test_every_near_pair_across_chunks_is_listed(site: Site) -> None:
    """Near-duplicates are kept, because hashes alone cannot decide, so the user must see them."""
    results = found(site, *range(30))
    for place, quality in ((20, 60), (22, 40)):
        site.routes[f"/alike-{place}.jpg"] = picture(encoded(photo(2, 64, 64), quality=quality))
        results[place] = Found(site.url(f"/alike-{place}.jpg"), "https://pandas.example", "Alike")
    results[22:23] = []
    site.routes[ENGINE] = engine(bing(results))
    everything = [row for chunk in rows(run(site, "--source", "bing", "--count", "24")) for row in chunk]
    near = {
        frozenset((one["url"], other["url"]))
        for one, other in combinations(everything, 2)
        if NearRule().holds(prints(one), prints(other))
    }
    assert near == {frozenset((site.url("/2.jpg"), site.url("/alike-20.jpg")))}
    groups = pixcore("status", "red-panda", "--duplicates", "--json").document["groups"]
    pairs = [(group["images"], pair["images"]) for group in groups for pair in group["pairs"]]
    assert {frozenset(images[n]["url"] for n in places) for images, places in pairs} == near


def prints(row: dict[str, Any]) -> Fingerprint:
    """Return the fingerprint in a row."""
    return Fingerprint(int(row["phash"], 16), int(row["dhash"], 16), row["hash_method"], flat=False)


def test_rows_of_an_open_api_have_creator_and_licence(site: Site) -> None:
    """Only images of the given licences may be collected, with all provenance of the source."""
    entries = [
        openverse_entry(site.url(f"/{n}.jpg"), n, license="by" if n % 2 else "cc0", license_version="4.0")
        for n in range(40)
    ]
    site.routes[API] = OpenverseApi(entries)
    ran = run(site, "--source", "openverse", "--count", "12", "--license", "by")
    assert ran.code == 0
    [collected] = rows(ran)
    assert {row["url"] for row in collected} <= {entry["url"] for entry in entries if entry["license"] == "by"}
    assert {name: collected[0][name] for name in asdict(Provenance())} == {
        "page_url": "https://photos.example/1",
        "title": "Red panda 1",
        "caption": "",
        "creator": "Ada",
        "license": "CC BY 4.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "opt_out": "",
    }


def test_an_empty_answer_says_to_try_other_words(site: Site) -> None:
    """A misspelt keyword is the usual reason; no limit is to blame."""
    site.routes[API] = OpenverseApi([])
    ran = run(site, "--source", "openverse", "--count", "3")
    assert ran.code == 4
    assert ran.chunks[0]["error"] == "no source has a candidate for 'red panda'; try other words or sources"


def test_an_unreadable_page_is_kept_and_the_other_sources_go_on(site: Site, tmp_path: Path) -> None:
    """A consent page must not count as an empty result, and must cost only the images of its source."""
    site.routes[ENGINE] = status(200, CONSENT, Content_Type="text/html")
    site.routes[API] = OpenverseApi([openverse_entry(site.url(f"/{n}.jpg"), n) for n in range(40)])
    words = ("--chunk-size", "200", "--count", "200", "--keep-pages", "kept")
    ran = run(site, "--source", "openverse", "--source", "bing", *words)
    assert ran.code == 3
    assert (ran.chunks[0]["accepted"], ran.chunks[0]["missed"]) == (40, {"source_changed": 1})
    [kept] = files(tmp_path / "kept")
    assert (tmp_path / "kept" / kept).read_bytes() == CONSENT


def test_a_source_that_is_lost_in_the_middle_leaves_full_chunks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day's limit of one of three sources is spent: the others fill the chunks, and a miss names it."""
    monkeypatch.setenv("PIXCORE_USER_AGENT", "lab/1.0 (ann@lab.example)")
    site.routes |= {f"/{n}.jpg": picture(jpeg(n)) for n in range(40, 80)}
    openverse = OpenverseApi([openverse_entry(site.url(f"/{n}.jpg"), n) for n in range(40)])
    openverse.instead[1] = status(429, b"{}", Retry_After=3600)
    site.routes[API] = openverse
    site.routes[WIKI] = CommonsApi([commons_entry(site.url(f"/{n}.jpg"), n) for n in range(40, 70)])
    site.routes[ENGINE] = engine(bing(found(site, *range(70, 80))))
    ran = run(site, "--source", "openverse", "--source", "commons", "--source", "bing", "--count", "24")
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [12, 12]), ran.out
    assert ran.chunks[1]["missed"] == {"source_unavailable": 1}
    assert Counter(row["source"] for row in rows(ran)[1]) == {"openverse": 5, "commons": 7}
    lost = pixcore("outcomes", "red-panda", "--format", "jsonl")
    assert "openverse: its limit of requests is spent (http_429); try again later" in lost.out, lost


def test_files_of_commons_that_the_dataset_has_are_not_fetched(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their SHA-1 is known before the download, whatever their address and the keyword that found them."""
    monkeypatch.setenv("PIXCORE_USER_AGENT", "lab/1.0 (ann@lab.example)")
    entries = [commons_entry(site.url(f"/{n}.jpg"), n) for n in range(4)]
    for number, entry in enumerate(entries):
        entry["imageinfo"][0]["sha1"] = hashlib.sha1(jpeg(number), usedforsecurity=False).hexdigest()
    entries[3]["imageinfo"][0]["sha1"] = "0" * 40
    site.routes |= {WIKI: CommonsApi(entries), "/copy.jpg": picture(jpeg(1))}
    first = run(site, "--source", "commons", "--count", "2", "--dataset", "pandas")
    assert (first.code, first.chunks[0]["accepted"]) == (0, 2)
    entries[1]["imageinfo"][0]["url"] = site.url("/copy.jpg")
    words = ("run", "young panda", "--source", "commons", "--count", "4", "--dataset", "pandas", "--json", "--quiet")
    second = pixcore(*words, "--allow-private-hosts", site.host).chunks[-1]
    assert (second["accepted"], second["missed"], second["rejected"]) == (
        1,
        {"seen_in_dataset": 2},
        {"hash_mismatch": 1},
    )
    assert (site.paths().count("/0.jpg"), site.paths().count("/1.jpg"), "/copy.jpg" in site.paths()) == (1, 1, False)


def test_a_chunk_whose_only_source_is_unreadable_fails_with_the_reason(site: Site) -> None:
    """It must fail at once and name source and page, because a retry cannot help."""
    site.routes[ENGINE] = status(200, CONSENT, Content_Type="text/html")
    ran = run(site, "--source", "bing", "--count", "6")
    assert (ran.code, ran.chunks[0]["status"], ran.chunks[0]["attempt"]) == (4, "failed", 1)
    assert ran.chunks[0]["missed"] == {"source_changed": 1}
    assert "a page of bing cannot be read: " in ran.chunks[0]["error"]
    assert f"(page 1 for 'red panda' at {site.url(ENGINE)})" in ran.chunks[0]["error"]


def test_several_keywords_come_from_one_file(site: Site, tmp_path: Path) -> None:
    """Each chunk must have its keyword, its label and the quality of the file, whatever the worker's settings."""
    site.routes[API] = OpenverseApi([openverse_entry(site.url(f"/{n}.jpg"), n) for n in range(40)])
    (tmp_path / "pandas.toml").write_text(
        'source = ["openverse"]\ncount = 5\n[quality]\nmin_width = 65\n'
        '[[keyword]]\nname = "red panda"\nlabel = "Ailurus"\n[[keyword]]\nname = "giant panda"\ncount = 3\n'
    )
    large = encoded(photo(99, 65, 65))
    site.routes["/1.jpg"] = picture(large)
    ran = pixcore("run", "pandas.toml", "--allow-private-hosts", site.host, "--quiet", "--json")
    assert ran.code == 3
    assert [(chunk["keyword"], chunk["target"]) for chunk in ran.chunks] == [("red panda", 5), ("giant panda", 3)]
    assert ran.chunks[0]["rejected"] == {"too_small": 5}
    assert "seen_in_dataset" in ran.chunks[1]["error"]
    [[row], *_] = rows(Ran(0, json.dumps({"chunks": ran.chunks[:1]}), ""))
    assert (row["label"], row["keyword"], row["width"]) == ("Ailurus", "red panda", 65)


# -- planning sends no request ---------------------------------------------------------------------------------------


def test_a_plan_sends_no_request(site: Site) -> None:
    """Slices must be disjoint, in the order of the sources, and name their queries."""
    ran = pixcore("plan", "red panda", "--count", "2000", "--source", "bing", "--source", "openverse", "--json")
    assert ran.code == 0
    assert [chunk["target"] for chunk in ran.chunks] == [500] * 4
    slices = [part for chunk in ran.chunks for part in chunk["slices"]]
    places = [(p["source"], p["query"], n) for p in slices for n in range(p["start"], p["stop"])]
    assert len(set(places)) == len(places) == 2500
    assert list(dict.fromkeys((p["source"], p["query"]) for p in slices)) == [
        ("bing", "red panda"),
        ("openverse", "red panda"),
        ("bing", "red panda photo"),
        ("openverse", "red panda photo"),
        ("bing", "red panda picture"),
    ]
    assert "bing: search engines generally forbid automated collection" in ran.err
    assert site.requests == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ("--count", "24801", "--source", "bing", "--source", "openverse"),
            "24801 images of 'red panda' are wanted, but bing with 20 queries, openverse with 20 queries can give at",
        ),
        (("--source", "openverse"), "the number of images of 'red panda' is missing; add --count N, at most 4800 here"),
        (("--count", "5", "--source", "bing", "--license", "by"), "bing cannot be limited to the licence by;"),
        (("--count", "5", "--source", "openverse", "--license", "gpl"), "license cannot be 'gpl'; give one or more of"),
        (("--count", "5", "--source", "folder:a", "--license", "by"), "folder:a gives no licences; leave it out"),
    ],
    ids=["capacity", "no count", "an engine's licence", "no licence", "a folder's licence"],
)
def test_a_request_beyond_the_sources_is_refused(site: Site, words: tuple[str, ...], complaint: str) -> None:
    """The error must come before any request, with the limit or the remedy."""
    ran = pixcore("plan", "red panda", *words)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
    assert site.requests == []


@pytest.mark.usefixtures("site")
def test_commons_is_left_out_without_a_user_agent_with_contact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commons refuses anonymous clients; a user who names it must learn which setting it needs."""
    monkeypatch.undo()
    ran = pixcore("plan", "red panda", "--count", "5", "--json")
    assert [part["source"] for part in ran.chunks[0]["slices"]] == ["openverse"]
    assert "commons is left out" in ran.err
    refused = pixcore("plan", "red panda", "--count", "5", "--source", "commons")
    assert refused.code == 2
    assert "set user_agent, such as PIXCORE_USER_AGENT=" in refused.err
    monkeypatch.setenv("PIXCORE_USER_AGENT", "lab/1.0 (ann@lab.example)")
    named = pixcore("plan", "red panda", "--count", "300", "--json")
    assert [part["source"] for part in named.chunks[0]["slices"]] == ["openverse", "commons"]
    assert named.err == ""


@pytest.mark.parametrize("flag", [("--count", "5"), ("--dataset", "d"), ("--source", "bing"), ("--license", "by")])
@pytest.mark.usefixtures("site")
def test_options_that_a_file_replaces_are_refused(tmp_path: Path, flag: tuple[str, str]) -> None:
    """Otherwise the option or the file would be ignored."""
    (tmp_path / "pandas.toml").write_text('[[keyword]]\nname = "red panda"\ncount = 5')
    ran = pixcore("plan", "pandas.toml", *flag)
    assert ran.code == 2
    assert f"{flag[0]} cannot be used with a DATASET.toml; write it into pandas.toml" in ran.err
