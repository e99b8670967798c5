"""`pixcore apply`: archives follow decisions and changed rules, from what is stored."""

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command import at_home, fill, pixcore
from hostile import Site
from hostile import picture as served
from pictures import encoded, photo
from stores import real_store

from pixcore import Status
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.settings import load_here

if TYPE_CHECKING:
    from servers.addresses import S3

SMALL, USUAL = 55, 70  # widths of pictures


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    at_home(tmp_path, monkeypatch)
    return tmp_path


def assembly() -> Assembly:
    """Return what the settings here name."""
    return assemble(load_here(flags={}, config=None).settings)


def archives(dataset: str) -> dict[str, dict[str, Any]]:
    """Read the images of all archives: by sha256, the archive, the row without the changing columns, and the label."""
    found = {}
    for path in sorted(Path("pixcore-data/blobs", dataset, "data").iterdir()):
        with zipfile.ZipFile(path) as archive:
            for line in archive.read("rows.jsonl").decode().splitlines():
                row = json.loads(line)
                sha256 = hashlib.sha256(archive.read(row.pop("file_name"))).hexdigest()
                assert sha256 == row["sha256"]
                found[sha256] = {"archive": path.name, "label": row.pop("label"), "row": row}
    return found


@pytest.fixture
def site() -> Iterator[Site]:
    """Yield a site with 300 small pictures; every tenth is narrower."""
    pictures = {n: encoded(photo(n, SMALL if n % 10 == 0 else USUAL, USUAL)) for n in range(300)}
    with Site({f"/{n}.jpg": served(data) for n, data in pictures.items()}) as site:
        yield site


def test_exactly_the_decisions_and_the_new_rule_change_three_hundred_images(site: Site) -> None:
    """A curator throws images out, corrects labels and raises a limit: that, nothing else, and without the server."""
    Path("cats.txt").write_text("".join(f"{site.url(f'/{n}.jpg')}\n" for n in range(300)))
    run = ("run", "--source", "urls:cats.txt", "--chunk-size", 100, "--allow-private-hosts", site.host, "--near", "off")
    assert pixcore(*run).code == 0
    before = archives("cats")
    assert len(before) == 300
    usual = [sha256 for sha256, each in before.items() if each["row"]["width"] == USUAL]
    excluded, relabelled = usual[3:103:20], usual[100:120:2]
    assert pixcore("exclude", "cats", *excluded, "--by", "ann", "--reason", "a dog").code == 0
    assert pixcore("relabel", "cats", "lynx", *relabelled, "--by", "ann").code == 0
    site.requests.clear()

    told = pixcore(*run, "--min-width", 60)
    assert told.err.splitlines()[0].endswith("to every stored image: pixcore apply cats --min-width 60")
    assert "no chunk is left" not in told.err
    planned = pixcore("apply", "cats", "--min-width", 60, "--dry-run")
    assert (planned.code, archives("cats")) == (0, before)
    applied = pixcore("apply", "cats", "--min-width", 60)
    assert (applied.code, applied.out) == (0, planned.out)
    totals = "removed: 35 (30 too_small, 5 excluded by ann on"
    assert any(line.startswith(totals) and "relabelled: 10" in line for line in applied.out.splitlines())
    after = archives("cats")
    small = {sha256 for sha256, each in before.items() if each["row"]["width"] == SMALL}
    assert before.keys() - after.keys() == small | set(excluded)
    assert after == {
        sha256: {**before[sha256], "label": "lynx" if sha256 in relabelled else before[sha256]["label"]}
        for sha256 in before
        if sha256 not in small | set(excluded)
    }
    assert (pixcore("verify", "cats").code, pixcore("status", "cats", "--json").chunks[0]["accepted"]) == (0, 85)
    again = pixcore("apply", "cats", "--min-width", 60, "--json")
    assert (again.code, [each["rebuilt"] for each in again.chunks]) == (0, [False] * 3)
    assert again.err.endswith("its archives follow the rules and decisions; nothing was rebuilt\n")
    assert site.requests == []


def test_a_list_fills_what_was_removed(site: Site) -> None:
    """With --fill, unclaimed candidates take the places; images that are stored are not fetched again."""
    Path("cats.txt").write_text("".join(f"{site.url(f'/{n}.jpg')}\n" for n in range(1, 10)))
    allowed = ("--allow-private-hosts", site.host)
    assert pixcore("run", "--source", "urls:cats.txt", "--count", 6, "--near", "off", *allowed).code == 0
    first = next(iter(archives("cats")))
    pixcore("exclude", "cats", first, "--by", "ann")
    site.requests.clear()
    applied = pixcore("apply", "cats", "--fill", *allowed)
    assert applied.code == 0
    assert "chunks run again: 1, images added: 1" in applied.err
    assert (len(archives("cats")), first in archives("cats")) == (6, False)
    assert {"/7.jpg"} <= set(site.paths()) <= {"/7.jpg", "/8.jpg", "/9.jpg", "/robots.txt"}
    assert pixcore("verify", "cats").code == 0


def test_chunks_that_cannot_be_rebuilt_are_named_and_the_others_go_on(home: Path) -> None:
    """A missing archive, a damaged one or a worker must neither stop the rest nor cost an image."""
    fill(home / "photos", 12)
    Path("cats.toml").write_text(
        'dataset = "cats"\nchunk_size = 3\nsource = ["folder:photos"]\n[[keyword]]\nname = "cat"\n'
    )
    assert pixcore("run", "cats.toml").code == 0
    before = archives("cats")
    pixcore("exclude", "cats", *list(before)[::3], "--by", "ann")
    records = list(assembly().status.find("cats"))
    data = home / "pixcore-data/blobs/cats/data"
    (data / "chunk_1.zip").unlink()
    (data / "chunk_2.zip").write_bytes(b"damaged")
    assembly().status.reopen(records[2].chunk.key)
    assembly().status.claim(records[2].chunk.key, "a worker", 600.0)
    applied = pixcore("apply", "cats")
    assert applied.code == 3
    lines = applied.err.splitlines()
    assert [line.partition(": ")[0] for line in lines[-4:-1]] == ["chunk 1", "chunk 2", "chunk 3"]
    assert "is missing" in lines[-4]
    assert "is not the blob that was recorded" in lines[-3]
    assert "a worker holds the chunk" in lines[-2]
    assert [each.result.progress.accepted for each in assembly().status.find("cats") if each.result] == [3, 3, 3, 2]
    assert pixcore("apply", "dogs").code == 2
    assert pixcore("apply", "cats.toml", "--min-width", 60).code == 2
    assert pixcore("apply", "cats", "--drop", "ugly").code == 2


@pytest.mark.parametrize("server", ["moto", "swift"])
def test_a_store_on_a_server_replaces_or_keeps_the_archive(
    home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """S3 replaces archives by their ETags; Swift cannot replace, so the former archive stays, and the user is told."""
    address: S3 = request.getfixturevalue(server)
    real = real_store(address, f"cats-{uuid.uuid4().hex[:12]}")
    real.enter(monkeypatch)
    monkeypatch.setenv("PIXCORE_STORE", real.url)
    fill(home / "photos", 4)
    ran = pixcore("run", "--source", "folder:photos", "--create-container", "--keep-rejected", "--json")
    assert ran.code == 0
    row = next(assembly().archives.images(next(iter(assembly().status.find("photos")))))[0]
    pixcore("exclude", "photos", row["sha256"], "--by", "ann")
    applied = pixcore("apply", "photos")
    (record,) = assembly().status.find("photos")
    assert record.result is not None
    assert record.status is Status.COMPLETED
    if server == "moto":
        assert (applied.code, record.result.progress.accepted) == (0, 3)
        pixcore("include", "photos", row["sha256"], "--by", "ann")
        assert pixcore("apply", "photos").code == 0
        (record,) = assembly().status.find("photos")
        assert record.result is not None
        assert record.result.sha256 == ran.chunks[0]["sha256"]
    else:
        assert (applied.code, record.result.sha256) == (3, ran.chunks[0]["sha256"])
        assert "replace" in applied.err.splitlines()[-2]
    assert pixcore("verify", "photos").code == 0


KILLED = """
import os, signal, sys
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
from pixcore_adapters.archiver import zip
from pixcore_adapters.outputs.card import counts, croissant, readme
from pixcore_adapters.validator import pillow
from pixcore_runners.cli import apply, main

calls, last = 0, 0

def step():
    global calls
    calls += 1
    if calls == last:
        os.kill(os.getpid(), signal.SIGKILL)

def counted(method):
    def call(*args, **kwargs):
        step()
        answer = method(*args, **kwargs)
        step()
        return answer
    return call

for kind, names in {
    LocalBlobStore: ("head", "open", "put", "take_over"),
    SqlStatusRepo: ("_apply",),
    SqlSeenImages: ("hold", "keep", "release"),
}.items():
    for name in names:
        setattr(kind, name, counted(getattr(kind, name)))
sys.argv[1:] = ["apply", "photos", "--quiet"]

for line in sys.stdin:
    last = int(line)
    child = os.fork()
    if not child:
        sys.stdout = open(os.devnull, "w")
        main()
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_archive_or_the_new_one(home: Path) -> None:
    """SIGKILL leaves no chance to clean up: the archive is one of the two, and the next call finishes."""
    fill(home / "photos", 4)
    assert pixcore("run", "--source", "folder:photos", "--keep-rejected", "--near", "off").code == 0
    archive = home / "pixcore-data/blobs/photos/data/chunk_1.zip"
    first = next(iter(archives("photos")))

    def state() -> str:
        return hashlib.sha256(archive.read_bytes()).hexdigest()

    with subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def apply(last: int = 0) -> int:
            """Apply, and kill the process at that step; never if it is 0. Return the status of the process."""
            with sqlite3.connect("pixcore-data/status.db") as database:
                database.execute("UPDATE pixcore_chunks SET lease_expires_at = 0")
            print(last, file=process.stdin, flush=True)
            return int(process.stdout.readline())

        states = {"include": state()}
        pixcore("exclude", "photos", first, "--by", "ann")
        assert apply() == 0
        states["exclude"] = state()
        met: list[tuple[str, bool]] = []
        decision, killed, step = "include", signal.SIGKILL.value, 2
        while killed == signal.SIGKILL:
            before = state()
            pixcore(decision, "photos", first, "--by", "ann")
            killed = apply(step)
            assert state() in (before, states[decision])
            met.append((decision, state() == before))
            assert apply() == 0
            assert state() == states[decision]
            decision, step = ("exclude" if decision == "include" else "include"), step + 4
        process.stdin.close()
    assert len(met) >= 20
    assert {is_old for _, is_old in met} == {True, False}
    assert pixcore("verify", "photos").code == 0
