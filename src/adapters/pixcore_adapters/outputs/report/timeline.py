"""When the chunks were worked on: their attempts on one line of time."""

from collections.abc import Mapping, Sequence

from attrs import frozen
from markupsafe import Markup

from pixcore.model.chunks import Attempt, Status
from pixcore_adapters.outputs.report.build import Line
from pixcore_adapters.outputs.report.charts import Span, strip

_KINDS = {Status.COMPLETED: "done", Status.FAILED: "failed", Status.PENDING: "again", None: "running"}


@frozen
class Timeline:
    """From the first attempt's beginning to the last known moment, Unix seconds; ``strips`` by the chunk's id."""

    began: float
    ended: float
    strips: Mapping[int, Markup]


def timeline(lines: Sequence[Line]) -> Timeline | None:
    """Draw the attempts; None where none is known."""
    attempts = [attempt for line in lines for attempt in line.attempts]
    if not attempts:
        return None
    began = min(attempt.began for attempt in attempts)
    ended = max(attempt.ended or attempt.began for attempt in attempts)
    return Timeline(
        began,
        ended,
        {
            line.record.chunk.id: strip([_span(attempt, ended) for attempt in line.attempts], began, ended)
            for line in lines
            if line.attempts
        },
    )


def outcome(attempt: Attempt) -> str:
    """What an attempt came to, in words."""
    match attempt.status:
        case None:
            return "running"
        case Status.PENDING:
            return "to be tried again" if attempt.error else "interrupted"
        case other:
            return str(other)


def _span(attempt: Attempt, last: float) -> Span:
    ended = last if attempt.ended is None else attempt.ended
    title = f"attempt {attempt.attempt}: {outcome(attempt)} after {ended - attempt.began:.1f} s"
    return Span(attempt.began, ended, _KINDS.get(attempt.status, "again"), title)
