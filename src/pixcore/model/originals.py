"""The columns of a row that describe the collected image if a converted copy of it is stored or exported."""

from collections.abc import Mapping

from attrs import fields

from pixcore.model.conversion import CHANGES, Converted
from pixcore.model.images import Original
from pixcore.model.measures import Measures
from pixcore.model.quality import Fingerprint

_ORIGINAL = ("sha256", "width", "height", "bytes")

# The columns of an image that was not converted.
NOT_CONVERTED: Mapping[str, str | int] = {
    "original_sha256": "",
    "original_width": 0,
    "original_height": 0,
    "original_bytes": 0,
    "conversion": "",
}


def converted_columns(before: Mapping[str, object], stored: Converted) -> dict[str, object]:
    """Return the columns that change when the image with the row ``before`` is converted.

    If it was converted before, the ``original_`` columns stay.
    """
    first = not before["original_sha256"]
    names = {*str(before["conversion"]).split(","), *stored.changes}
    return {
        "sha256": stored.sha256,
        "width": stored.width,
        "height": stored.height,
        "format": stored.format,
        "bytes": stored.size,
        "orientation": 1,
        "frames": 1,
        "mode": stored.mode,
        **{f"original_{name}": before[name if first else f"original_{name}"] for name in _ORIGINAL},
        "conversion": ",".join(name for name in CHANGES if name in names),
    }


def collected_sha256(row: Mapping[str, object]) -> str:
    """Return the sha256 of the image that was collected, whether it was converted or not."""
    return str(row.get("original_sha256") or row["sha256"])


def original(row: Mapping[str, object]) -> Original | None:
    """Return the collected image of a stored row that ``pixcore.model.rows.complete`` has completed.

    Return None if the image was not converted.
    """
    if not row["original_sha256"]:
        return None
    return Original(
        sha256=str(row["original_sha256"]),
        width=int(str(row["original_width"])),
        height=int(str(row["original_height"])),
        size=int(str(row["original_bytes"])),
        fingerprint=Fingerprint.parse(row["phash"], row["dhash"], row["hash_method"]),
        measures=measures_of(row),
        changes=tuple(name for name in str(row["conversion"]).split(",") if name),
    )


def measures_of(row: Mapping[str, object]) -> Measures | None:
    """Return the measures of a stored row that ``complete`` has completed; None if the image was not measured."""
    measured = {measure.name: int(str(row[measure.name])) for measure in fields(Measures)}
    return Measures(**measured) if any(measured.values()) else None
