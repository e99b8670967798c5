"""Check one archive the way a loader would: rows against files, names, sizes, checksums, and every picture decoded."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from attrs import asdict, frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, one_line
from pixcore.model.chunks import ChunkKey
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected
from pixcore.model.rows import NUMBERS, required, reserved, version
from pixcore.ports import Contents, Validator

_Row = Mapping[str, object]

_MEMBER = re.compile(r"images/[0-9]{6,}\.[a-z0-9]+")
_NO_TIME = datetime.fromtimestamp(0, UTC)  # a download must have a time; no check reads it


@frozen
class ArchiveCheck:
    """The faults of one blob, or of one archive in a folder.

    Attributes:
        blob: The blob's key, or the archive's path below the folder.
        chunk: The chunk that it belongs to; None for a blob that belongs to none, and without a status database.
        faults: One line for each fault, which names the member if it concerns one; empty for a whole archive.
        images: How many images were decoded.
        other_hashes: How many of them have hashes of another method, so that they could not be compared.
        converted: How many of them are converted copies, with the hashes of the collected images.
        is_archive: Whether it was read; a blob that belongs to no chunk is only reported.
    """

    blob: str
    chunk: ChunkKey | None
    faults: tuple[str, ...]
    images: int = 0
    other_hashes: int = 0
    converted: int = 0
    is_archive: bool = True


def check_archive(
    blob: str,
    chunk: ChunkKey | None,
    contents: Callable[[], Contents],
    *,
    validator: Validator,
    spare: Path,
    accepted: int | None = None,
) -> ArchiveCheck:
    """Read an archive twice, once for its rows and checksums and once to decode its pictures.

    Args:
        blob: How the result names it.
        chunk: The chunk that it belongs to.
        contents: Opens the archive; each call reads it from its beginning.
        validator: Decodes the pictures.
        spare: A folder that holds as many pictures as the validator reads ahead.
        accepted: How many images it must hold, if that is known.

    Raises:
        WorkspaceFull, TransientError: As the local disk and the validator raise them.
    """
    faults: list[str] = []
    seen: Counter[str] = Counter()
    try:
        opened = contents()
        faults += _layout(opened.rows, accepted)
        faults += check_contents(opened)
        faults += _pictures(contents(), spare, validator, seen)
    except InvalidRequest as damage:
        faults.append(one_line(damage))
    return ArchiveCheck(blob, chunk, tuple(faults), seen["images"], seen["other_hashes"], seen["converted"])


def check_contents(contents: Contents) -> Iterator[str]:
    """Yield one line for each fault, naming the member; nothing for a whole archive. Reads every file once.

    An archive is whole if it has at least one row; each row has the columns that its ``row_version`` requires, with
    their types, and otherwise only text and integers; all rows have the same columns; rows and files match one to one
    by ``file_name``; each file has the size and sha256 of its row.
    """
    rows: dict[str, _Row] = {}
    expected = _columns(contents.rows[0]) if contents.rows else set[tuple[str, object]]()
    for number, row in enumerate(contents.rows):
        yield from _row_faults(number, row)
        if others := _columns(row) ^ expected:
            yield f"row {number}: differs from row 0 in the columns {', '.join(sorted({name for name, _ in others}))}"
        name = str(row.get("file_name", ""))
        if name in rows:
            yield f"{name}: has more than one row"
        rows[name] = row
    if not rows:
        yield "the archive holds no image"
    met: set[str] = set()
    for name, data in contents.files:
        if name in met:
            yield f"{name}: occurs more than once"
        elif name not in rows:
            yield f"{name}: has no row"
        else:
            if rows[name].get("bytes") != len(data):
                yield f"{name}: holds {len(data)} bytes, its row says {rows[name].get('bytes')}"
            if rows[name].get("sha256") != hashlib.sha256(data).hexdigest():
                yield f"{name}: its sha256 is not the one in its row"
        met.add(name)
    yield from (f"{name}: has a row but no file" for name in rows if name not in met)


def _row_faults(number: int, row: _Row) -> Iterator[str]:
    known = {*required(version(row)), "row_version"}
    if missing := [column for column in required(version(row)) if column not in row]:
        yield f"row {number}: lacks {', '.join(missing)}"
    if unfit := [column for column in row if reserved(column)]:
        yield f"row {number}: has columns that loaders take for files: {', '.join(unfit)}"
    for column, value in row.items():
        if column in known:
            kind = int if column in NUMBERS else str
            if type(value) is not kind:
                yield f"row {number}: {column} is {value!r}, not {'a whole number' if kind is int else 'text'}"
        elif type(value) not in (int, str):
            yield f"row {number}: {column} is {value!r}, neither text nor a whole number"


def _columns(row: _Row) -> set[tuple[str, object]]:
    """Return what must be the same in all rows of an archive, apart from what each row must have anyway."""
    needed = required(version(row))
    others: set[tuple[str, object]] = {(column, type(value)) for column, value in row.items() if column not in needed}
    return others | {("row_version", version(row))}


def _layout(rows: Sequence[_Row], accepted: int | None) -> Iterator[str]:
    if accepted is not None and len(rows) != accepted:
        yield f"has {len(rows)} rows, {accepted} images were accepted"
    for row in rows:
        if not _MEMBER.fullmatch(str(row.get("file_name", ""))):
            yield f"{row.get('file_name')}: is not called images/NUMBER.EXTENSION, as loaders expect"


def _pictures(contents: Contents, spare: Path, validator: Validator, seen: Counter[str]) -> Iterator[str]:
    rows = {str(row.get("file_name", "")): row for row in contents.rows}
    with closing(_downloads(contents, rows, spare)) as downloads, closing(validator.validate(downloads)) as verdicts:
        for verdict in verdicts:
            name = verdict.download.candidate.url
            with local_disk("removing an image"):
                verdict.download.path.unlink()
            if isinstance(verdict, Rejected):
                detail = f": {verdict.detail}" if verdict.detail else ""
                yield f"{name}: cannot be decoded ({verdict.reason}{detail})"
                continue
            seen["images"] += 1
            if rows[name].get("original_sha256"):
                seen["converted"] += 1
            elif rows[name].get("hash_method") != verdict.fingerprint.method:
                seen["other_hashes"] += 1
            yield from (f"{name}: {difference}" for difference in _differences(rows[name], verdict))


def _downloads(contents: Contents, rows: Mapping[str, object], spare: Path) -> Generator[Download]:
    for number, (name, data) in enumerate(contents.files):
        if name in rows:
            path = spare / str(number)
            with local_disk("unpacking an image"):
                path.write_bytes(data)
            yield Download(Candidate(CandidateKey("archive", "", number), name), path, len(data), _NO_TIME)


def _differences(row: _Row, image: Accepted) -> Iterator[str]:
    found: dict[str, object] = {"width": image.width, "height": image.height, "format": image.format}
    if not row.get("original_sha256") and row.get("hash_method") == image.fingerprint.method:
        found |= {"phash": f"{image.fingerprint.phash:016x}", "dhash": f"{image.fingerprint.dhash:016x}"}
        if row.get("mode"):  # a row of version 2 or later, of a validator that says it
            found |= {"orientation": image.orientation, "frames": image.frames, "mode": image.mode}
        if row.get("aspect") and image.measures:  # 0 if the image was not measured
            found |= asdict(image.measures)
    for column, value in found.items():
        if row.get(column) != value:
            yield f"its {column} is {value}, its row says {row.get(column)}"
