"""One archive, looked into as far as anybody could who loads it: rows against files, names, every picture decoded."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, one_line
from pixcore.model.chunks import ChunkKey
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected
from pixcore.ports import Contents, Validator
from pixcore.stored.audit import audit

_MEMBER = re.compile(r"images/[0-9]{6,}\.[a-z0-9]+")
_NO_TIME = datetime.fromtimestamp(0, UTC)  # a download has one, and here nobody asks for it


@frozen
class Inspection:
    """What was found of one blob, or of one archive in a folder.

    Attributes:
        blob: Its key, or its path below the folder.
        chunk: Whose it is; None for a blob that belongs to none, and where no status database is asked.
        faults: One line each, naming the member where there is one; none for what is whole.
        images: How many images were decoded.
        other_hashes: How many of them could not be compared with the hashes in their rows, which another version made.
        is_archive: Whether it was looked into; a blob that belongs to no chunk is only named.
    """

    blob: str
    chunk: ChunkKey | None
    faults: tuple[str, ...]
    images: int = 0
    other_hashes: int = 0
    is_archive: bool = True


def inspect(
    blob: str,
    chunk: ChunkKey | None,
    contents: Callable[[], Contents],
    *,
    validator: Validator,
    spare: Path,
    accepted: int | None = None,
) -> Inspection:
    """Read an archive twice, once for its rows and once for its pictures; ``contents`` opens it.

    Args:
        blob: What to call it.
        chunk: Whose it is.
        contents: Opens it; each call from its beginning.
        validator: Decodes the pictures.
        spare: A folder for as many of them as the validator runs ahead.
        accepted: How many there are to be, if that is known.

    Raises:
        WorkspaceFull, TransientError: As the local disk and the validator say.
    """
    faults: list[str] = []
    seen: Counter[str] = Counter()
    try:
        opened = contents()
        faults += _layout(opened.rows, accepted)
        faults += audit(opened)
        faults += _pictures(contents(), spare, validator, seen)
    except InvalidRequest as damage:
        faults.append(one_line(damage))
    return Inspection(blob, chunk, tuple(faults), seen["images"], seen["other_hashes"])


def _layout(rows: Sequence[Mapping[str, object]], accepted: int | None) -> Iterator[str]:
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
            if rows[name].get("hash_method") != verdict.fingerprint.method:
                seen["other_hashes"] += 1
            yield from (f"{name}: {difference}" for difference in _differences(rows[name], verdict))


def _downloads(contents: Contents, rows: Mapping[str, object], spare: Path) -> Generator[Download]:
    for number, (name, data) in enumerate(contents.files):
        if name in rows:
            path = spare / str(number)
            with local_disk("unpacking an image"):
                path.write_bytes(data)
            yield Download(Candidate(CandidateKey("archive", "", number), name), path, len(data), _NO_TIME)


def _differences(row: Mapping[str, object], image: Accepted) -> Iterator[str]:
    found: dict[str, object] = {"width": image.width, "height": image.height, "format": image.format}
    if row.get("hash_method") == image.fingerprint.method:
        found |= {"phash": f"{image.fingerprint.phash:016x}", "dhash": f"{image.fingerprint.dhash:016x}"}
    for column, value in found.items():
        if row.get(column) != value:
            yield f"its {column} is {value}, its row says {row.get(column)}"
