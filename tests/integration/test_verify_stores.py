"""Verify, repair and export on real servers: blobs that were swapped in a bucket are found and replaced."""

import hashlib
import uuid
from pathlib import Path

import pytest
from command import at_home, files, fill, pixcore
from stores import real_store

from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.settings import load_here

RUN = ("run", "--source", "folder:photos", "--chunk-size", "3", "--json", "--quiet")


@pytest.mark.parametrize("kind", ["azurite", "moto"])
def test_swapped_blobs_in_a_bucket(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each blob's metadata names the other chunk, but both must be replaced."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 6)
    real = real_store(request.getfixturevalue(kind), f"cats-{uuid.uuid4().hex[:12]}")
    real.enter(monkeypatch)
    where = ("--store", real.url)
    first = pixcore(*RUN, *where, "--create-container")
    assert first.code == 0
    assert pixcore("verify", "photos", *where, "--quiet").out == "archives: 2, images: 6, faults: 0\n"

    store = assemble(load_here(flags={"store": real.url}).settings).store
    one, other = store.list("photos/data")
    for blob in (one, other):
        with store.open(blob.key) as file:
            (tmp_path / blob.sha256).write_bytes(file.read())
    for old, new in ((one, other), (other, one)):
        store.put(
            old.key,
            tmp_path / new.sha256,
            sha256=new.sha256,
            size=new.size,
            content_type=new.content_type,
            metadata=new.metadata,
            replacing=old.etag,
        )
    ran = pixcore("verify", "photos", *where, "--repair", "--json")
    assert (ran.code, ran.document["reopened"]) == (3, [1, 2])
    assert [fault["fault"] for fault in ran.document["faults"]] == [
        "is the archive of chunk photos/2",
        "is the archive of chunk photos/1",
    ]
    assert pixcore(*RUN, *where).code == 0
    assert pixcore("verify", "photos", *where, "--quiet").out == "archives: 2, images: 6, faults: 0\n"
    assert pixcore("export", "photos", *where, "--format", "imagefolder", "--out", "out", "--quiet").code == 0
    exported = {hashlib.sha256((tmp_path / "out" / name).read_bytes()).digest() for name in files(tmp_path / "out")}
    collected = {hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "photos").iterdir()}
    assert collected < exported
