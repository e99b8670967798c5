"""The packages that docs/extending.md tells how to write, laid out from its blocks and used as their users would."""

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

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/extending.md").read_text()
FILES = {
    name: text
    for name, _, text in re.findall(r"`(\w+)\.py`:\n\n```(python|py)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
}
(PROJECT,) = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give the environment of somebody who has installed the package of the document, with the extra for its tests."""
    project = tomllib.loads(PROJECT)["project"]
    modules = {name: FILES[name] for name in ("pixcore_onefile", "pixcore_museum")}
    site = installed(tmp_path / "site", project["name"], project["entry-points"], **modules)
    (site / "pixcore_contract").symlink_to(ROOT / "tests/contract")  # a wheel calls it so
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("PIXCORE_", "AZURE_"))}
    return theirs | {"PYTHONPATH": str(site), "PIXCORE_WORK": str(tmp_path / "work")}


def run(folder: Path, environment: dict[str, str], *words: object) -> Ran:
    """Call the command in a folder, as a process of its own."""
    command = [*PROGRAM, *map(str, words), "--quiet", "--json"]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=120
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_the_store_of_the_document_works(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every right, a dataset, the same once more without doing anything twice, and all of it whole."""
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


def test_what_the_store_of_the_document_cannot_open_is_refused(tmp_path: Path, environment: dict[str, str]) -> None:
    """With what is wrong, as a mistake in what is set up."""
    for url, complaint in {
        "onefile:./missing/blobs.db": "unable to open database file; check its permissions and its disk",
        "onefile://host/blobs.db": "names no file of this machine; write onefile:./blobs.db",
    }.items():
        ran = run(tmp_path, environment, "check", "--store", url)
        assert ran.code == 2
        assert complaint in " ".join(ran.err.split())


def test_the_contract_of_the_document_holds(tmp_path: Path, environment: dict[str, str]) -> None:
    """With nothing of this checkout but the suites; that a broken promise turns it red is the next test's matter."""
    done = contract(tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 40
    assert "skipped" not in done.stdout


def test_the_contract_of_the_document_finds_a_broken_promise(tmp_path: Path, environment: dict[str, str]) -> None:
    """And says what was compared, in the words that the rewriting of asserts gives."""
    module = tmp_path / "site/pixcore_onefile.py"
    module.write_text(
        module.read_text().replace("            _remove(database, key)\n", "", 1).replace(" ORDER BY key", "")
    )
    done = contract(tmp_path, environment, "-k", "a_listing_is_sorted_by_whole_keys or named_version_is_replaced")
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert "At index 0 diff: " in done.stdout


def contract(folder: Path, environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the document's test of the contract, with warnings as errors."""
    for name in ("conftest", "test_onefile"):
        (folder / f"{name}.py").write_text(FILES[name])
    command = (sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider")
    return subprocess.run(
        (*command, "test_onefile.py", *words),
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_source_of_the_document_works(tmp_path: Path, environment: dict[str, str]) -> None:
    """From the keyword to rows that tell what the API told."""
    with Site({f"/{n}.jpg": picture(jpeg(n)) for n in range(4)}) as site:
        told = [
            {"image": site.url(f"/{n}.jpg"), "page": f"https://museum.example/{n}", "title": f"No. {n}"}
            for n in range(4)
        ]
        site.routes["/api/search"] = answer({"pictures": [*told, {"title": "no image"}]})
        words = ("run", "red panda", "--source", "museum", "--count", 3, "--license", "cc0")
        named = environment | {"MUSEUM_API": site.url("/api/search")}
        ran = run(tmp_path, named, *words, "--allow-private-hosts", site.host, "--store", "file:./out")
        assert "/api/search?q=red+panda&page=0" in site.paths()
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [3]), ran.err
    with zipfile.ZipFile(ran.chunks[0]["url"].removeprefix("file://")) as archive:
        rows = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
    assert [(row["source"], row["title"], row["page_url"], row["license"]) for row in rows] == [
        ("museum", f"No. {n}", f"https://museum.example/{n}", "CC0 1.0") for n in range(3)
    ]
