"""Draw charts as SVG. The style sheet has the colours and fonts."""

from collections.abc import Sequence

from attrs import frozen
from markupsafe import Markup

_WIDTH, _HEIGHT = 360, 150  # user units, about one pixel each
_TOP, _BOTTOM = 18, 22  # margins for the numbers above the columns and the names below
_GAP = 0.28  # of the width of a column

_LEAST = 0.4  # percent: the narrowest span that is visible


@frozen
class Span:
    """A span of time from ``began`` to ``ended``, in seconds of the same clock; ``kind`` is its CSS class."""

    began: float
    ended: float
    kind: str
    title: str


def share(value: float, most: float) -> Markup:
    """Draw a bar for ``value``; ``most`` would fill it. Screen readers skip it: the number is beside it as text."""
    width = 100 * value / most if most else 0
    return Markup(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="rest" width="100" height="8"/><rect class="part" width="{}" height="8"/></svg>'
    ).format(_short(width))


def columns(counts: Sequence[tuple[str, int]], about: str) -> Markup:
    """Draw a column for each count, in their order; ``about`` describes the chart for screen readers."""
    most = max((count for _, count in counts), default=0)
    room = _WIDTH / max(len(counts), 1)
    drawn = [
        _column(name, count, count / most if most else 0, (place * room, room))
        for place, (name, count) in enumerate(counts)
    ]
    values = "; ".join(f"{name}: {count}" for name, count in counts if count)
    return Markup('<svg class="columns" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
        _WIDTH,
        _HEIGHT,
        f"{about}. {values}",
        Markup('<line class="base" x1="0" x2="{}" y1="{}" y2="{}"/>').format(
            _WIDTH, _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM
        ),
        Markup().join(drawn),
    )


def _column(name: str, count: int, part: float, place: tuple[float, float]) -> Markup:
    left, room = place
    width, height = room * (1 - _GAP), (_HEIGHT - _TOP - _BOTTOM) * part
    top, middle = _HEIGHT - _BOTTOM - height, _short(left + room / 2)
    shown = Markup('<text class="figure" x="{}" y="{}">{}</text>').format(middle, _short(top - 5), f"{count:,}")
    return Markup(
        '<rect class="part" x="{}" y="{}" width="{}" height="{}" rx="1.5"/>{}<text class="name" x="{}" y="{}">{}</text>'
    ).format(
        _short(left + (room - width) / 2),
        _short(top),
        _short(width),
        _short(height),
        shown if count else "",
        middle,
        _HEIGHT - 6,
        name,
    )


def strip(spans: Sequence[Span], began: float, ended: float) -> Markup:
    """Draw the spans on one time line from ``began`` to ``ended``."""
    length = ended - began or 1.0
    drawn = Markup().join(
        Markup('<rect class="{}" x="{}" width="{}" height="10"><title>{}</title></rect>').format(
            span.kind,
            _short(min(100 * (span.began - began) / length, 100 - _LEAST)),
            _short(max(100 * (span.ended - span.began) / length, _LEAST)),
            span.title,
        )
        for span in spans
    )
    return Markup(
        '<svg class="strip" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format("; ".join(span.title for span in spans), drawn)


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
