"""Zip archives that Hugging Face's ``imagefolder`` loads directly: ``metadata.parquet`` at the root and ``images/…``.

``rows.jsonl`` has the same rows, for pixcore and for people. Archives of version 1 have them in ``metadata.jsonl``
instead, from which loaders infer types: dates in a column of text become timestamps.
"""

import struct
import zipfile
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

from attrs import frozen

from pixcore.model.archives import Archive
from pixcore.model.rows import COLUMN_TYPES, ROWS, Row, metadata
from pixcore.ports import Contents
from pixcore_adapters.archiver import most_unpacked, new_archive, parsed_row, read_errors
from pixcore_adapters.row_table import row_table

_TABLE = "metadata.parquet"
_FORMER_ROWS = "metadata.jsonl"
_VERSION = 2

# The earliest time that the format can hold. Real times would give each archive other bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)

# pixcore stores members; tools that repack an archive often deflate them. Other methods are missing in some builds of
# Python, and raise other exceptions.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error)

_HEADER = struct.Struct("<4s5H3L2H")  # the local header before each member, without its name
_ALL_MEMBERS = 10


@frozen
class ZipArchiver:
    """Pack and read zip archives. Members are stored, never deflated.

    Pictures are already compressed, and deflated rows would differ between builds of zlib.
    """

    suffix: str = ".zip"
    content_type: str = "application/zip"

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """See ``pixcore.ports.Archiver``."""
        rows: list[Row] = []
        with new_archive(target) as output:
            with zipfile.ZipFile(output, "w", allowZip64=True) as archive:
                for row, path in images:
                    rows.append(row)
                    archive.writestr(_member(row.file_name), path.read_bytes())
                    output.commit()  # safe: zipfile writes a member's header again only when the member is complete
                with archive.open(_member(_TABLE), "w") as member:
                    _write_table(member, rows)
                archive.writestr(_member(ROWS), metadata(rows))
            output.commit()
        return output.archive(target, len(rows), _VERSION)

    def contents(self, archive: Path) -> Contents:
        """See ``pixcore.ports.Archiver``."""
        with _opened(archive) as packed:
            names = packed.namelist()
            if _TABLE in names:
                _read(packed, packed.getinfo(_TABLE))  # raises if it is damaged
            rows = ROWS if ROWS in names else _FORMER_ROWS
            lines = _read(packed, packed.getinfo(rows))
            if lines.count(b"\n") > len(names):
                raise zipfile.BadZipFile(f"{rows} has more lines than the archive has members")
            return Contents(rows=tuple(map(parsed_row, BytesIO(lines))), files=_files(archive))


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix on every machine, so that readers use the mode below
    info.external_attr = 0o100644 << 16
    return info


def _write_table(file: IO[bytes], rows: Sequence[Row]) -> None:
    columns = COLUMN_TYPES
    if rows:
        columns = {name: "integer" if isinstance(value, int) else "string" for name, value in rows[0].values().items()}
    with row_table(file, columns) as table:
        for row in rows:
            table.add(row.values())


@contextmanager
def _opened(archive: Path) -> Generator[zipfile.ZipFile]:
    """Open an archive whose members are bounded and do not overlap."""
    with read_errors(*_DAMAGE), zipfile.ZipFile(archive) as packed:
        _check_members(packed.infolist(), most_unpacked(archive), packed.start_dir)
        yield packed


def _files(archive: Path) -> Generator[tuple[str, bytes]]:
    with _opened(archive) as packed:
        for member in packed.infolist():
            if member.filename not in (_TABLE, ROWS, _FORMER_ROWS):
                yield member.filename, _read(packed, member)


def _check_members(members: Sequence[zipfile.ZipInfo], most: int, end: int) -> None:
    """Check the members by the directory of the archive, before anything is unpacked.

    Raises:
        zipfile.BadZipFile: A member is neither stored nor deflated, or may unpack to more than ``most`` bytes, all
            together to more than ten times as many, or two members use the same bytes of the file.
    """
    for member in members:
        if member.compress_type not in _METHODS:
            raise zipfile.BadZipFile(f"{member.filename} is neither stored nor deflated")
        if member.file_size > most:
            raise zipfile.BadZipFile(f"{member.filename} unpacks to {member.file_size} bytes, more than {most}")
    if (together := sum(member.file_size for member in members)) > _ALL_MEMBERS * most:
        raise zipfile.BadZipFile(f"its members unpack to {together} bytes, more than {_ALL_MEMBERS * most}")
    for member in sorted(members, key=lambda member: member.header_offset, reverse=True):
        if member.header_offset + _HEADER.size + member.compress_size > end:
            raise zipfile.BadZipFile(f"{member.filename} overlaps the member or directory behind it")
        end = member.header_offset


def _read(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with packed.open(member) as file:
        # never more than the directory says, whatever the compressed data hold
        return file.read(member.file_size)
