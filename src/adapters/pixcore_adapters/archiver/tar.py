"""Tar archives as WebDataset reads them: ``images/000000.jpg`` and its row ``images/000000.json`` side by side."""

import io
import json
import tarfile
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from attrs import asdict, frozen

from pixcore.model.archives import Archive
from pixcore.model.rows import Row
from pixcore.ports import Contents
from pixcore_adapters.archiver import as_row, new_archive, reading

_ROW = ".json"
_PIECE = 1 << 20


@frozen
class TarArchiver:
    """Packs and reads tar archives, uncompressed, in the plain format of POSIX (``ustar``)."""

    suffix: str = ".tar"
    content_type: str = "application/x-tar"

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """See ``pixcore.ports.Archiver``."""
        number = 0
        with new_archive(target) as made:
            with tarfile.open(fileobj=made.file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                for row, path in images:
                    number += 1
                    with path.open("rb") as source:
                        _add(archive, row.file_name, path.stat().st_size, source)
                    text = json.dumps(asdict(row), ensure_ascii=False).encode()
                    _add(archive, _row_of(row.file_name), len(text), io.BytesIO(text))
                    made.settle()
            made.settle()
        return made.described(target, number)

    def contents(self, archive: Path) -> Contents:
        """See ``pixcore.ports.Archiver``."""
        with reading(archive, tarfile.TarError), archive.open("rb") as file:
            return Contents(rows=tuple(_rows(file)), files=_files(archive))


def _row_of(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(_ROW))


def _add(archive: tarfile.TarFile, name: str, size: int, source: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)  # nobody's, at the epoch's beginning: the same on every day and machine
    member.size = size
    archive.addfile(member, source)


def _members(file: IO[bytes]) -> Generator[tuple[str, bytes]]:
    """Every member with its bytes.

    Raises:
        tarfile.TarError: Something is behind the last one; tarfile ends quietly at a header that it cannot read.
    """
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            data = archive.extractfile(member)
            if data is None:
                raise tarfile.ReadError(f"{member.name} is no file")
            yield member.name, data.read()
        file.seek(archive.offset)
    rest = 0
    while piece := file.read(_PIECE):
        rest += len(piece)
        if piece.strip(b"\0"):
            raise tarfile.ReadError("what follows its last member is no member")
    if rest < 2 * tarfile.BLOCKSIZE or file.tell() % tarfile.RECORDSIZE:
        raise tarfile.ReadError("its end is missing")


def _rows(file: IO[bytes]) -> Generator[Mapping[str, object]]:
    for name, data in _members(file):
        if name.endswith(_ROW):
            yield as_row(json.loads(data))


def _files(archive: Path) -> Generator[tuple[str, bytes]]:
    with reading(archive, tarfile.TarError), archive.open("rb") as file:
        for name, data in _members(file):
            if not name.endswith(_ROW):
                yield name, data
