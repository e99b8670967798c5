"""Charts as SVG: values in, markup out. Colours and letters are the style sheet's."""

from collections.abc import Sequence

from attrs import frozen
from markupsafe import Markup

_WIDTH, _HEIGHT = 360, 150  # user units, about as many pixels as it gets
_TOP, _BOTTOM = 18, 22  # for the figures above the columns and the names below
_GAP = 0.28  # of a column's room

_SLIVER = 0.4  # percent: the narrowest span that is still seen


@frozen
class Span:
    """Something that lasted from ``began`` to ``ended``, seconds in one count; ``kind`` chooses its colour."""

    began: float
    ended: float
    kind: str
    title: str


def share(value: float, most: float) -> Markup:
    """A bar as long as ``value`` is of ``most``, for a cell that holds the figure as text, too."""
    width = 100 * value / most if most else 0
    return Markup(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="rest" width="100" height="8"/><rect class="part" width="{}" height="8"/></svg>'
    ).format(_short(width))


def columns(counts: Sequence[tuple[str, int]], about: str) -> Markup:
    """A column for each count, in their order; ``about`` says what the chart shows to those who do not see it."""
    most = max((count for _, count in counts), default=0)
    room = _WIDTH / max(len(counts), 1)
    drawn = [
        _column(name, count, count / most if most else 0, (place * room, room))
        for place, (name, count) in enumerate(counts)
    ]
    said = "; ".join(f"{name}: {count}" for name, count in counts if count)
    return Markup('<svg class="columns" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>').format(
        _WIDTH,
        _HEIGHT,
        f"{about}. {said}",
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
    """The spans side by side, on a line of time that runs from ``began`` to ``ended``."""
    length = ended - began or 1.0
    drawn = Markup().join(
        Markup('<rect class="{}" x="{}" width="{}" height="10"><title>{}</title></rect>').format(
            span.kind,
            _short(min(100 * (span.began - began) / length, 100 - _SLIVER)),
            _short(max(100 * (span.ended - span.began) / length, _SLIVER)),
            span.title,
        )
        for span in spans
    )
    return Markup(
        '<svg class="strip" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format("; ".join(span.title for span in spans), drawn)


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
