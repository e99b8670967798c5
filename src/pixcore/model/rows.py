"""The row that describes one image, and a shard's ``metadata.jsonl`` made of such rows.

Every value is a string or an integer and none is null, because that is what every loader of the format accepts.
"""

import json
from collections import Counter
from collections.abc import Iterable

from attrs import asdict, field, fields, frozen

from pixcore.model.chunks import ChunkRequest
from pixcore.model.images import Accepted

METADATA = "metadata.jsonl"

# What loaders expect to find behind a format's name; any other format is its own name in lower case.
_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


def _text(value: str) -> str:
    # a lone surrogate, as in a file name that is not UTF-8, cannot be written as UTF-8: show it as \\udcff
    return value.encode("utf-8", "backslashreplace").decode()


@frozen
class Row:
    """One image of a shard. Integers are plain, absent text is ``""``, hashes are 16 hex digits.

    ``file_name`` is relative to the shard's root; ``bytes`` counts the image file; ``fetched_at`` is UTC,
    ``YYYY-MM-DDTHH:MM:SSZ`` (of a file out of a folder: when it was last modified).
    """

    file_name: str = field(converter=_text)
    label: str = field(converter=_text)
    keyword: str = field(converter=_text)
    source: str = field(converter=_text)
    url: str = field(converter=_text)
    page_url: str = field(converter=_text)
    title: str = field(converter=_text)
    creator: str = field(converter=_text)
    license: str = field(converter=_text)
    license_url: str = field(converter=_text)
    opt_out: str = field(converter=_text)
    sha256: str = field(converter=_text)
    phash: str = field(converter=_text)
    dhash: str = field(converter=_text)
    hash_method: str = field(converter=_text)
    width: int
    height: int
    format: str = field(converter=_text)
    bytes: int
    fetched_at: str = field(converter=_text)


COLUMNS = tuple(column.name for column in fields(Row))
NUMBERS = frozenset({"width", "height", "bytes"})


def row(number: int, image: Accepted, request: ChunkRequest) -> Row:
    """Describe the chunk's accepted image ``number``, counted from 0."""
    candidate, prints = image.download.candidate, image.fingerprint
    extension = _EXTENSIONS.get(image.format, image.format.lower())
    return Row(
        file_name=f"images/{number:06d}.{extension}",
        label=request.label or request.keyword,
        keyword=request.keyword,
        source=candidate.key.source,
        url=candidate.url,
        **asdict(candidate.provenance),
        sha256=image.sha256,
        phash=f"{prints.phash:016x}",
        dhash=f"{prints.dhash:016x}",
        hash_method=prints.method,
        width=image.width,
        height=image.height,
        format=image.format,
        bytes=image.download.size,
        # not by strftime, whose years before 1000 have fewer digits
        fetched_at=f"{image.download.fetched_at.replace(tzinfo=None).isoformat(timespec='seconds')}Z",
    )


def tally(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Count the images by source, licence and format, the most frequent first."""
    counts = {column: Counter[str]() for column in ("source", "license", "format")}
    for one in rows:
        for column, count in counts.items():
            count[str(getattr(one, column))] += 1
    return {column: dict(count.most_common()) for column, count in counts.items()}


def metadata(rows: Iterable[Row]) -> bytes:
    """The rows as JSON lines in UTF-8, columns in the order of ``Row``: the same rows give the same bytes."""
    return b"".join(json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n" for row in rows)
