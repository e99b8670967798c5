"""Create the packages of docs/extending.md from its blocks of code, and use them as a user would."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from apis import answer
from command import PROGRAM, Ran, fill, jpeg
from distributions import installed
from hostile import Site, picture
from pictures import photo
from PIL import Image

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/extending.md").read_text()
FILES = {
    name: text
    for name, _, text in re.findall(r"`(\w+)\.py`:\n\n```(python|py)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
}
(PROJECT,) = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user who has installed the document's package with its extra for tests."""
    project = tomllib.loads(PROJECT)["project"]
    names = ("pixcore_onefile", "pixcore_museum", "pixcore_centre", "pixcore_warm", "pixcore_inline")
    modules = {name: FILES[name] for name in names}
    site = installed(tmp_path / "site", project["name"], project["entry-points"], **modules)
    (site / "pixcore_contract").symlink_to(ROOT / "tests/contract")  # its name in a wheel
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("PIXCORE_", "AZURE_"))}
    return theirs | {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH")))),
        "PIXCORE_WORK": str(tmp_path / "work"),
    }


def run(folder: Path, environment: dict[str, str], *words: object) -> Ran:
    """Run the command in a folder, in a process of its own."""
    command = [*PROGRAM, *map(str, words), "--quiet", "--json"]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=120
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_the_documented_store_works(tmp_path: Path, environment: dict[str, str]) -> None:
    """The store must have every right, hold a dataset that is not collected twice, and pass verify."""
    fill(tmp_path / "photos", 3)
    stored = ("--store", "onefile:./blobs.db")
    checked = run(tmp_path, environment, "check", *stored)
    assert (checked.code, checked.err) == (0, "")
    for _ in range(2):
        ran = run(tmp_path, environment, "run", "--source", "folder:./photos", *stored)
        assert (ran.code, [(chunk["accepted"], chunk["attempt"]) for chunk in ran.chunks]) == (0, [(3, 1)]), ran.err
    assert ran.chunks[0]["url"] == f"onefile://{tmp_path}/blobs.db/photos/data/chunk_1.zip"
    verified = run(tmp_path, environment, "verify", "photos", *stored)
    assert (verified.code, verified.document["images"], verified.document["faults"]) == (0, 3, [])


def test_the_documented_store_refuses_invalid_urls(tmp_path: Path, environment: dict[str, str]) -> None:
    """The error must name the problem, as one of the settings."""
    for url, complaint in {
        "onefile:./missing/blobs.db": "unable to open database file; check its permissions and its disk",
        "onefile://host/blobs.db": "names no file of this machine; write onefile:./blobs.db",
    }.items():
        ran = run(tmp_path, environment, "check", "--store", url)
        assert ran.code == 2
        assert complaint in " ".join(ran.err.split())


def test_the_documented_adapters_pass_their_contracts(tmp_path: Path, environment: dict[str, str]) -> None:
    """The tests must need only the suites of this checkout, and none of them may be skipped."""
    done = contract(tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 50
    assert "skipped" not in done.stdout


def test_the_documented_contract_test_finds_a_broken_guarantee(tmp_path: Path, environment: dict[str, str]) -> None:
    """The failures must show the compared values, which needs pytest's rewriting of asserts."""
    module = tmp_path / "site/pixcore_onefile.py"
    module.write_text(
        module.read_text().replace("            _remove(database, key)\n", "", 1).replace(" ORDER BY key", "")
    )
    done = contract(tmp_path, environment, "-k", "a_listing_is_sorted_by_whole_keys or named_version_is_replaced")
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert "At index 0 diff: " in done.stdout


def contract(folder: Path, environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the documented tests of contracts, with warnings as errors."""
    for name in ("conftest", "test_onefile", "test_inline", "test_museum"):
        (folder / f"{name}.py").write_text(FILES[name])
    command = (sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider")
    return subprocess.run(
        (*command, "test_onefile.py", "test_inline.py", "test_museum.py", *words),
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_documented_source_works(tmp_path: Path, environment: dict[str, str]) -> None:
    """A run by keyword must give rows with the provenance that the API reports."""
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(4)}) as site:
        entries = [
            {"image": site.url(f"/{n}.jpg"), "page": f"https://museum.example/{n}", "title": f"No. {n}"}
            for n in range(4)
        ]
        site.routes["/api/search"] = answer({"pictures": [*entries, {"title": "no image"}]})
        words = ("run", "red panda", "--source", "museum", "--count", 3, "--license", "cc0")
        named = environment | {"MUSEUM_API": site.url("/api/search")}
        refused = run(tmp_path, named, *words, "--allow-private-hosts", site.host, "--store", "file:./out")
        assert refused.code == 2
        assert "museum needs MUSEUM_KEY, which is not set; get a key at https://museum.example/keys" in refused.err
        named |= {"MUSEUM_KEY": "k3y-of-the-museum"}
        ran = run(tmp_path, named, *words, "--allow-private-hosts", site.host, "--store", "file:./out")
        (asked,) = [request for request in site.requests if request.target == "/api/search?q=red+panda&cursor="]
        assert asked.headers["x-api-key"] == "k3y-of-the-museum"
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [3]), ran.err
    with zipfile.ZipFile(ran.chunks[0]["url"].removeprefix("file://")) as archive:
        rows = [json.loads(line) for line in archive.read("rows.jsonl").splitlines()]
    assert [(row["source"], row["title"], row["page_url"], row["license"]) for row in rows] == [
        ("museum", f"No. {n}", f"https://museum.example/{n}", "CC0 1.0") for n in range(3)
    ]


def test_the_documented_filters_work(tmp_path: Path, environment: dict[str, str]) -> None:
    """Each drops what it is for, under its own name, and only in datasets that ask for it."""
    fill(tmp_path / "photos", 3)
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "photos" / "blank.png")
    (tmp_path / "asked.toml").write_text(
        '[quality]\nfilters = ["no_blank_centre", "warm"]\n[[keyword]]\nname = "x"\nsource = "folder:./photos"\n'
    )
    grey = photo(7).convert("L")
    Image.merge("RGB", (grey.point(lambda level: level // 4), grey, grey)).save(tmp_path / "photos" / "cold.png")
    for words, kept, reasons in (
        (("asked.toml",), 3, {"no_blank_centre": 1, "warm": 1}),
        (("--source", "folder:./photos", "--dataset", "all"), 5, {}),
    ):
        ran = run(tmp_path, environment, "run", *words)
        assert (ran.chunks[0]["accepted"], ran.chunks[0]["rejected"]) == (kept, reasons), ran.err


def test_a_filter_that_is_not_installed_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    """Before anything is planned."""
    fill(tmp_path / "photos", 1)
    ran = run(tmp_path, environment | {"PIXCORE_FILTERS": "gone"}, "run", "--source", "folder:./photos")
    assert ran.code == 2
    assert "there is no filter 'gone'; install the package that brings it" in ran.err


def test_the_documented_layout_works(tmp_path: Path, environment: dict[str, str]) -> None:
    """An export by its name has every image; its card does not name loaders that cannot read it."""
    fill(tmp_path / "photos", 3)
    assert run(tmp_path, environment, "run", "--source", "folder:./photos", "--dataset", "mine").code == 0
    ran = run(tmp_path, environment, "export", "mine", "--format", "inline", "--out", "lines", "--shard-size", "2")
    assert (ran.code, ran.document["splits"]) == (0, {"train": 3}), ran.err
    shards = [tmp_path / f"lines/train-{number:06}.jsonl" for number in range(2)]
    lines = [line for shard in shards for line in shard.read_text().splitlines()]
    assert [json.loads(line)["row"]["url"] for line in lines] == ["0000.jpg", "0001.jpg", "0002.jpg"]
    card = (tmp_path / "lines/README.md").read_text()
    assert "Each line is a JSON object" in card
    assert "load_dataset" not in card
    unknown = run(tmp_path, environment, "export", "mine", "--format", "outline", "--out", "other")
    assert (unknown.code, unknown.out) == (2, "")
    assert "unknown layout 'outline'; use one of: imagefolder, webdataset" in unknown.err
    assert "inline" in unknown.err
