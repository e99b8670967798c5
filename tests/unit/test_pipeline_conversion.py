"""Chunks that store converted images: what is stored, what is judged, and what another attempt restores."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve
from memory_assembly import MemoryAssembly, copy, picture

from pixcore import ChunkKey, ChunkRequest, Conversion, Done, InvalidRequest, Slice
from pixcore.ports import Contents
from pixcore.stored.check import check_contents
from pixcore_adapters.converter.memory import MemoryConverter
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.validator.memory import MemoryValidator, encode

HOW = Conversion(size=20, encode="webp")  # type: ignore[arg-type] # by name, as users write it
LIST = Slice("memory", "q", 0, 10, "lists/q")


def chunk(assembly: MemoryAssembly, target: int, part: Slice = LIST) -> ChunkKey:
    """Plan a chunk that stores converted images."""
    stop = len(assembly.pictures)
    request = ChunkRequest(0, "cat", target, [evolve(part, stop=stop)], "d", store_as=HOW)
    (planned,) = assembly.status.ensure([request])
    return planned.key


def run(assembly: MemoryAssembly, key: ChunkKey, pictures: list[bytes | None] | None = None) -> Done:
    """Run a chunk to its end."""
    downloader = MemoryDownloader({"q": assembly.pictures if pictures is None else pictures})
    outcome = assembly.pipeline(converter=MemoryConverter(), downloader=downloader).run(key)
    assert isinstance(outcome, Done)
    return outcome


@contextmanager
def stored(assembly: MemoryAssembly, key: ChunkKey) -> Iterator[tuple[bytes, Contents]]:
    """Give the block a chunk's archive and its contents."""
    path = assembly.work / "copy"
    with assembly.store.open(key.blob_key(assembly.archiver.suffix)) as blob:
        path.write_bytes(blob.read())
    yield path.read_bytes(), assembly.archiver.contents(path)
    path.unlink()


def rows(assembly: MemoryAssembly, key: ChunkKey) -> list[Mapping[str, object]]:
    """Return the rows of a chunk's archive, after a check of the archive."""
    with stored(assembly, key) as (_, contents):
        found = list(contents.rows)
        assert list(check_contents(contents)) == []
    return found


def test_copies_are_stored_and_rows_keep_the_originals(tmp_path: Path) -> None:
    """The original is not stored anywhere, so its hash, its size and its hashes must be."""
    original = encode("panda", width=200, height=100, phash=7, dhash=9)
    assembly = MemoryAssembly(tmp_path / "work", [original])
    key = chunk(assembly, 1)
    result = run(assembly, key).result
    [row] = rows(assembly, key)
    with stored(assembly, key) as (_, contents):
        [(_, data)] = contents.files
    assert b'"panda as webp"' in data
    assert (row["sha256"], row["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (row["width"], row["height"], row["orientation"], row["frames"]) == (40, 20, 1, 1)
    assert (row["original_sha256"], row["original_bytes"]) == (hashlib.sha256(original).hexdigest(), len(original))
    assert (row["original_width"], row["original_height"]) == (200, 100)
    assert (row["phash"], row["dhash"]) == (f"{7:016x}", f"{9:016x}")
    assert result.kept == "0"
    assert not assembly.left()


def test_an_image_that_cannot_be_converted_is_replaced(tmp_path: Path) -> None:
    """It is rejected before the target is counted, so the next candidate takes its place."""
    assembly = MemoryAssembly(tmp_path / "work", [picture(0), b'{"picture": "no size"}', picture(2), picture(3)])
    key = chunk(assembly, 3)

    class Lenient(MemoryValidator):
        """Accepts every file, as a validator may that knows more formats than the converter."""

        def validate(self, downloads):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - as in MemoryValidator
            for download in downloads:
                data = download.path.read_bytes()
                if b"no size" in data:
                    [accepted] = super().validate([evolve(download, path=_written(tmp_path, picture(1)))])
                    yield evolve(accepted, download=download)
                else:
                    yield from super().validate([download])

    outcome = assembly.pipeline(converter=MemoryConverter(), validator=Lenient()).run(key)
    assert isinstance(outcome, Done)
    assert outcome.result.progress.accepted == 3
    assert outcome.result.progress.rejected == {"not_an_image": 1}
    assert outcome.result.rejects[0].detail.startswith("cannot be converted: ")
    assert [row["url"] for row in rows(assembly, key)] == ["memory:q/0", "memory:q/2", "memory:q/3"]


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "other"
    path.write_bytes(data)
    return path


def test_duplicates_are_judged_by_the_originals(tmp_path: Path) -> None:
    """All copies have one size, and the bytes of equal originals differ from those of their copies."""
    assembly = MemoryAssembly(tmp_path / "work", [picture(4), picture(4), picture(5), copy(5, side=400)])
    key = chunk(assembly, 4)
    result = run(assembly, key).result
    assert result.progress.rejected == {"duplicate": 1, "near_duplicate": 1}
    assert [row["original_width"] for row in rows(assembly, key)] == [100, 400]


def test_another_attempt_restores_the_copies(tmp_path: Path) -> None:
    """The originals may be gone, and a copy of a copy would lose more: archive and record stay the same."""
    assembly = MemoryAssembly(tmp_path / "work", [picture(number) for number in range(4)])
    key = chunk(assembly, 4)
    before = run(assembly, key).result
    with stored(assembly, key) as (archive, _):
        pass
    assembly.status.reopen(key)
    after = run(assembly, key, [None] * 4).result
    with stored(assembly, key) as (again, _):
        assert again == archive
    assert (after.sha256, after.kept, after.attempt) == (before.sha256, before.kept, 2)


def test_a_restored_copy_is_compared_as_its_original(tmp_path: Path) -> None:
    """A candidate that is fetched later and has the original's bytes is a duplicate, although the copy has others."""
    assembly = MemoryAssembly(tmp_path / "work", [picture(0), None, picture(2)])
    key = chunk(assembly, 3)
    assert run(assembly, key).result.progress.accepted == 2
    assembly.status.reopen(key)
    result = run(assembly, key, [None, picture(2), None]).result
    assert result.progress.rejected == {"duplicate": 1}
    assert [row["url"] for row in rows(assembly, key)] == ["memory:q/0", "memory:q/1"]


def test_a_pipeline_without_a_converter_refuses(tmp_path: Path) -> None:
    """Storing the large images instead would go unnoticed."""
    assembly = MemoryAssembly(tmp_path / "work", [picture(0)])
    with pytest.raises(InvalidRequest, match="stores converted images; run it with a converter"):
        assembly.pipeline().run(chunk(assembly, 1))
