"""Fetch archives from their store: unchanged, one at a time, without leftovers."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import pytest
from attrs import evolve
from contract.disk import no_file_above
from contract.memory import growth
from shelf import Picture, Shelf

from pixcore.errors import InvalidRequest, StoreNotFound, StoreUnavailable, WorkspaceFull
from pixcore.stored.archives import StoredArchives
from pixcore_adapters.archiver.tar import TarArchiver
from pixcore_adapters.archiver.zip import ZipArchiver
from pixcore_adapters.blob_store.local import LocalBlobStore

PICTURES = (Picture(b"one", "first"), Picture(b"two!", "second"))


@pytest.mark.parametrize("archiver", [ZipArchiver(), TarArchiver()], ids=["zip", "tar"])
def test_images_are_read_with_their_rows(archiver: ZipArchiver | TarArchiver, tmp_path: Path) -> None:
    """Every kind of archive must give its images in order."""
    shelf = Shelf(tmp_path, archiver)
    record = shelf.add(PICTURES)
    assert [(row["title"], data) for row, data in shelf.archives.images(record)] == [
        ("first", b"one"),
        ("second", b"two!"),
    ]
    assert shelf.archives.key(record) == f"cats/data/chunk_1{archiver.suffix}"


def test_an_archive_is_measured_as_stored_and_removed_after_the_block(tmp_path: Path) -> None:
    """Size and checksum must be those of the fetched file, not the recorded ones, and the file must be removed."""
    shelf = Shelf(tmp_path)
    record = shelf.add(PICTURES)
    file = tmp_path / "store/cats/data/chunk_1.zip"
    file.write_bytes(b"damaged")
    with shelf.archives.fetch(record) as archive:
        assert (archive.size, archive.sha256) == (7, hashlib.sha256(b"damaged").hexdigest())
        assert archive.path.read_bytes() == b"damaged"
    assert not list((tmp_path / "work").iterdir())


def test_images_of_a_changed_archive_are_refused(tmp_path: Path) -> None:
    """An export must not spread damaged images, and the error names the command that checks the dataset."""
    shelf = Shelf(tmp_path)
    record = shelf.add(PICTURES)
    (tmp_path / "store/cats/data/chunk_1.zip").write_bytes(b"damaged")
    with pytest.raises(InvalidRequest, match=r"chunk_1\.zip is not the archive that chunk cats/1 .*`pixcore verify`"):
        next(shelf.archives.images(record))


def test_a_chunk_without_an_archive_is_refused(tmp_path: Path) -> None:
    """The chunk was never completed, or its archiver is not installed."""
    shelf = Shelf(tmp_path)
    record = shelf.add(PICTURES)
    with pytest.raises(InvalidRequest, match=r"chunk_1\.zip is not an archive of a known kind"):
        evolve(shelf.archives, archivers=(TarArchiver(),)).key(record)
    with pytest.raises(InvalidRequest, match="chunk cats/1 has no archive"):
        shelf.archives.key(evolve(record, result=None))


def test_a_missing_blob_raises_the_stores_error(tmp_path: Path) -> None:
    """A missing blob must not be fetched again."""
    shelf = Shelf(tmp_path)
    record = shelf.add(PICTURES)
    shelf.store.delete(shelf.archives.key(record))
    with pytest.raises(StoreNotFound), shelf.archives.fetch(record):
        pass


class Shaky(LocalBlobStore):
    """A store whose first two streams break off."""

    broken = 2

    def open(self, key: str) -> BinaryIO:
        """Return a stream that raises an error after a few bytes."""
        blob = super().open(key)
        if not self.broken:
            return blob
        self.broken -= 1
        blob.read(10)
        read = blob.read

        def failing(size: int = -1) -> bytes:
            if data := read(min(size, 5)):
                return data
            raise StoreUnavailable("connection reset")

        blob.read = failing  # type: ignore[method-assign] # a file object of this test
        return blob


def test_a_fetch_that_breaks_off_is_retried_from_the_start(tmp_path: Path) -> None:
    """One broken connection must not end hours of work, and the parts of two tries must not be joined."""
    shelf = Shelf(tmp_path)
    record = shelf.add(PICTURES)
    naps: list[float] = []
    archives = StoredArchives(Shaky(tmp_path / "store"), (ZipArchiver(),), tmp_path / "work", sleep=naps.append)
    assert [data for _, data in archives.images(record)] == [b"one", b"two!"]
    assert len(naps) == 2


def test_a_full_disk_is_named_and_the_partial_file_removed(tmp_path: Path) -> None:
    """A partial archive must not stay on a full disk."""
    shelf = Shelf(tmp_path)
    record = shelf.add(PICTURES)
    with (
        no_file_above(100),
        pytest.raises(WorkspaceFull, match=f"fetching {record.chunk.key.blob_key('.zip')}: "),
        shelf.archives.fetch(record),
    ):
        pass
    assert not list((tmp_path / "work").iterdir())


def test_one_image_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """An archive may be larger than the memory."""
    shelf = Shelf(tmp_path)
    record = shelf.add([Picture(bytes([number]) * (8 << 20)) for number in range(24)])
    with growth() as grown:
        assert sum(len(data) for _, data in shelf.archives.images(record)) == 24 * (8 << 20)
    assert grown.peak < 5 * (8 << 20)
