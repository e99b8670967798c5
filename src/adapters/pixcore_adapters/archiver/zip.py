"""Zip archives that Hugging Face's ``imagefolder`` loads as they are: ``metadata.jsonl`` at the root, ``images/…``."""

import json
import shutil
import zipfile
import zlib
from collections.abc import Generator, Iterable
from pathlib import Path

from attrs import frozen

from pixcore.model.archives import Archive
from pixcore.model.rows import METADATA, Row, metadata
from pixcore.ports import Contents
from pixcore_adapters.archiver import as_row, new_archive, reading

# The first moment that the format can name: real times would make every archive different.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_PIECE = 1 << 20  # bytes: nearly every picture is read and written at once

# We store; people who repack deflate. Other methods are not in every Python, and fail in ways of their own.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error)


@frozen
class ZipArchiver:
    """Packs and reads zip archives. Members are stored, never deflated.

    Pictures are compressed already, and what deflate makes of the rest differs between builds of zlib.
    """

    suffix: str = ".zip"
    content_type: str = "application/zip"

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """See ``pixcore.ports.Archiver``."""
        rows: list[Row] = []
        with new_archive(target) as made:
            with zipfile.ZipFile(made.file, "w", allowZip64=True) as archive:
                for row, path in images:
                    rows.append(row)
                    with path.open("rb", buffering=0) as source, archive.open(_member(row.file_name), "w") as member:
                        shutil.copyfileobj(source, member, _PIECE)
                    made.settle()  # zipfile writes a member's header once more at its end, and never after
                archive.writestr(_member(METADATA), metadata(rows))
            made.settle()
        return made.described(target, len(rows))

    def contents(self, archive: Path) -> Contents:
        """See ``pixcore.ports.Archiver``."""
        with reading(archive, *_DAMAGE), zipfile.ZipFile(archive) as packed:
            lines = _bytes(packed, packed.getinfo(METADATA)).splitlines()
            return Contents(rows=tuple(as_row(json.loads(line)) for line in lines), files=_files(archive))


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix, wherever it is made, so that the mode below counts
    info.external_attr = 0o100644 << 16
    return info


def _files(archive: Path) -> Generator[tuple[str, bytes]]:
    with reading(archive, *_DAMAGE), zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if member.filename != METADATA:
                yield member.filename, _bytes(packed, member)


def _bytes(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in _METHODS:
        raise zipfile.BadZipFile(f"{member.filename} is neither stored nor deflated")
    return packed.read(member)
