"""Tar archives in WebDataset's layout: ``images/000000.jpg`` followed by its row ``images/000000.json``.

Every image is a ``.jpg``, whatever its format, and its row names it so: loaders need the same extensions in every
sample, and decode by content. Archives of version 1 have the extension of each image's format.
"""

import io
import json
import os
import tarfile
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from attrs import frozen

from pixcore.model.archives import Archive
from pixcore.model.rows import Row
from pixcore.ports import Contents
from pixcore_adapters.archiver import new_archive, parsed_row, read_errors

_IMAGE, _ROW = ".jpg", ".json"
_VERSION = 2
_BLOCK = 1 << 20  # bytes


@frozen
class TarArchiver:
    """Pack and read uncompressed tar archives in POSIX's ``ustar`` format."""

    suffix: str = ".tar"
    content_type: str = "application/x-tar"

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """See ``pixcore.ports.Archiver``."""
        images_packed = 0
        with new_archive(target) as output:
            with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                for row, path in images:
                    images_packed += 1
                    with path.open("rb") as source:
                        name = PurePosixPath(row.file_name).with_suffix(_IMAGE)
                        _add(archive, str(name), path.stat().st_size, source)
                    text = json.dumps({**row.values(), "file_name": str(name)}, ensure_ascii=False).encode()
                    _add(archive, str(name.with_suffix(_ROW)), len(text), io.BytesIO(text))
                    output.commit()
            output.commit()
        return output.archive(target, images_packed, _VERSION)

    def contents(self, archive: Path) -> Contents:
        """See ``pixcore.ports.Archiver``."""
        with read_errors(tarfile.TarError), archive.open("rb") as file:
            return Contents(rows=tuple(_rows(file)), files=_files(archive))


def _add(archive: tarfile.TarFile, name: str, size: int, source: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)  # its defaults (no owner, time 0) give the same bytes on every day and machine
    member.size = size
    archive.addfile(member, source)


def _members(file: IO[bytes]) -> Generator[tuple[str, bytes]]:
    """Yield each member's name and bytes, in order.

    Raises:
        tarfile.TarError: A member is not a file, or what follows the last member is not a correct end. tarfile itself
            stops silently at a header that it cannot read.
    """
    end = os.fstat(file.fileno()).st_size
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if not member.isreg() or member.issparse():  # a sparse file may unpack to any size
                raise tarfile.ReadError(f"{member.name} is not an ordinary file")
            if member.offset_data + member.size > end:
                raise tarfile.ReadError(f"{member.name} is said to have {member.size} bytes, more than the archive has")
            with archive.extractfile(member) or io.BytesIO() as data:  # None only for other types
                yield member.name, data.read()
        file.seek(archive.offset)
    padding = 0
    while block := file.read(_BLOCK):
        padding += len(block)
        if block.strip(b"\0"):
            raise tarfile.ReadError("the last readable member is followed by other data")
    if padding < 2 * tarfile.BLOCKSIZE or file.tell() % tarfile.RECORDSIZE:
        raise tarfile.ReadError("its end is missing")


def _rows(file: IO[bytes]) -> Generator[Mapping[str, object]]:
    for name, data in _members(file):
        if name.endswith(_ROW):
            yield parsed_row(data)


def _files(archive: Path) -> Generator[tuple[str, bytes]]:
    with read_errors(tarfile.TarError), archive.open("rb") as file:
        for name, data in _members(file):
            if not name.endswith(_ROW):
                yield name, data
