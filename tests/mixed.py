"""A dataset that loaders find hard: every kind of picture, texts that look like other types, columns that differ."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pictures import animation, encoded, photo
from PIL import Image
from shelf import Shelf

from pixcore import Accepted, Archiver, ChunkRequest, Download, Slice
from pixcore.model.claims import Claimed
from pixcore.model.images import Candidate, CandidateKey, Provenance
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.picture import Limits, Refusal

DATES = ("1969-07-20", "2020-01-01T00:00:00Z", "2024-05-06 07:08:09", "2024-05-06T07:08:09+02:00")
TEXTS = (
    "unknown",
    "007",
    "1e3",
    "true",
    "null",
    "nan",
    "NA",
    "",
    "🐈 кот قطة",
    "\"quotes\" 'and' \\\\back\\\\, {json: [1]}; <b>",
    "two\nlines\r\n",
    "\u2028\u0085\ufeff\x1b[31m",
    "../..",
    "test tubes",
    "x" * 60_000,
)


def pictures() -> list[bytes]:
    """Return one file of each kind, all different."""
    grey = np.asarray(photo(1, 48, 36).convert("L"), np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it by a quarter
    alpha = photo(2, 48, 36).convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize((48, 36)))
    return [
        encoded(photo(3, 48, 36)),
        encoded(photo(4, 48, 36), "PNG"),
        encoded(photo(5, 48, 36), "WEBP"),
        encoded(photo(6, 48, 36).quantize(64), "GIF"),
        encoded(Image.fromarray(grey * 257), "PNG"),
        encoded(photo(7, 48, 36).convert("CMYK")),
        encoded(alpha, "PNG"),
        encoded(photo(8, 48, 36), exif=exif),
        animation(3),
        animation(4, "WEBP"),
        encoded(photo(9, 48, 36).convert("L")),
        encoded(photo(10, 48, 36).quantize(16), "PNG"),
        encoded(photo(11, 48, 36), "TIFF"),
        encoded(photo(12, 48, 36), "AVIF"),
        encoded(photo(13, 48, 36), "BMP"),
    ]


def dataset(root: Path, archiver: Archiver) -> Shelf:
    """Create five chunks: one of every kind, and four in which a column is all dates, all text, missing or numbers."""
    shelf = Shelf(root, archiver)
    every = [
        (data, text, text, {"note": text, "rank": number})
        for number, (data, text) in enumerate(zip(pictures(), TEXTS, strict=True))
    ]
    _add(shelf, every, {"note": "string", "rank": "integer"})
    for chunk, texts in enumerate((DATES, ("moon landing",) * 4, DATES, ("7", "8", "9", "10"))):
        columns = ({}, {"note": "string"}, {"note": "string", "when": "string"}, {"rank": "integer"})[chunk]
        rows = []
        for number, text in enumerate(texts):
            kind = "PNG" if number == 3 else "JPEG"  # a loader that looks at the first samples does not see it
            listed = {column: text if kept == "string" else number for column, kept in columns.items()}
            rows.append((encoded(photo(100 + 10 * chunk + number, 48, 36), kind), text, text, listed))
        _add(shelf, rows, columns)
    return shelf


_Rows = Sequence[tuple[bytes, str, str, Mapping[str, str | int]]]  # file, label, title, columns of a list


def _add(shelf: Shelf, rows: _Rows, columns: Mapping[str, str]) -> None:
    index = len(shelf.records())
    slices = (Slice("memory", "q", 0, len(rows)),)
    request = ChunkRequest(index, f"keyword {index}", len(rows), slices, "cats", columns=tuple(columns.items()))
    (chunk,) = shelf.status.ensure([request])
    claimed = shelf.status.claim(chunk.key, "owner", 60)
    assert isinstance(claimed, Claimed)
    accepted = []
    for number, (data, label, title, listed) in enumerate(rows):
        path = shelf.root / f"{index}-{number}"
        path.write_bytes(data)
        about = Provenance(title=title, caption=title, license="CC BY 4.0")
        candidate = Candidate(CandidateKey("memory", "q", number), f"{number}.jpg", about, label, listed)
        accepted.append(_decoded(Download(candidate, path, len(data), datetime(2020, 1, 1, tzinfo=UTC))))
    shelf.complete(claimed, accepted)


def _decoded(download: Download) -> Accepted:
    found = decode(download.path, Limits())
    assert not isinstance(found, Refusal), found
    return Accepted(
        download,
        found.sha256,
        found.width,
        found.height,
        found.format,
        found.fingerprint,
        frames=found.frames,
        mode=found.mode,
        orientation=found.orientation,
        measures=found.measures,
    )


def seen_upright(row: Mapping[str, object]) -> list[object]:
    """Return the size of an image as a viewer turns it, by its row."""
    turned = int(str(row["orientation"])) >= 5
    return [row["height"], row["width"]] if turned else [row["width"], row["height"]]


def stored(row: Mapping[str, object]) -> list[object]:
    """Return the size of an image as it is stored, by its row."""
    return [row["width"], row["height"]]
