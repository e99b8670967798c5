"""The row that describes one image, and the ``rows.jsonl`` of an archive, which consists of such rows.

Every value is a string or an integer and none is null, so that every loader can give each column one type.

Stored archives are not rewritten for a new version, so the columns only grow. To add a column:

1. Add it to ``Row``, behind the others, and fill it in ``row``.
2. Raise ``ROW_VERSION`` and list the column under that version in ``_ADDED``. Columns that no release has written yet
   may share a version.

Nothing else is needed: ``complete`` fills the column in when an older row is read. A column is never removed and never
changes its type.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from pathlib import PurePath
from typing import Any

from attrs import asdict, evolve, field, fields, frozen

from pixcore.errors import InvalidRequest
from pixcore.model.images import Accepted, Candidate, CandidateKey, Provenance
from pixcore.model.measures import Measures
from pixcore.model.originals import NOT_CONVERTED, converted_columns
from pixcore.model.requests import ChunkRequest
from pixcore.redaction import redacted

ROWS = "rows.jsonl"  # no name that loaders take for metadata: they would infer types from JSON

# The version of the rows that this pixcore writes. Rows of version 1 have no column `row_version`.
ROW_VERSION = 4

# The columns that each version added to those of version 1.
_ADDED: Mapping[int, tuple[str, ...]] = {
    2: (
        *("row_version", "caption", "orientation", "frames", "mode", "sharpness", "darkest", "lightest", "contrast"),
        *("information", "colourfulness", "aspect", "text_lines", "flags"),
    ),
    3: ("original_sha256", "original_width", "original_height", "original_bytes", "conversion"),
    4: ("final_url",),
}

# The extensions that loaders expect. The extension of any other format is its name in lower case.
_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


_NOT_MEASURED = Measures(**{measure.name: 0 for measure in fields(Measures)})


def as_text(value: str) -> str:
    """Return the text as rows hold it: without credentials in URLs, and with lone surrogates as escapes.

    Names of files that are not UTF-8 have such surrogates.
    """
    text = redacted(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


@frozen
class Row:
    """One image of an archive. Integers are plain, absent text is ``""``, hashes are 16 hex digits.

    ``file_name`` is relative to the archive's root; ``bytes`` is the size of the image file; ``fetched_at`` is UTC,
    ``YYYY-MM-DDTHH:MM:SSZ``: when the image was fetched or, if it came from a folder, when its file was last modified.
    ``row_version`` says which columns the row has. ``caption`` is a text that the source gives for the image.

    ``width`` and ``height`` are those of the stored pixels; ``orientation`` is the EXIF orientation, 1 to 8, that a
    viewer applies to them. ``frames`` counts frames or pages; ``mode`` is the decoder's name of the colour mode. The
    measures are those of ``Measures``, all 0 if the validator does not measure; commas separate the ``flags``.

    If the image was resized or encoded again, ``original_sha256``, ``original_width``, ``original_height`` and
    ``original_bytes`` are those of the image that was collected, and ``conversion`` names what else was changed, as
    in ``CHANGES``, separated by commas. The hashes, the measures and the flags are then also those of the collected
    image. Otherwise these columns are ``""`` and 0.

    ``final_url`` is where redirects of ``url`` led, without credentials; ``""`` if there were none.

    ``listed`` holds the further columns of the list that the image comes from, by name. ``values`` includes them.
    """

    file_name: str = field(converter=as_text)
    label: str = field(converter=as_text)
    keyword: str = field(converter=as_text)
    source: str = field(converter=as_text)
    url: str = field(converter=as_text)
    page_url: str = field(converter=as_text)
    title: str = field(converter=as_text)
    creator: str = field(converter=as_text)
    license: str = field(converter=as_text)
    license_url: str = field(converter=as_text)
    opt_out: str = field(converter=as_text)
    sha256: str = field(converter=as_text)
    phash: str = field(converter=as_text)
    dhash: str = field(converter=as_text)
    hash_method: str = field(converter=as_text)
    width: int
    height: int
    format: str = field(converter=as_text)
    bytes: int
    fetched_at: str = field(converter=as_text)
    row_version: int
    caption: str = field(converter=as_text)
    orientation: int
    frames: int
    mode: str = field(converter=as_text)
    sharpness: int
    darkest: int
    lightest: int
    contrast: int
    information: int
    colourfulness: int
    aspect: int
    text_lines: int
    flags: str = field(converter=as_text)
    original_sha256: str = field(converter=as_text)
    original_width: int
    original_height: int
    original_bytes: int
    conversion: str = field(converter=as_text)
    final_url: str = field(converter=as_text)
    listed: Mapping[str, str | int] = field(factory=dict[str, str | int], hash=False, metadata={"is_column": False})

    def values(self) -> dict[str, str | int]:
        """Return the row as it is stored: ``COLUMNS`` in their order, then the columns of the list."""
        own = dict(zip(COLUMNS, _COLUMNS_OF(self), strict=True))
        return own | {column: value for column, value in self.listed.items() if column not in own}


COLUMNS = tuple(column.name for column in fields(Row) if column.metadata.get("is_column", True))
_COLUMNS_OF = attrgetter(*COLUMNS)
NUMBERS = frozenset(column.name for column in fields(Row) if column.type is int)
COLUMN_TYPES = {column: "integer" if column in NUMBERS else "string" for column in COLUMNS}


def renumbered(number: int, described: Row) -> Row:
    """Return the row as that of the chunk's accepted image ``number``, counted from 0."""
    return evolve(described, file_name=f"images/{number:06d}{PurePath(described.file_name).suffix}")


def row(number: int, image: Accepted, request: ChunkRequest, label: str = "") -> Row:
    """Describe the chunk's accepted image ``number``, counted from 0. ``label`` is the one that was decided, if any."""
    candidate, prints, measures = image.download.candidate, image.fingerprint, image.measures or _NOT_MEASURED
    file, transfer = _file(image), image.download.transfer
    return Row(
        file_name=file_name(number, file["format"]),
        label=label or request.label or candidate.label or request.keyword,
        keyword=request.keyword,
        source=candidate.key.source,
        url=candidate.url,
        **asdict(candidate.provenance),
        phash=f"{prints.phash:016x}",
        dhash=f"{prints.dhash:016x}",
        hash_method=prints.method,
        # strftime would write years before 1000 with fewer digits
        fetched_at=f"{image.download.fetched_at.replace(tzinfo=None).isoformat(timespec='seconds')}Z",
        row_version=ROW_VERSION,
        **file,
        **asdict(measures),
        flags=",".join(image.measures.flags if image.measures else ()),
        final_url=transfer.final_url if transfer and transfer.redirected else "",
        listed=dict(_listed(candidate, request)),
    )


def file_name(number: int, image_format: str) -> str:
    """Return the name of the archive's image ``number``, counted from 0."""
    return f"images/{number:06d}.{extension_of(image_format)}"


def extension_of(image_format: str) -> str:
    """Return the extension that loaders expect of a format, without the dot."""
    return _EXTENSIONS.get(image_format, image_format.lower())


def _file(image: Accepted) -> dict[str, Any]:
    """Return the columns that describe the file of an image."""
    collected = {
        "sha256": image.sha256,
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "bytes": image.download.size,
        "orientation": image.orientation,
        "frames": image.frames,
        "mode": image.mode,
        **NOT_CONVERTED,
    }
    return collected | converted_columns(collected, image.stored) if image.stored else collected


def _listed(candidate: Candidate, request: ChunkRequest) -> Iterator[tuple[str, str | int]]:
    """Yield every column of lists that the chunk has, with the candidate's value or, without one, ``""`` or 0."""
    for column, kind in request.columns:
        value = candidate.listed.get(column, "" if kind == "string" else 0)
        yield column, value if kind == "integer" else as_text(str(value))


def own_name(column: str, given: Collection[str] = (), others: Collection[str] = ()) -> str:
    """Return the name under which rows keep a list's column: its own, with the prefix ``list_`` if that is not free.

    Names of ``COLUMNS``, reserved names and those already ``given`` to columns are not free in any case of letters,
    because DuckDB, Spark and others read ``width`` and ``WIDTH`` as one column. Nor are exactly the names ``others``,
    which columns have that come later. The reserved ending ``_file_name`` becomes ``_file``.
    """
    name, not_free = column, {one.casefold() for one in (*COLUMNS, *given)}
    while name.casefold() in not_free or reserved(name) or name in others:
        name = f"list_{name}"
        if name.endswith("_file_name"):
            name = name.removesuffix("_name")
    return name


def candidate(values: Mapping[str, object], key: CandidateKey) -> Candidate:
    """Return the candidate of a stored row that ``complete`` has completed. ``row`` makes the same row of it again."""
    provenance = Provenance(**{one.name: str(values[one.name]) for one in fields(Provenance)})
    listed = {
        column: value for column, value in values.items() if column not in COLUMNS and isinstance(value, str | int)
    }
    return Candidate(key, str(values["url"]), provenance, str(values["label"]), listed)


def stored_row(values: Mapping[str, Any]) -> Row:
    """Return the row of a stored row that ``complete`` has completed."""
    listed = {column: value for column, value in values.items() if column not in COLUMNS}
    return Row(**{column: values[column] for column in COLUMNS}, listed=listed)


def fetched_at(values: Mapping[str, object]) -> datetime:
    """Return when the image of a stored row was fetched."""
    return datetime.fromisoformat(str(values["fetched_at"]))


def tally(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Count the images by source, licence and format, the most frequent value first.

    Also by label, if one of them is not the keyword, and by what their conversion changed, if anything.
    """
    counts = {column: Counter[str]() for column in ("source", "license", "format", "label")}
    keywords: set[str] = set()
    changes = Counter[str]()
    for one in rows:
        changes.update(filter(None, one.conversion.split(",")))
        for column, count in counts.items():
            count[str(getattr(one, column))] += 1
        keywords.add(one.keyword)
    if keywords.issuperset(counts["label"]):
        del counts["label"]
    if changes:
        counts["conversion"] = changes
    return {column: dict(count.most_common()) for column, count in counts.items()}


def metadata(rows: Iterable[Row]) -> bytes:
    """Write the rows' ``values`` as JSON lines in UTF-8. The same rows give the same bytes."""
    return b"".join(json.dumps(row.values(), ensure_ascii=False).encode() + b"\n" for row in rows)


def version(row: Mapping[str, object]) -> int:
    """Return the version of a stored row, which may be later than ``ROW_VERSION``."""
    number = row.get("row_version")
    return number if type(number) is int else 1


def required(number: int) -> tuple[str, ...]:
    """Return those of ``COLUMNS`` that each row of version ``number`` has. Rows of a later version have all of them."""
    later = {column for introduced, added in _ADDED.items() if introduced > number for column in added}
    return tuple(column for column in COLUMNS if column not in later)


def reserved(column: str) -> bool:
    """Return whether loaders would take a column of that name for the image or for another file."""
    return column == "image" or column.endswith("_file_name")


def complete(row: Mapping[str, object]) -> dict[str, object]:
    """Add to a stored row, as ``""`` or 0, the columns that are newer than it; ``row_version`` is the row's version.

    ``COLUMNS`` come first, in their order. Columns that this pixcore does not know follow unchanged.

    Raises:
        InvalidRequest: The row lacks a column that its version requires, or has a reserved one.
    """
    number = version(row)
    missing = [f"lacks {column}" for column in required(number) if column not in row]
    if faults := missing + [f"has a column {column}" for column in row if reserved(column)]:
        raise InvalidRequest(f"a row of version {number} {faults[0]}; `pixcore verify` lists every fault")
    newer: dict[str, object] = {column: 0 if column in NUMBERS else "" for column in COLUMNS}
    return {**newer, "row_version": number, **row}
