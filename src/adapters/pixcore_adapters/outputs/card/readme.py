"""Write the card: the README.md that Hugging Face and visitors of the folder read first.

Its YAML names the dataset's files and the types of its columns for loaders. Labels, licences and other text from
outside appear only in its tables, escaped so that no character has a meaning in Markdown or HTML. Of them, only the
names of columns are in the YAML, quoted.
"""

import re
from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from pixcore_adapters.outputs.card.counts import DatasetCounts
from pixcore_adapters.outputs.card.text import plain
from pixcore_adapters.outputs.features import Feature, declared, features
from pixcore_adapters.outputs.templates import environment

MEDIA_TYPE = "text/markdown"

_ROWS = 50  # of a table

# Characters with a meaning in Markdown, HTML or tables. `_` has one at the edge of a word; `.` makes a link of `www.`.
_SPECIAL = re.compile(r"[!-+/:-@\[-^`{-~]|(?<![^\W_])_|_(?![^\W_])|(?<=[wW]{3})\.")

# The names of licences that both Hugging Face and sources know, in the versions that Hugging Face knows.
_LICENSES = frozenset(
    {
        "apache-2.0",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "mit",
        "odbl",
        "odc-by",
        "pddl",
        "unlicense",
    }
)
# The formats that a loader may be unable to read, and how it can.
_READING = {
    "AVIF": "AVIF from version 11.3 on",
    "HEIF": "HEIF after `pillow_heif.register_heif_opener()`",
}
_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
    10**9: "100M<n<1B",
    10**10: "1B<n<10B",
    10**11: "10B<n<100B",
    10**12: "100B<n<1T",
}


def card(counts: DatasetCounts) -> bytes:
    """Return the card of the dataset; the same counts give the same bytes."""
    suffixes = [suffix for (suffix,), _ in counts.suffixes.top(_ROWS)] or [""]
    typed = declared(_features(counts, suffixes[0]), of_tar=suffixes[0] == ".tar")
    text = (
        _environment()
        .get_template("README.md")
        .render(
            counts=counts,
            rows=_ROWS,
            suffixes=suffixes,
            license=_license(counts),
            size=_size(counts.images),
            unreadable=_unreadable(counts),
            features=Markup("\n".join(typed)),  # noqa: S704 - YAML, quoted
            former="some" if 0 < counts.former.total < counts.archives else "all" if counts.former.total else "",
            missing=max(0, counts.wanted - counts.images),
        )
    )
    return text.encode()


def cell(value: str) -> Markup:
    """Escape a value from outside as the text of a table's cell; an empty one becomes "not stated"."""
    text = _SPECIAL.sub(lambda letter: f"&#{ord(letter[0])};", plain(value)) or "not stated"
    return Markup(text)  # noqa: S704 - every character that could be markup is escaped


def _size(images: int) -> Markup:
    return Markup(next((name for most, name in _SIZES.items() if images < most), "n>1T"))  # noqa: S704 - a constant of this module


def _unreadable(counts: DatasetCounts) -> list[tuple[str, int, Markup]]:
    """Return each format that a loader may be unable to read, its number of images, and how loaders read it."""
    found = {name: images for (name,), images in counts.formats.top(_ROWS) if name in _READING}
    return [(name, images, Markup(_READING[name])) for name, images in found.items()]  # noqa: S704 - a constant of this module


def _features(counts: DatasetCounts, suffix: str) -> dict[str, Feature]:
    """Return the columns as loaders of such archives shall return them, so that they infer none; empty if not known.

    An archive that lacks a column then gives null in it. Without this, ``datasets`` gives all images the columns of one
    archive.
    """
    if counts.unrecorded or not counts.columns:
        return {}
    typed = features(counts.columns)
    match suffix:
        case ".zip":
            return {"image" if column == "file_name" else column: kind for column, kind in typed.items()} | {
                "image": "image"
            }
        case ".tar" if not any(value == (".tar",) for value, _ in counts.former.top(_ROWS)):
            return {"jpg": "image", "json": typed, "__key__": "string", "__url__": "string"}
        case _:
            return {}


def _license(counts: DatasetCounts) -> str:
    found = counts.licenses.top(2)
    if len(found) == 1 and not counts.licenses.others:
        (((name,), _),) = found
        slug = "-".join(name.lower().split())
        slug = "cc0-1.0" if slug == "cc0" else slug
        if slug in _LICENSES:
            return slug
    return "other"


@cache
def _environment() -> Environment:
    made = environment("pixcore_adapters.outputs.card", keep_trailing_newline=True)
    made.filters["cell"] = cell
    return made
