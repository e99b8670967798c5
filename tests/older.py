"""Archives of released versions of pixcore in ``tests/data``, and copies of them with further columns."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import evolve
from shelf import Shelf

from pixcore import Archive, ChunkRecord, ChunkRequest, ChunkResult
from pixcore.chunk.publish import publish
from pixcore.model.claims import Claimed
from pixcore.model.rows import COLUMNS, NUMBERS, ROW_VERSION, required
from pixcore_adapters.status_repo import codec

# The columns of a row that a later version wrote, besides those of the first version.
LATER: Mapping[str, object] = {
    **{column: 0 if column in NUMBERS else "" for column in COLUMNS if column not in required(1)},
    "row_version": ROW_VERSION + 1,
    "loudness": 9,
    "mood": "calm",
    "score": 7,
}

METADATA = "metadata.jsonl"  # as the first version named it
FIRST = Path(__file__).parent / "data" / "row_version_1"


def store(shelf: Shelf, further: Mapping[str, object] | None = None, *, recorded: bool = True) -> None:
    """Store the archives of the first version in the shelf's dataset, with their recorded results.

    With ``further``, each row has these columns as well. ``recorded`` says whether their chunks' results name the
    columns, as results of the versions after the first do.
    """
    for line in (FIRST / "chunks.jsonl").read_text("utf-8").splitlines():
        kept = json.loads(line)
        request = codec.value(ChunkRequest, json.dumps(kept["request"]))
        result = codec.value(ChunkResult, json.dumps(kept["result"]))
        (chunk,) = shelf.status.ensure([evolve(request, index=len(shelf.records()))])
        claimed = shelf.status.claim(chunk.key, "owner", 60)
        assert isinstance(claimed, Claimed)
        packed = FIRST / Path(result.url).name
        if further:
            packed = _with_columns(packed, shelf.root / f"{chunk.id}{packed.suffix}", further)
            if recorded:
                types = {int: "integer", str: "string"}
                result = evolve(result, columns={name: types[type(value)] for name, value in _rows(packed)[0].items()})
        data = packed.read_bytes()
        archive = Archive(packed, len(data), hashlib.sha256(data).hexdigest(), result.progress.accepted)
        publish(
            shelf.store,
            archive,
            key=chunk.key.blob_key(packed.suffix),
            content_type="application/octet-stream",
            claim=claimed.claim,
            identity=shelf.status.identity,
        )
        shelf.status.complete(claimed.claim, evolve(result, sha256=archive.sha256, bytes=archive.size))


def stored_rows(shelf: Shelf) -> list[Mapping[str, object]]:
    """Return all rows of the shelf's archives as they are stored, in order."""
    return [row for record in shelf.records() for row in rows_of(shelf, record)]


def rows_of(shelf: Shelf, record: ChunkRecord) -> list[Mapping[str, object]]:
    """Return the rows of one archive as they are stored, in order."""
    assert record.result
    suffix = Path(record.result.url).suffix
    return _rows(shelf.root / f"store/cats/data/chunk_{record.chunk.id}{suffix}")


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of an archive's members, read without pixcore."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            yield from ((name, packed.read(name)) for name in packed.namelist())
    else:
        with tarfile.open(archive) as tar:
            yield from ((member.name, tar.extractfile(member).read()) for member in tar)  # type: ignore[union-attr] # files


def _rows(archive: Path) -> list[Mapping[str, object]]:
    texts = [data for name, data in members(archive) if name.endswith((".json", METADATA))]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def _with_columns(archive: Path, target: Path, further: Mapping[str, object]) -> Path:
    changed = [
        (name, _further(data, further) if name.endswith((".json", METADATA)) else data)
        for name, data in members(archive)
    ]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as packed:
            for name, data in changed:
                packed.writestr(name, data)
    else:
        with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in changed:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return target


def _further(lines: bytes, further: Mapping[str, object]) -> bytes:
    return b"".join(json.dumps({**json.loads(line), **further}).encode() + b"\n" for line in lines.splitlines())
