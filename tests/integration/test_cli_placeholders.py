"""The picture by which a site says that it has no image: many links lead to it, and a dataset keeps none of it."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Ran, at_home, jpeg, pixcore
from hostile import Site, picture, redirect

GONE = jpeg(999)
DIGEST = hashlib.sha256(GONE).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    at_home(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def site() -> Iterator[Site]:
    """Yield a site with 140 pictures, and 60 links that it redirects to one more."""
    moved = redirect("/removed.jpg")
    pictures = {f"/{n}.jpg": picture(jpeg(n)) for n in range(140)}
    links = {f"/gone/{n}.jpg": moved for n in range(60)}
    with Site({"/removed.jpg": picture(GONE), **pictures, **links}) as site:
        yield site


def run(site: Site, names: list[str], chunk_size: int, *words: object) -> Ran:
    """Run a list of these files of the site."""
    Path("cats.txt").write_text("".join(f"{site.url(name)}\n" for name in names))
    allowed = ("--allow-private-hosts", site.host, "--chunk-size", chunk_size)
    return pixcore("run", "--source", "urls:cats.txt", *allowed, "--json", *words)


def rows(ran: Ran) -> list[Any]:
    """Return the rows of all archives; the names of their files have no hole."""
    found = []
    for chunk in ran.chunks:
        with zipfile.ZipFile(chunk["url"].removeprefix("file://")) as archive:
            own = [json.loads(line) for line in archive.read("rows.jsonl").decode().splitlines()]
        assert [row["file_name"] for row in own] == [f"images/{number:06d}.jpg" for number in range(len(own))]
        found += own
    return found


@pytest.mark.parametrize(("chunk_size", "workers"), [(200, 1), (100, 1), (100, 2)])
def test_none_of_sixty_links_is_kept(site: Site, chunk_size: int, workers: int) -> None:
    """In one chunk or in two, each candidate says why, and the report shows the picture with its number of links."""
    gone, pictures = (iter([f"/{folder}{n}.jpg" for n in range(count)]) for folder, count in (("gone/", 60), ("", 140)))
    names = [next(gone if n % 10 < 3 else pictures) for n in range(200)]
    ran = run(site, names, chunk_size, "--workers", workers)
    assert ran.code == 0
    assert [row["url"] for row in rows(ran)] == [site.url(name) for name in names if "/gone/" not in name]
    count = 200 // chunk_size
    assert [chunk["rejected"] for chunk in ran.chunks] == [{"placeholder": 60 // count}] * count
    assert "placeholder is stored" not in ran.err
    why = pixcore("why", "cats", site.url("/gone/0.jpg"))
    assert "is the picture by which sites say that they have no image" in why.out
    assert "URLs led to these bytes" in why.out
    assert pixcore("report", "cats", "--out", "cats.html").code == 0
    assert "60 URLs led to these bytes" in Path("cats.html").read_text()


def test_a_copy_that_is_stored_already_is_named_and_removed(site: Site) -> None:
    """The fifth URL comes when the first chunk is complete; `apply` then removes its copy, and `include` spares it."""
    names = ["/gone/0.jpg", "/0.jpg", "/gone/1.jpg", "/gone/2.jpg", "/1.jpg", "/gone/3.jpg", "/gone/4.jpg"]
    ran = run(site, names, 4)
    one, two = ran.chunks
    assert (one["rejected"], two["rejected"]) == ({"duplicate": 2}, {"placeholder": 2})
    line = f"a placeholder is stored in chunk {one['id']}; to remove: pixcore apply cats"
    assert line in ran.err
    assert line in pixcore("status", "cats").err
    assert pixcore("apply", "cats").code == 0
    after = pixcore("status", "cats", "--json")
    assert line not in after.err
    assert [row["url"] for row in rows(after)] == [site.url("/0.jpg"), site.url("/1.jpg")]
    assert [chunk["rejected"] for chunk in after.chunks] == [{"placeholder": 3}, {"placeholder": 2}]
    assert pixcore("apply", "cats", "--min-width", "60").code == 0
    assert [chunk["rejected"] for chunk in pixcore("status", "cats", "--json").chunks] == [
        {"placeholder": 3},
        {"placeholder": 2},
    ]
    run(site, names, 4, "--dataset", "kept")
    assert pixcore("include", "kept", DIGEST, "--by", "ann").code == 0
    assert "placeholder is stored" not in pixcore("status", "kept").err
    assert pixcore("apply", "kept").code == 0
    assert [row["url"] for row in rows(pixcore("status", "kept", "--json"))] == [
        site.url(f"/{n}.jpg") for n in ("gone/0", 0, 1)
    ]


def test_a_lower_limit_is_applied_to_stored_images(site: Site) -> None:
    """A dataset that was collected without a limit is cleaned by its outcomes, without fetching."""
    names = ["/gone/0.jpg", "/0.jpg", "/gone/1.jpg", "/gone/2.jpg", "/1.jpg", "/gone/3.jpg", "/gone/4.jpg"]
    assert len(rows(run(site, names, 4, "--placeholder-urls", 0))) == 3
    again = run(site, names, 4)
    assert "placeholder_urls = 0 instead of 5" in again.err
    assert "pixcore apply cats --placeholder-urls 5" in again.err
    requests = len(site.requests)
    assert pixcore("apply", "cats", "--placeholder-urls", 6, "--dry-run").code == 0
    applied = pixcore("apply", "cats", "--placeholder-urls", 5, "--json").document["chunks"]
    assert [chunk["removed"] for chunk in applied] == [{"placeholder": 1}, {}]
    assert len(rows(pixcore("status", "cats", "--json"))) == 2
    assert "nothing was rebuilt" in pixcore("apply", "cats", "--placeholder-urls", 5).err
    assert len(site.requests) == requests


def test_known_placeholders_can_be_listed(site: Site) -> None:
    """A file or a value, by a flag or in a DATASET.toml; what is neither is refused with the line."""
    Path("known.txt").write_text(f"# from another dataset\n\n{DIGEST.upper()}  removed.jpg\n")
    ran = run(site, ["/gone/0.jpg", "/0.jpg"], 4, "--placeholders", "known.txt")
    assert (ran.chunks[0]["rejected"], len(rows(ran))) == ({"placeholder": 1}, 1)
    Path("d.toml").write_text(
        'source = ["urls:cats.txt"]\n[[keyword]]\nname = "c"\n'
        f'[quality]\nplaceholders = ["{DIGEST}"]\nplaceholder_urls = 0\n'
    )
    ran = pixcore("run", "d.toml", "--allow-private-hosts", site.host, "--json")
    assert ran.chunks[0]["rejected"] == {"placeholder": 1}
    Path("known.txt").write_text("abc\n")
    refused = run(site, ["/0.jpg"], 4, "--placeholders", "known.txt")
    assert (refused.code, "known.txt:1: 'abc' is no sha256" in refused.err) == (2, True)
    refused = run(site, ["/0.jpg"], 4, "--placeholders", "absent.txt")
    assert (refused.code, "absent.txt is no sha256" in refused.err) == (2, True)
