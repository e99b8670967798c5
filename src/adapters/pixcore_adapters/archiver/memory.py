"""An archiver for tests: one JSON document that a person can read."""

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from pixcore.chunk.workspace import local_disk
from pixcore.model.archives import Archive
from pixcore.model.rows import Row
from pixcore.ports import Contents
from pixcore_adapters.archiver import as_row, read_errors, removed_on_failure


@frozen
class MemoryArchiver:
    """Pack a chunk as JSON. The whole archive is held in memory meanwhile."""

    suffix: str = ".json"
    content_type: str = "application/json"

    def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
        """See ``pixcore.ports.Archiver``."""
        rows: list[Row] = []
        files: list[tuple[str, str]] = []
        with removed_on_failure(target), local_disk("packing"):
            for row, path in images:
                rows.append(row)
                files.append((row.file_name, base64.b64encode(path.read_bytes()).decode()))
            data = json.dumps({"rows": [row.values() for row in rows], "files": files}, indent=1).encode()
            target.write_bytes(data)
        return Archive(path=target, size=len(data), sha256=hashlib.sha256(data).hexdigest(), images=len(rows))

    def contents(self, archive: Path) -> Contents:
        """See ``pixcore.ports.Archiver``."""
        with read_errors():
            document = json.loads(archive.read_bytes())
            files = [(name, base64.b64decode(data)) for name, data in document["files"]]
            return Contents(rows=tuple(as_row(row) for row in document["rows"]), files=iter(files))
