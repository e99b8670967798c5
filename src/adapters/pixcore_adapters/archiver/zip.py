"""Zip archives that Hugging Face's ``imagefolder`` loads directly: ``metadata.jsonl`` at the root and ``images/…``."""

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
from pixcore_adapters.archiver import as_row, new_archive, read_errors

# The earliest time that the format can hold. Real times would give each archive other bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_BLOCK = 1 << 20  # bytes; most pictures fit into one block

# pixcore stores members; tools that repack an archive often deflate them. Other methods are missing in some builds of
# Python, and raise other exceptions.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error)


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
            with zipfile.ZipFile(output.file, "w", allowZip64=True) as archive:
                for row, path in images:
                    rows.append(row)
                    with path.open("rb", buffering=0) as source, archive.open(_member(row.file_name), "w") as member:
                        shutil.copyfileobj(source, member, _BLOCK)
                    output.hash_written()  # safe: zipfile rewrites a member's header only when the member is closed
                archive.writestr(_member(METADATA), metadata(rows))
            output.hash_written()
        return output.archive(target, len(rows))

    def contents(self, archive: Path) -> Contents:
        """See ``pixcore.ports.Archiver``."""
        with read_errors(archive, *_DAMAGE), zipfile.ZipFile(archive) as packed:
            lines = _read(packed, packed.getinfo(METADATA)).splitlines()
            return Contents(rows=tuple(as_row(json.loads(line)) for line in lines), files=_files(archive))


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix on every machine, so that readers use the mode below
    info.external_attr = 0o100644 << 16
    return info


def _files(archive: Path) -> Generator[tuple[str, bytes]]:
    with read_errors(archive, *_DAMAGE), zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if member.filename != METADATA:
                yield member.filename, _read(packed, member)


def _read(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in _METHODS:
        raise zipfile.BadZipFile(f"{member.filename} is neither stored nor deflated")
    return packed.read(member)
