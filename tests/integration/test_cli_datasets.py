"""Whole datasets by the command: listed, copied, renamed, moved with their project and deleted."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from command import at_home, fill, pixcore
from databases import new_name
from stores import real_store

from pixcore.model.chunks import ChunkKey
from pixcore.stored.moving import Mover
from pixcore.stored.removal import rename_dataset
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.settings import load_here


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to a folder with photographs of cats and dogs."""
    home = tmp_path / "home"
    home.mkdir()
    at_home(home, monkeypatch)
    (home / "photos").mkdir()
    fill(home / "photos/cat", 4)
    fill(home / "photos/dog", 3, first=4)


def use_servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a new bucket of S3 and a new database of PostgreSQL."""
    real = real_store(request.getfixturevalue("moto"), f"things-{uuid.uuid4().hex[:12]}")
    real.enter(monkeypatch)
    server = request.getfixturevalue("postgres")
    name = new_name()
    with closing(psycopg.connect(server.url(driver="postgresql"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    monkeypatch.setenv("PGPASSWORD", server.password)
    monkeypatch.setenv("PIXCORE_STATUS", f"postgresql+psycopg://{server.user}@127.0.0.1:{server.port}/{name}")
    monkeypatch.setenv("PIXCORE_STORE", real.url)


def collect() -> None:
    """Collect the photographs in three chunks."""
    words = ("--dataset", "pets", "--chunk-size", 3, "--json", "--create-container")
    ran = pixcore("run", "--source", "folder:./photos", *words)
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [3, 3, 1])


def here() -> Assembly:
    """Return the adapters of the current settings."""
    return assemble(load_here(flags={}).settings)


def listed() -> dict[str, tuple[str, int, int]]:
    """Return the state, the number of chunks and that of images of every dataset."""
    found = pixcore("list", "--format", "json").document["datasets"]
    return {one["dataset"]: (one["state"], sum(one["chunks"].values()), one["images"]) for one in found}


def blobs(name: str, assembly: Assembly | None = None) -> set[str]:
    """Return the keys below a name."""
    return {blob.key for blob in (assembly or here()).store.list(name)}


class Killed(Exception):
    """The process ends here."""


class Killing:
    """A port that ends the process instead of making a certain call."""

    def __init__(self, port: object, calls: Iterator[int], last: int) -> None:
        self._port, self._calls, self._last = port, calls, last

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the port
        value = getattr(self._port, name)

        def call(*args: object, **options: object) -> object:
            if next(self._calls) == self._last:
                raise Killed
            return value(*args, **options)

        return call


def renamed_under_faults(made: Assembly, name: str, other: str, every: int) -> str:
    """Interrupt a rename at every so many calls of store and database, finish it, and go on back; return the last name.

    There is one whole dataset after each interruption, and nothing below the old name after each end. The unit test of
    renames interrupts at every call, with ports in memory.
    """
    step = 1
    while True:
        calls = count(1)
        store: Any = Killing(made.store, calls, step)
        datasets: Any = Killing(made.datasets, calls, step)
        whole = Mover(made.store, made.status.identity)
        try:
            mover = Mover(store, made.status.identity, at_once=1)
            rename_dataset(name, other, mover=mover, status=made.status, datasets=datasets)
        except Killed:
            (found,) = (one.name for one in made.datasets.summaries() if one.images == 3)
            archives = {record.chunk.key.blob_key(".zip") for record in made.status.find(found)}
            assert archives == {blob.key for blob in made.store.list(f"{found}/data")}
            if found == name or made.datasets.changes():
                rename_dataset(name, other, mover=whole, status=made.status, datasets=made.datasets)
            assert (blobs(name, made), made.datasets.changes()) == (set(), [])
            name, other = other, name
        else:
            assert step > 2 * every
            return other
        step += every


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize("where", ["files", "servers"])
def test_a_dataset_is_copied_renamed_and_deleted(
    where: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each result verifies clean and can be used like a dataset that was collected; nothing of it stays in the end."""
    if where == "servers":
        use_servers(request, monkeypatch)
    collect()
    made = here()
    assert listed() == {"pets": ("complete", 3, 7)}
    ran = pixcore("copy", "pets", "dogs", "--where", "label=dog", "--where", "width>=64", "--json")
    assert (ran.code, ran.document["images"], ran.document["chunks"]) == (0, 3, 2)
    assert pixcore("delete", "pets", "--yes").code == 0
    assert (listed(), blobs("pets", made)) == ({"dogs": ("complete", 2, 3)}, set())
    last = renamed_under_faults(made, "dogs", "wolves", every=5 if where == "files" else 12)
    assert pixcore("rename", last, "hounds").code == 0
    assert (listed(), blobs("dogs", made)) == ({"hounds": ("complete", 2, 3)}, set())
    assert {"hounds/README.md", "hounds/croissant.json"} < blobs("hounds", made)
    assert pixcore("verify", "hounds").out == "archives: 2, images: 3, faults: 0\n"
    assert pixcore("outcomes", "hounds", "--json").document["counts"] == {"accepted": 3}
    assert pixcore("export", "hounds", "--format", "csv", "--out", tmp_path / "out").code == 0
    assert len((tmp_path / "out/train.csv").read_text().splitlines()) == 4
    assert pixcore("report", "hounds", "--out", tmp_path / "page.html").code == 0
    status = made.status
    status.reopen(next(status.find("hounds")).chunk.key)
    again = pixcore("run", "--source", "folder:./photos", "--dataset", "hounds", "--json")
    assert (again.code, [chunk["accepted"] for chunk in again.chunks[:2]]) == (0, [2, 1])
    assert pixcore("delete", "hounds", "--yes").code == 0
    assert (listed(), blobs("hounds", made)) == ({}, set())
    assert blobs("", made) == {"pixcore-store.json"}


@pytest.mark.usefixtures("pets")
def test_an_interrupted_rename_is_shown_and_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store fails while the old blobs are deleted. The dataset is whole, and no other command disturbs it."""
    collect()

    delete = LocalBlobStore.delete

    def fail(store: LocalBlobStore, key: str) -> None:
        if key.startswith("pets/"):
            raise KeyboardInterrupt
        delete(store, key)

    with monkeypatch.context() as broken:
        broken.setattr(LocalBlobStore, "delete", fail)
        assert pixcore("rename", "pets", "animals").code == 130
    assert listed() == {"animals": ("complete", 3, 7), "pets": ("renaming", 0, 0)}
    ran = pixcore("list")
    assert ran.err == "dataset pets is being renamed to animals; finish it with `pixcore rename pets animals`\n"
    for words in (("delete", "animals", "--yes"), ("rename", "animals", "x"), ("copy", "animals", "x")):
        refused = pixcore(*words)
        assert (refused.code, refused.err.splitlines()[-1]) == (2, f"pixcore: {ran.err.strip()}")
    assert blobs("pets")
    assert pixcore("rename", "pets", "animals").code == 0
    assert (blobs("pets"), pixcore("list").err) == (set(), "")
    assert pixcore("verify", "animals").code == 0


@pytest.mark.usefixtures("pets")
def test_what_cannot_be_done_is_one_line_and_loses_nothing() -> None:
    """Unknown datasets, names that are taken or invalid, workers at work, and no answer to the question."""
    collect()
    before = blobs("pets")
    status = here().status
    assert pixcore("copy", "pets", "others").code == 0
    for words, message in (
        (("delete", "cats", "--yes"), "no dataset 'cats' in the status database; `pixcore list` shows what it holds"),
        (("rename", "cats", "dogs"), "no dataset 'cats' in the status database; `pixcore list` shows what it holds"),
        (("copy", "cats", "dogs"), "no dataset 'cats' in the status database; it holds: others, pets"),
        (("rename", "pets", "others"), "dataset 'others' exists already; choose another name, or delete it first"),
        (("rename", "pets", "../x"), "dataset name '../x' cannot be used; take 1 to 100 letters, digits, '_', '.' or "),
        (("copy", "pets", "x", "--where", "size=3"), "'size=3': there is no column 'size'; use one of: aspect, "),
        (("delete", "pets"), "this would delete dataset pets with its 7 images, "),
    ):
        ran = pixcore(*words, "--quiet")
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert ran.err.startswith(f"pixcore: {message}")
    key: ChunkKey = next(status.find("pets")).chunk.key
    status.reopen(key)
    status.claim(key, "somebody", 60.0)
    for words in (("delete", "pets", "--yes"), ("rename", "pets", "animals")):
        ran = pixcore(*words)
        assert (ran.code, ran.err.startswith("pixcore: workers hold 1 chunks of dataset pets; wait until")) == (2, True)
    assert (blobs("pets"), listed()["pets"]) == (before, ("running", 3, 7))


def test_a_project_may_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the project is found again: what was planned goes on, and nothing is collected twice."""
    home = tmp_path / "home"
    home.mkdir()
    at_home(home, monkeypatch)
    fill(home / "photos", 4)
    words = ("run", "--source", "folder:./photos", "--chunk-size", 2, "--json", "--quiet")
    assert len(pixcore(*words).chunks) == 2
    here().status.reopen(ChunkKey("photos", 2))
    moved = home.rename(tmp_path / "moved")
    monkeypatch.chdir(moved)
    monkeypatch.setenv("PIXCORE_WORK", str(moved / "work"))
    fill(moved / "photos", 1, first=4)
    again = pixcore(*words)
    assert (again.code, [chunk["accepted"] for chunk in again.chunks]) == (0, [2, 2, 1])
    assert [chunk["attempt"] for chunk in again.chunks] == [1, 2, 1]
    assert pixcore("verify", "photos").out == "archives: 3, images: 5, faults: 0\n"
