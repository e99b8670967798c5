"""Write the page: one HTML file that loads nothing and runs only its own style sheet and script.

Titles, addresses and errors are text from outside. The template engine escapes it in the page. The script reads its
data from a block of JSON and inserts it as text, never as markup. If anything gets past that, the content security
policy forbids other scripts and styles, and every request.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from jinja2 import Environment
from markupsafe import Markup

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest
from pixcore.model.rows import COLUMNS
from pixcore_adapters.outputs.dropped import Dropped
from pixcore_adapters.outputs.page import parts
from pixcore_adapters.outputs.page.rows import Coding, safe_json
from pixcore_adapters.outputs.report import charts
from pixcore_adapters.outputs.report.build import Report, Shown
from pixcore_adapters.outputs.report.figures import ValueCounts
from pixcore_adapters.outputs.report.timeline import outcome, timeline
from pixcore_adapters.thumbnails import Encoding

# The page's first bytes. They distinguish a report from other files.
SIGN = b'<!doctype html>\n<meta charset="utf-8">\n<meta name="generator" content="pixcore report">\n'

_WEB_ADDRESS = re.compile(r"""https?://[^\s\x00-\x20\x7f"'<>\\]+""", re.IGNORECASE)
_PACKAGE = "pixcore_adapters.outputs.report"
_STYLE = ("base", "filters", "details", "choosing", "report")
_SCRIPT = (
    *("basics", "images", "filters", "details", "choosing", "selecting", "pairs"),
    *("report", "dropped", "chosen"),
)
_OUTCOME = ("outcome", "detail", "rescuable")  # of images that were left out
_BARS = 8


def check(target: Path) -> None:
    """Raise an error unless ``target`` is free, or an earlier report that may be replaced.

    Raises:
        InvalidRequest: Another file or folder is there, or the folder for it is missing.
        WorkspaceFull, TransientError: As the local disk raises them.
    """
    with local_disk("reading the file at the report's place"):
        if target.is_dir() or (target.exists() and not _is_report(target)):
            raise InvalidRequest(f"{target} exists and is not a report of pixcore; choose another file with --out")
        if not target.parent.is_dir():
            raise InvalidRequest(f"{target.parent} is not a folder; create it or choose another file with --out")


def write(report: Report, target: Path) -> int:
    """Write the page to a file beside ``target``, then move it there in one step; return its size in bytes.

    Raises:
        InvalidRequest, WorkspaceFull, TransientError: As for ``check``.
    """
    check(target)
    with local_disk("writing the report"):
        beside = target.with_name(f".{uuid4().hex}.html")
        try:
            with beside.open("xb") as file:
                for part in render(report):
                    file.write(part)
                size = file.tell()
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    return size


def render(report: Report) -> Iterator[bytes]:
    """Yield the page in parts."""
    yield SIGN
    style = Markup(parts.style(_PACKAGE, _STYLE))  # noqa: S704 - files of this package
    script = Markup(parts.script(_PACKAGE, _SCRIPT))  # noqa: S704 - the same
    page = _environment().get_template("report.html")
    for text in page.generate(
        report=report,
        style=style,
        script=script,
        policy=_policy(style, script),
        data=_data(report),
        timeline=timeline(report.lines),
    ):
        yield text.encode(errors="xmlcharrefreplace")  # for lone surrogates, which UTF-8 cannot hold


def _is_report(file: Path) -> bool:
    with file.open("rb") as existing:
        return existing.read(len(SIGN)) == SIGN


def _policy(style: str, script: str) -> str:
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{directive} {source}" for directive, source in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    made = parts.page_environment(_PACKAGE)
    made.filters |= {
        "size": _size,
        "extent": _extent,
        "percent": _percent,
        "reason": lambda reason: reason.replace("_", " "),
        "moment": _moment,
        "duration": _duration,
        "top": _top,
        "outcome": outcome,
    }
    made.tests["web_address"] = lambda text: bool(_WEB_ADDRESS.fullmatch(text))
    made.globals |= {"share": charts.share, "columns": charts.columns}
    return made


def _data(report: Report) -> Iterator[Markup]:
    """Yield the images as JSON that is safe in a script element, one image a line. Holds one line in memory."""
    coding = Coding()
    listed = list(dict.fromkeys(column for shown in report.images for column in shown.row if column not in COLUMNS))
    for shown in report.images:  # the values come first in the page, so all must be known
        _line(shown, listed, coding)
    head = {
        "dataset": report.dataset,
        "type": report.encoding,
        "preview_type": Encoding.WEBP,
        "side": report.side,
        "columns": ["chunk", *COLUMNS, *(f"list:{column}" for column in listed), *_OUTCOME, "thumbnail"],
        "values": coding.values,
    }
    yield safe_json(head).removesuffix("}")
    dropped = (_dropped(one, report.kept) for one in (*report.dropped.pairs, *report.dropped.others))
    images = ([*_line(shown, listed, coding), b64encode(shown.thumbnail).decode()] for shown in report.images)
    yield Markup(',"dropped":[')
    yield from _items(dropped)
    yield Markup('],"images":[')
    yield from _items(images)
    yield Markup("]}")


def _items(items: Iterable[object]) -> Iterator[Markup]:
    """Yield the items of a list in JSON, one a line."""
    for number, item in enumerate(items):
        yield Markup(",") if number else Markup("")
        yield Markup("\n")
        yield safe_json(item)


def _line(shown: Shown, listed: Sequence[str], coding: Coding) -> list[object]:
    """Return the values of an image in the order of the columns, without its thumbnail."""
    return [
        shown.chunk,
        *(coding.coded(column, shown.row.get(column, "")) for column in COLUMNS),
        *(str(shown.row.get(column, "")) for column in listed),
        *(coding.coded(column, "") for column in _OUTCOME),
    ]


def _dropped(one: Dropped, kept: Mapping[str, int]) -> Mapping[str, object]:
    """Return what the script shows of a dropped image; ``kept`` is the place of the image that stays."""
    line = {key: one.line[key] for key in ("outcome", "sha256", "url", "detail", "twin_url") if key in one.line}
    numbers = {key: one.line.get(key, 0) for key in ("width", "height", "bytes")}
    picture = b64encode(one.preview).decode()
    rest = {"rescuable": int(one.rescuable), "kept": kept.get(one.twin), "picture": picture}
    return {"chunk": one.chunk, **line, **numbers, **rest}


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":  # noqa: PLR2004 - the step between prefixes
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"  # noqa: PLR2004 - 3 digits


def _extent(row: Mapping[str, object]) -> str:
    width, height, size = (row.get(column) for column in ("width", "height", "bytes"))
    return f"{width} \xd7 {height}" + (f", {_size(size)}" if isinstance(size, int) else "")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _top(counts: ValueCounts) -> ValueCounts:
    """Return the most frequent values, and the sum of the others."""
    if len(counts) <= _BARS + 1:
        return counts
    others = counts[_BARS:]
    return [*counts[:_BARS], (f"{len(others):,} others", sum(count for _, count in others))]
