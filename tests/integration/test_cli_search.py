"""The pixcore command from a keyword to archives, on search engines and open APIs that answer from loopback."""

import json
import zipfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from apis import OpenverseApi, openverse_entry
from attrs import asdict
from command import Ran, at_home, files, jpeg, pixcore
from engine_pages import CONSENT, Found, bing, engine
from hostile import Site, picture, status
from pictures import encoded, photo

from pixcore.model.images import Provenance
from pixcore.model.quality import Fingerprint, NearRule
from pixcore_adapters.downloader.sources.icrawler import Bing
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_runners.assembly import sources

ENGINE, API = "/images/async", "/v1/images/"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Give a site with forty pictures, which is Bing and Openverse as well, while the current folder is empty."""
    at_home(tmp_path, monkeypatch)
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(40)}) as site:
        on_site, built_in = {"openverse": Openverse(site.url(API)), "bing": Bing(site.url(""))}, sources._search
        monkeypatch.setattr(sources, "_search", lambda name: on_site.get(name) or built_in(name))
        yield site


def found(site: Site, *numbers: int) -> list[Found]:
    """What the engine knows of these pictures."""
    return [Found(site.url(f"/{n}.jpg"), f"https://pandas.example/{n}", f"Red panda {n}") for n in numbers]


def run(site: Site, *words: object) -> Ran:
    """Collect red pandas in chunks of twelve; the document is on standard output."""
    allowed = ("--allow-private-hosts", site.host, "--quiet", "--json")
    return pixcore("run", "red panda", "--chunk-size", "12", *allowed, *words)


def rows(ran: Ran) -> list[list[dict[str, Any]]]:
    """The rows of each archive."""
    found = []
    for chunk in ran.chunks:
        with zipfile.ZipFile(chunk["url"].removeprefix("file://")) as archive:
            found.append([json.loads(line) for line in archive.read("metadata.jsonl").decode().splitlines()])
    return found


def test_chunks_of_one_keyword_share_nothing_and_know_where_all_comes_from(site: Site) -> None:
    """An engine shows a picture on two pages, under two addresses, in two sizes: no URL and no bytes come twice."""
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
    """They stay, because a hash alone convicts nobody, and are shown."""
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
    """The fingerprint that a row states."""
    return Fingerprint(int(row["phash"], 16), int(row["dhash"], 16), row["hash_method"], flat=False)


def test_an_open_api_tells_whose_picture_it_is_and_under_which_licence(site: Site) -> None:
    """Only the licences asked for, and every row with all that the source says."""
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
        "creator": "Ada",
        "license": "CC BY 4.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "opt_out": "",
    }


def test_a_source_that_cannot_be_read_is_named_its_page_kept_and_the_others_go_on(site: Site, tmp_path: Path) -> None:
    """A consent page is no empty result; it costs what it would have given, and nothing more."""
    site.routes[ENGINE] = status(200, CONSENT, Content_Type="text/html")
    site.routes[API] = OpenverseApi([openverse_entry(site.url(f"/{n}.jpg"), n) for n in range(40)])
    words = ("--chunk-size", "200", "--count", "200", "--keep-pages", "kept")
    ran = run(site, "--source", "openverse", "--source", "bing", *words)
    assert ran.code == 3
    assert (ran.chunks[0]["accepted"], ran.chunks[0]["missed"]) == (40, {"source_changed": 1})
    [kept] = files(tmp_path / "kept")
    assert (tmp_path / "kept" / kept).read_bytes() == CONSENT


def test_a_chunk_whose_only_source_cannot_be_read_says_so(site: Site) -> None:
    """It fails at once, with the source and the page, for trying again cannot help."""
    site.routes[ENGINE] = status(200, CONSENT, Content_Type="text/html")
    ran = run(site, "--source", "bing", "--count", "6")
    assert (ran.code, ran.chunks[0]["status"], ran.chunks[0]["attempt"]) == (4, "failed", 1)
    assert ran.chunks[0]["missed"] == {"source_changed": 1}
    assert "a page of bing cannot be read: " in ran.chunks[0]["error"]
    assert site.url(f"{ENGINE}?q=red%20panda&first=") in ran.chunks[0]["error"]


def test_several_keywords_come_from_one_file(site: Site, tmp_path: Path) -> None:
    """Each chunk has its keyword and its label, and keeps to the file's quality, whoever works it off."""
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


# -- what planning refuses, without asking anybody --------------------------------------------------------------------


def test_a_plan_asks_nobody(site: Site) -> None:
    """Slices are disjoint, in the order of the sources, and say what will be asked."""
    ran = pixcore("plan", "red panda", "--count", "2000", "--source", "bing", "--source", "openverse", "--json")
    assert ran.code == 0
    assert [chunk["target"] for chunk in ran.chunks] == [500] * 4
    pieces = [piece for chunk in ran.chunks for piece in chunk["slices"]]
    places = [(p["source"], p["query"], n) for p in pieces for n in range(p["start"], p["stop"])]
    assert len(set(places)) == len(places) == 2500
    assert list(dict.fromkeys((p["source"], p["query"]) for p in pieces)) == [
        ("bing", "red panda"),
        ("openverse", "red panda"),
        ("bing", "red panda photo"),
        ("openverse", "red panda photo"),
        ("bing", "red panda picture"),
    ]
    assert "bing: search engines generally forbid automated collection" in ran.err
    assert site.asked == []


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
        (("--count", "5", "--source", "urls:a.txt", "--license", "by"), "urls:a.txt gives no licences"),
    ],
    ids=["capacity", "no count", "an engine's licence", "no licence", "a list's licence"],
)
def test_what_the_sources_cannot_give_is_refused(site: Site, words: tuple[str, ...], complaint: str) -> None:
    """Before anything starts, with the number or the remedy."""
    ran = pixcore("plan", "red panda", *words)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
    assert site.asked == []


@pytest.mark.usefixtures("site")
def test_commons_is_left_out_unless_it_can_be_told_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses anonymous visitors: by default it is not asked, and who names it learns what to set."""
    monkeypatch.undo()
    ran = pixcore("plan", "red panda", "--count", "5", "--json")
    assert [piece["source"] for piece in ran.chunks[0]["slices"]] == ["openverse"]
    assert "commons is left out" in ran.err
    refused = pixcore("plan", "red panda", "--count", "5", "--source", "commons")
    assert refused.code == 2
    assert "set user_agent, such as PIXCORE_USER_AGENT=" in refused.err
    monkeypatch.setenv("PIXCORE_USER_AGENT", "lab/1.0 (ann@lab.example)")
    named = pixcore("plan", "red panda", "--count", "300", "--json")
    assert [piece["source"] for piece in named.chunks[0]["slices"]] == ["openverse", "commons"]
    assert named.err == ""


@pytest.mark.parametrize("flag", [("--count", "5"), ("--dataset", "d"), ("--source", "bing"), ("--license", "by")])
@pytest.mark.usefixtures("site")
def test_what_a_file_says_is_not_said_twice(tmp_path: Path, flag: tuple[str, str]) -> None:
    """One of the two would be ignored."""
    (tmp_path / "pandas.toml").write_text('[[keyword]]\nname = "red panda"\ncount = 5')
    ran = pixcore("plan", "pandas.toml", *flag)
    assert ran.code == 2
    assert f"{flag[0]} cannot be used with a DATASET.toml; write it into pandas.toml" in ran.err
