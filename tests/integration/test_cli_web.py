"""The pixcore command with lists of URLs: what it fetches, what it refuses, and how it is interrupted."""

import hashlib
import json
import signal
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Ran, at_home, ended, files, jpeg, pixcore, start
from hostile import Client, Site, picture, redirect, silent, status, text

from pixcore import Status
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.settings import load_here


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    return tmp_path


@pytest.fixture
def site() -> Iterator[Site]:
    """Yield a site with eight pictures."""
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(8)}) as site:
        yield site


def listed(*urls: str) -> str:
    """Write a list of URLs; return it as a source."""
    Path("cats.txt").write_text("".join(f"{url}\n" for url in urls))
    return "urls:cats.txt"


def run(site: Site, *words: object) -> Ran:
    """Run the list in chunks of four with the site allowed, with the document on standard output."""
    allowed = ("--allow-private-hosts", site.host)
    return pixcore("run", "--source", "urls:cats.txt", "--chunk-size", "4", "--json", *allowed, *words)


def rows(ran: Ran) -> list[dict[str, Any]]:
    """Return the rows of all archives."""
    found = []
    for chunk in ran.chunks:
        with zipfile.ZipFile(chunk["url"].removeprefix("file://")) as archive:
            found += [json.loads(line) for line in archive.read("rows.jsonl").decode().splitlines()]
    return found


# -- run -------------------------------------------------------------------------------------------------------------


def test_a_list_becomes_archives(site: Site, home: Path) -> None:
    """Chunks and rows must be in the order of the list, and a second run must fetch nothing."""
    urls = [site.url(f"/{n}.jpg") for n in range(8)]
    listed(*urls)
    ran = run(site)
    assert (ran.code, ran.document["dataset"]) == (0, "cats")
    assert [(chunk["accepted"], chunk["keyword"]) for chunk in ran.chunks] == [(4, "cats"), (4, "cats")]
    assert [(row["url"], row["source"]) for row in rows(ran)] == [(url, "urls") for url in urls]
    fetched = len(site.requests)
    assert (run(site).out, len(site.requests)) == (ran.out, fetched)
    assert files(home / "work") == []


def test_a_list_on_the_web_gives_provenance(site: Site) -> None:
    """The columns of the list must be in the rows of its images."""
    table = f"url,title,license\n{site.url('/0.jpg')},A cat,CC0\n"
    site.routes["/lists/cats.csv"] = status(200, table.encode())
    ran = pixcore(
        "run", "--source", f"urls:{site.url('/lists/cats.csv')}", "--allow-private-hosts", site.host, "--json"
    )
    assert (ran.code, ran.document["dataset"]) == (0, "cats")
    assert [(row["title"], row["license"]) for row in rows(ran)] == [("A cat", "CC0")]


def test_a_column_has_one_type_in_all_archives(site: Site) -> None:
    """Loaders need that, also if the lists of two keywords differ; a list that grew cannot change it."""
    urls = [site.url(f"/{n}.jpg") for n in range(6)]
    for name, cells in {"cats": [(0, 1), (1, 2)], "dogs": [(2, "three"), (3, 4)]}.items():
        lines = [json.dumps({"url": urls[place], "n": value}) for place, value in cells]
        Path(f"{name}.jsonl").write_text("\n".join(lines))
    Path("pets.toml").write_text(
        'dataset = "pets"\n[[keyword]]\nname = "cats"\nsource = "urls:cats.jsonl"\n'
        '[[keyword]]\nname = "dogs"\nsource = "urls:dogs.jsonl"\n'
    )
    private = "--json", "--allow-private-hosts", site.host
    assert [row["n"] for row in rows(pixcore("run", "pets.toml", *private))] == ["1", "2", "three", "4"]
    numbers = "run", "--source", "urls:cats.jsonl", *private
    assert [row["n"] for row in rows(pixcore(*numbers))] == [1, 2]
    with Path("cats.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"url": urls[4], "n": "five"}))
    refused = pixcore(*numbers)
    assert refused.code == 2
    assert "column 'n' holds integers in the chunks that dataset 'cats' has" in refused.err


def test_a_plan_says_how_a_list_is_read(site: Site) -> None:
    """The user must see which columns are used before anything is fetched; a DATASET.toml may name them."""
    Path("cats.tsv").write_text(f"link\ttext\tn\n{site.url('/0.jpg')}\ta cat\t7\n")
    ran = pixcore("plan", "--source", "urls:cats.tsv", "--url-column", "link")
    for line in (
        "list cats.tsv: tsv, utf-8",
        "columns used: url from link, caption from text; kept: n",
        "rows: 1, 0 without a URL",
        f"sample: url='{site.url('/0.jpg')}', caption='a cat', n='7'",
    ):
        assert line in ran.out
    Path("d.toml").write_text(
        'url_column = "link"\n[[keyword]]\nname = "cats"\nsource = "urls:cats.tsv"\ndrop_columns = ["n"]\n'
    )
    ran = pixcore("plan", "d.toml", "--json")
    assert (ran.code, ran.document["lists"][0]["kept"], ran.document["lists"][0]["columns"]["url"]) == (0, [], "link")


def test_images_with_another_checksum_are_rejected(site: Site) -> None:
    """A list may promise the checksums of its images."""
    right = hashlib.md5(jpeg(0), usedforsecurity=False).hexdigest()
    Path("cats.csv").write_text(f"url,hash\n{site.url('/0.jpg')},{right}\n{site.url('/1.jpg')},{right}\n")
    ran = pixcore(
        *("run", "--source", "urls:cats.csv", "--verify-hash", "md5:hash", "--json"),
        *("--allow-private-hosts", site.host),
    )
    assert [row["hash"] for row in rows(ran)] == [right]
    assert ran.chunks[0]["rejected"] == {"hash_mismatch": 1}


def test_a_folder_of_folders_has_labels(home: Path) -> None:
    """The name of an image's folder is its label, unless the user does not want that."""
    for n, name in enumerate(("lynx", "puma")):
        (home / "cats" / name).mkdir(parents=True)
        (home / "cats" / name / "1.jpg").write_bytes(jpeg(n))
    ran = pixcore("run", "--source", "folder:cats", "--json")
    assert [(row["label"], row["url"]) for row in rows(ran)] == [("lynx", "lynx/1.jpg"), ("puma", "puma/1.jpg")]
    ran = pixcore("run", "--source", "folder:cats", "--json", "--label-from", "none", "--dataset", "other")
    assert [row["label"] for row in rows(ran)] == ["cats", "cats"]


def test_planning_a_list_fetches_no_image_and_writes_nothing(site: Site, home: Path) -> None:
    """A plan must send no request to the images' hosts and write no file."""
    listed(site.url("/0.jpg"), "junk")
    before = files(home)
    ran = pixcore("plan", "--source", "urls:cats.txt", "--json", "--accept-junk")
    assert (ran.code, ran.chunks[0]["target"]) == (0, 2)
    assert (files(home), site.requests) == (before, [])


def test_a_list_that_grew_extends_its_dataset(site: Site) -> None:
    """Existing chunks must stay, and a list with changed entries must be refused with the remedy."""
    urls = [site.url(f"/{n}.jpg") for n in range(8)]
    listed(*urls[:4])
    first = run(site)
    listed(*urls)
    more = run(site)
    assert (more.code, more.chunks[:1], len(more.chunks)) == (0, first.chunks, 2)
    assert [row["url"] for row in rows(more)] == urls
    listed(*urls[1:])
    changed = run(site)
    assert (changed.code, changed.out) == (2, "")
    assert "the list cats.txt has changed at entry 1" in changed.err
    assert "only add lines at its end, or use another dataset name" in changed.err


@pytest.mark.parametrize("workers", [1, 2])
def test_the_count_is_met_while_the_list_lasts(workers: int) -> None:
    """Dead links lie together: 30 come first. The 30 others suffice, and no chunk keeps one that it does not need."""
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(30)}) as site:
        dead = [site.url(f"/dead/{n}.jpg") for n in range(30)]
        listed(*dead, *(site.url(f"/{n}.jpg") for n in range(30)))
        ran = run(site, "--count", 20, "--workers", workers)
        assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [4] * 5)
        assert sum(len(chunk["taken"]) for chunk in ran.chunks) >= 5
        taken = [n for chunk in ran.chunks for part in chunk["taken"] for n in range(part["start"], part["stop"])]
        assert len(taken) == len(set(taken))
        plan = pixcore("plan", "--source", "urls:cats.txt", "--count", 20, "--chunk-size", 4, "--json")
        assert [chunk["taken"] for chunk in plan.chunks] == [chunk["taken"] for chunk in ran.chunks]
        asked = len(site.requests)
        again = pixcore("retry", "cats", "--json", "--allow-private-hosts", site.host)
        assert (again.code, again.chunks, len(site.requests)) == (0, ran.chunks, asked)
        more = run(site, "--count", 30, "--workers", workers)
        assert (more.code, more.chunks[:5]) == (0, ran.chunks)
        assert len({row["url"] for row in rows(more)}) == 30


def test_a_retry_is_advised_only_where_it_can_help() -> None:
    """When all links are dead, a retry fetches none of them; when one was overloaded, it fetches that one."""
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(3)}) as site:
        listed(*(site.url(f"/{n}.jpg") for n in range(4)), *(site.url(f"/dead/{n}.jpg") for n in range(20)))
        ran = run(site, "--count", 8)
        assert ran.code == 3
        assert "pixcore retry" not in ran.err
        assert "a retry cannot fill them: all their candidates were tried" in ran.err
        site.requests.clear()
        again = pixcore("retry", "cats", "--json", "--allow-private-hosts", site.host)
        assert (again.code, images_asked(site)) == (3, [])
        assert [chunk["sha256"] for chunk in again.chunks] == [chunk["sha256"] for chunk in ran.chunks]

    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(3)}) as site:
        site.routes["/3.jpg"] = status(503, b"")
        listed(*(site.url(f"/{n}.jpg") for n in range(4)), site.url("/dead.jpg"))
        ran = run(site, "--dataset", "busy")
        assert (ran.code, ran.err.splitlines()[-1].endswith("to retry them: pixcore retry busy")) == (3, True)
        site.routes["/3.jpg"] = picture(jpeg(3))
        site.requests.clear()
        again = pixcore("retry", "busy", "--json", "--allow-private-hosts", site.host)
        assert [chunk["accepted"] for chunk in again.chunks if chunk["accepted"]] == [4]
        assert images_asked(site) == ["/3.jpg"]


def test_a_list_that_grew_fills_short_chunks(site: Site) -> None:
    """Whoever wants four images and finds three links adds a line and runs the same command again."""
    urls = [site.url(f"/{n}.jpg") for n in range(6)]
    listed(*urls[:3], site.url("/dead.jpg"))
    assert run(site, "--count", 4).chunks[0]["accepted"] == 3
    again = run(site, "--count", 4)
    assert (again.code, "no chunk is left to process" in again.err) == (3, True)
    listed(*urls[:3], site.url("/dead.jpg"), *urls[4:])
    site.requests.clear()
    grown = run(site, "--count", 4)
    assert "its lists have grown; short chunks reopened: 1" in grown.err
    assert (grown.code, [row["url"] for row in rows(grown)], images_asked(site)) == (
        0,
        [*urls[:3], urls[4]],
        ["/4.jpg"],
    )
    assert run(site, "--count", 4).chunks == grown.chunks


def images_asked(site: Site) -> list[str]:
    """Return which images were fetched, in order."""
    return [request.target for request in site.requests if request.target.endswith(".jpg")]


def test_junk_and_misses_are_counted_and_the_rest_goes_on(site: Site) -> None:
    """The chunk must count the reasons of its missing images; nothing is left to do, so the exit code is 0."""
    listed(site.url("/0.jpg"), "junk", site.url("/missing.jpg"), site.url("/1.jpg"))
    refused = run(site)
    assert (refused.code, refused.out) == (2, "")
    assert "1 of 4 rows are faulty, and 1 hold no http or https URL (such as line 2: 'junk')" in refused.err
    ran = run(site, "--accept-junk")
    assert (ran.code, ran.chunks[0]["accepted"]) == (0, 2)
    assert ran.chunks[0]["missed"] == {"http_404": 1, "not_a_url": 1}


def test_source_date_epoch_makes_archives_reproducible(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images must give the same archive on any day, and a value that is no number must be refused."""
    listed(site.url("/0.jpg"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "981173106")
    one, other = run(site, "--store", "file:one", "--status", "sqlite:///1.db"), run(site)
    assert [row["fetched_at"] for row in rows(one)] == ["2001-02-03T04:05:06Z"]
    assert one.chunks[0]["sha256"] == other.chunks[0]["sha256"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    ran = run(site, "--dataset", "another")
    assert (ran.code, ran.err.splitlines()[-1]) == (
        2,
        "pixcore: SOURCE_DATE_EPOCH is 'today'; write seconds since 1970, or unset it",
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--source", "urls:"), "source 'urls:' is incomplete; write urls:LIST"),
        (("--source", "urls:gone.txt"), "the list gone.txt cannot be read: No such file or directory; check its path"),
        (
            ("--source", "urls:cats.doc"),
            "'cats.doc' is not a list; name a file that ends in .txt, .csv, .tsv, .jsonl",
        ),
        (("--source", "urls:http://[bad/cats.txt"), "http://[bad/cats.txt: not_a_url"),
        (
            ("--source", "urls:http://127.0.0.1:1/cats.txt"),
            "if the host is yours, pass --allow-private-hosts 127.0.0.1:1",
        ),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_one_line(home: Path, words: tuple[str, ...], complaint: str) -> None:
    """The error must come before any file is created."""
    ran = pixcore("run", *words)
    assert (ran.code, ran.out, files(home)) == (2, "", [])
    assert ran.err.startswith("pixcore: ")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1


def test_a_user_agent_without_a_product_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A robots.txt could not name such a user agent."""
    monkeypatch.setenv("PIXCORE_USER_AGENT", "(nobody)")
    listed(site.url("/0.jpg"))
    ran = run(site)
    assert (ran.code, site.requests) == (2, [])
    assert "user agent '(nobody)' is invalid; write it like 'pixcore/1.0" in ran.err


# -- private addresses -----------------------------------------------------------------------------------------------

SPELLINGS = [
    "127.0.0.1",
    "127.0.0.2",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "0",
    "localhost",
    "LOCALHOST.",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",  # noqa: RUF001 - digits of full width are one of the tricks
    "127。0。0。1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "169.254.169.254",
    "10.0.0.1",
]


def test_private_addresses_are_refused_in_every_spelling(site: Site) -> None:
    """A foreign list must not cause requests in the network that pixcore runs in."""
    listed(*(f"http://{host}:{site.port}/0.jpg" for host in SPELLINGS))
    ran = pixcore("run", "--source", "urls:cats.txt", "--json")
    assert ran.code == 4
    assert site.connections == 0
    missed = ran.chunks[0]["missed"]
    assert set(missed) <= {"address_refused", "not_a_url"}
    assert sum(missed.values()) == len(SPELLINGS)
    assert missed["address_refused"] >= 20


def test_an_allowed_private_host_is_reached_only_at_its_port(site: Site) -> None:
    """The setting that intranets need must allow nothing beyond the given host and port."""
    with Site({"/0.jpg": picture(jpeg(0))}) as decoy:
        listed(*(f"http://{host}/{n}.jpg" for n, host in enumerate([site.host, decoy.host, f"127.0.0.2:{site.port}"])))
        ran = run(site)
        assert decoy.connections == 0
    assert (ran.code, ran.chunks[0]["accepted"], ran.chunks[0]["missed"]) == (3, 1, {"address_refused": 2})
    assert site.paths() == ["/robots.txt", "/0.jpg"]


def test_settings_that_avoid_misses_are_noticed_by_the_next_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who allows a host, more redirects or larger files must not read that nothing is left to do."""
    monkeypatch.setenv("PIXCORE_MAX_REDIRECTS", "1")
    monkeypatch.setenv("PIXCORE_MAX_BYTES", "100000")
    with Site({"/0.jpg": picture(jpeg(9))}) as other:
        site.routes |= {
            "/a": redirect("/b"),
            "/b": redirect("/2.jpg"),
            "/large.jpg": picture(jpeg(1) + bytes(200_000)),
            "/forbidden.jpg": picture(jpeg(3), X_Robots_Tag="noai"),
        }
        listed(
            site.url("/0.jpg"), site.url("/a"), site.url("/large.jpg"), other.url("/0.jpg"), site.url("/forbidden.jpg")
        )
        assert run(site).chunks[0]["accepted"] == 1
        assert "the present settings" not in run(site).err
        monkeypatch.delenv("PIXCORE_MAX_REDIRECTS")
        monkeypatch.delenv("PIXCORE_MAX_BYTES")
        ran = run(site, "--allow-private-hosts", other.host, "--ignore-opt-out")
        assert "no chunk is left" not in ran.err
        for reason in ("too_many_redirects", "too_large", "address_refused", "opted_out"):
            assert f"{reason}: 1" in ran.err.partition("the present settings may get candidates that were missed")[2]
        assert "to try: pixcore retry cats" in ran.err
        retried = pixcore("retry", "cats", "--json", "--allow-private-hosts", f"{site.host}", "--ignore-opt-out")
    assert [row["final_url"] for row in rows(retried) if row["url"].endswith("/a")] == [site.url("/2.jpg")]


# -- opt-outs --------------------------------------------------------------------------------------------------------


def test_opt_outs_are_respected_and_counted_by_default(site: Site) -> None:
    """Such images are collected only with the flag, and their rows then have the raw signal."""
    site.routes |= {
        "/robots.txt": text("User-agent: *\nDisallow: /0.jpg\n"),
        "/1.jpg": picture(jpeg(1), X_Robots_Tag="noai"),
    }
    listed(*(site.url(f"/{n}.jpg") for n in range(3)))
    ran = run(site)
    assert (ran.code, ran.chunks[0]["accepted"], ran.chunks[0]["missed"]) == (0, 1, {"opted_out": 2})
    ran = pixcore("retry", "cats", "--json", "--allow-private-hosts", site.host, "--ignore-opt-out")
    assert (ran.code, ran.chunks[0]["accepted"]) == (0, 3)
    assert [row["opt_out"] for row in rows(ran)] == [f"robots.txt of {site.url('')}", "X-Robots-Tag: noai", ""]


# -- Ctrl-C ----------------------------------------------------------------------------------------------------------


def test_an_interrupt_ends_a_hanging_fetch_soon(site: Site, home: Path) -> None:
    """The chunk must be given back with exit code 130, an empty work directory and no open connection."""
    requested, gone = threading.Event(), threading.Event()

    async def hang(client: Client) -> bool:
        requested.set()
        try:
            return await silent()(client)
        finally:
            gone.set()

    site.routes["/hanging.jpg"] = hang
    listed(site.url("/0.jpg"), site.url("/hanging.jpg"), site.url("/1.jpg"))
    process = start("run", "--source", "urls:cats.txt", "--allow-private-hosts", site.host, "--json")
    try:
        assert requested.wait(30)
        process.send_signal(signal.SIGINT)
        ran = ended(process, within=10)
    finally:
        process.kill()
        process.communicate()
    assert (ran.code, ran.out) == (130, "")
    assert "stopping: running chunks are given back" in ran.err
    assert gone.wait(5)
    assert files(home / "work") == []
    assert not list((home / "work").glob("chunk-*"))
    (record,) = assemble(load_here().settings).status.find("cats")
    assert (record.status, record.failures) == (Status.PENDING, 0)
