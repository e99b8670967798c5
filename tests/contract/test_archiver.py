"""The archivers keep the contract."""

import json
import stat
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from contract.archiver import ArchiverContract, Images, image, picture
from pixcore.errors import InvalidRequest
from pixcore.model.rows import ROWS
from pixcore.ports import Archiver
from pixcore.stored.check import check_contents
from pixcore_adapters.archiver.memory import MemoryArchiver
from pixcore_adapters.archiver.tar import TarArchiver
from pixcore_adapters.archiver.zip import ZipArchiver


class TestMemoryArchiver(ArchiverContract):
    """The public test double is as strict as the real archivers."""

    @pytest.fixture
    def archiver(self) -> Archiver:
        """Return the archiver."""
        return MemoryArchiver()


class TestZipArchiver(ArchiverContract):
    """The zip archiver."""

    @pytest.fixture
    def archiver(self) -> Archiver:
        """Return the archiver."""
        return ZipArchiver()

    def test_the_layout_suits_loaders(self, images: Images, target: Path) -> None:
        """Rows are at the root, pictures in their folder; the modes let the owner read the unpacked files."""
        ZipArchiver().pack(images, target)
        with zipfile.ZipFile(target) as packed:
            assert packed.testzip() is None
            names = ["images/000000.jpg", "images/000001.jpg", "images/000002.jpg"]
            assert packed.namelist() == [*names, "metadata.parquet", ROWS]
            rows = [json.loads(line) for line in packed.open(ROWS)]
            assert [row["file_name"] for row in rows] == names
            assert pq.read_table(packed.open("metadata.parquet")).to_pylist() == rows
            assert {member.external_attr >> 16 for member in packed.infolist()} == {stat.S_IFREG | 0o644}

    def test_pictures_are_stored_not_deflated(self, images: Images, target: Path) -> None:
        """They are compressed already, and the output of deflate differs between builds of zlib."""
        ZipArchiver().pack(images, target)
        with zipfile.ZipFile(target) as packed:
            assert {member.compress_type for member in packed.infolist()} == {zipfile.ZIP_STORED}

    @pytest.mark.parametrize("rows", [b"5\n", b"[]\n", b"null\n", b"{}\n{\n", b"\xff\n", b"[" * 100_000])
    def test_rows_that_are_no_rows_are_refused(self, target: Path, rows: bytes) -> None:
        """A foreign or damaged zip must not end `verify` with a traceback."""
        with zipfile.ZipFile(target, "w") as packed:
            packed.writestr(ROWS, rows)
        with pytest.raises(InvalidRequest, match="archive is not a complete"):
            ZipArchiver().contents(target)

    def test_a_zip_without_rows_is_refused(self, target: Path) -> None:
        """Any other zip with pictures is not a chunk."""
        with zipfile.ZipFile(target, "w") as packed:
            packed.writestr("images/000000.jpg", picture(0))
        with pytest.raises(InvalidRequest, match="archive is not a complete"):
            ZipArchiver().contents(target)

    def test_a_repacked_archive_is_read(self, images: Images, target: Path, tmp_path: Path) -> None:
        """Users repack archives with other programs; the pictures are the same."""
        ZipArchiver().pack(images, tmp_path / "whole")
        repack(tmp_path / "whole", target, zipfile.ZIP_DEFLATED)
        assert list(check_contents(ZipArchiver().contents(target))) == []

    @pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_repacked_archive_that_is_damaged_is_refused(self, target: Path, tmp_path: Path, method: int) -> None:
        """Such damage appears as an error of the decompressor."""
        ZipArchiver().pack([image(tmp_path, 0, b"picture" * 99)], tmp_path / "whole")
        repack(tmp_path / "whole", target, method)
        intact = target.read_bytes()
        for place in range(0, len(intact), 3):
            damaged = bytearray(intact)
            damaged[place] ^= 0xFF
            target.write_bytes(damaged)
            with suppress(InvalidRequest):  # an unused byte may differ
                list(check_contents(ZipArchiver().contents(target)))

    @pytest.mark.parametrize("name", ["images/000000.jpg", ROWS])
    def test_a_member_that_unpacks_to_more_than_the_archive_is_not_unpacked(self, target: Path, name: str) -> None:
        """A zip of 70 kB can fill the memory: deflate shrinks zeros a thousand times."""
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed, packed.open(name, "w") as member:
            for _ in range(65):
                member.write(bytes(1 << 20))
        tracemalloc.start()
        try:
            with pytest.raises(InvalidRequest, match=rf"{name} unpacks to 68157440 bytes, more than 67108864"):
                ZipArchiver().contents(target)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()

    def test_members_that_share_bytes_of_the_file_are_refused(self, target: Path) -> None:
        """Ten thousand members may all point to one, and together unpack without end."""
        with zipfile.ZipFile(target, "w") as packed:
            packed.writestr(ROWS, b"")
            packed.writestr("images/000000.jpg", picture(0))
            again = zipfile.ZipInfo("images/000001.jpg")
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, field, getattr(packed.infolist()[1], field))
            packed.filelist.append(again)
        with pytest.raises(InvalidRequest, match=r"overlaps the member or directory behind it"):
            ZipArchiver().contents(target)

    def test_an_encrypted_member_is_refused(self, target: Path) -> None:
        """The module zipfile raises a RuntimeError for it."""
        with zipfile.ZipFile(target, "w") as packed:
            packed.writestr(ROWS, b"{}")
        data = bytearray(target.read_bytes())
        data[6] |= 1  # the flag in the local header
        data[data.index(b"PK\1\2") + 8] |= 1  # the same in the directory
        target.write_bytes(data)
        with pytest.raises(InvalidRequest, match="encrypted"):
            ZipArchiver().contents(target)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (b"{}\n" * 9, "more lines than the archive has members"),
            (json.dumps({"title": "x" * (1 << 20)}).encode(), "a row has 1048589 bytes, more than 1048576"),
            (b'{"tags": [[], []]}', "is not a row"),
        ],
        ids=["rows without pictures", "a long row", "a row of arrays"],
    )
    def test_rows_that_would_take_much_memory_are_refused(self, target: Path, rows: bytes, message: str) -> None:
        """Parsed JSON takes up to thirty times the memory of its text."""
        with zipfile.ZipFile(target, "w") as packed:
            packed.writestr(ROWS, rows)
        with pytest.raises(InvalidRequest, match=message):
            ZipArchiver().contents(target)


class TestTarArchiver(ArchiverContract):
    """The tar archiver."""

    @pytest.fixture
    def archiver(self) -> Archiver:
        """Return the archiver."""
        return TarArchiver()

    def test_a_sample_is_a_picture_and_its_row_side_by_side(self, images: Images, target: Path) -> None:
        """WebDataset groups adjacent members whose names are equal up to the first dot into a sample."""
        TarArchiver().pack(images, target)
        with tarfile.open(target) as packed:
            names = packed.getnames()
            assert names[:4] == ["images/000000.jpg", "images/000000.json", "images/000001.jpg", "images/000001.json"]
            assert {name.count(".") for name in names} == {1}
            for picture_, row in zip(names[::2], names[1::2], strict=True):
                assert json.load(packed.extractfile(row))["file_name"] == picture_
            assert {(member.mode, member.mtime, member.uid, member.uname) for member in packed} == {(0o644, 0, 0, "")}

    def test_an_archive_that_broke_off_at_a_header_is_refused(self, images: Images, target: Path) -> None:
        """The module tarfile takes an unreadable header for the end; later samples would be lost silently."""
        TarArchiver().pack(images, target)
        with tarfile.open(target) as packed:
            last = packed.getmembers()[-2].offset
        whole = target.read_bytes()
        target.write_bytes(whole[:last] + b"\xff" * 512 + whole[last + 512 :])
        with pytest.raises(InvalidRequest, match="the last readable member is followed by other data"):
            TarArchiver().contents(target)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"size": 1 << 40}, "is said to have 1099511627776 bytes, more than the archive has"),
            ({"type": tarfile.SYMTYPE, "linkname": "images/000001.jpg"}, "is not an ordinary file"),
            (
                {"pax_headers": {"GNU.sparse.major": "0", "GNU.sparse.size": f"{1 << 40}", "GNU.sparse.map": "0,0"}},
                "is not an",
            ),
        ],
        ids=["a size without bytes", "a link", "a sparse file"],
    )
    def test_a_member_that_is_larger_than_the_archive_is_refused(
        self, target: Path, changes: dict[str, object], message: str
    ) -> None:
        """The header of a member may state any size, and a sparse file unpacks to any number of zeros."""
        member = tarfile.TarInfo("images/000000.jpg")
        for name, value in changes.items():
            setattr(member, name, value)
        with target.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as packed:
            packed.addfile(member)
        with pytest.raises(InvalidRequest, match=message):
            TarArchiver().contents(target)


def repack(archive: Path, target: Path, method: int) -> None:
    """Pack an archive's members again."""
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(target, "w", method) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
