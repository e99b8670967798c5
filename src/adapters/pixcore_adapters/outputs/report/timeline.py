"""Show when workers worked on the chunks: all attempts on one time line."""

from collections.abc import Mapping, Sequence

from attrs import frozen
from markupsafe import Markup

from pixcore.model.chunks import Attempt, Status
from pixcore_adapters.outputs.report.build import Line
from pixcore_adapters.outputs.report.charts import Span, strip

_KINDS = {Status.COMPLETED: "done", Status.FAILED: "failed", Status.PENDING: "again", None: "running"}


@frozen
class Timeline:
    """The time from the first attempt's start to the last known moment, in Unix seconds; ``strips`` by chunk id."""

    began: float
    ended: float
    strips: Mapping[int, Markup]


def timeline(lines: Sequence[Line]) -> Timeline | None:
    """Draw the attempts; return None if there are none."""
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
    """Return the outcome of an attempt as text."""
    match attempt.status:
        case None:
            return "running"
        case Status.PENDING:
            return "to be retried" if attempt.error else "interrupted"
        case other:
            return str(other)


def _span(attempt: Attempt, last: float) -> Span:
    ended = last if attempt.ended is None else attempt.ended
    title = f"attempt {attempt.attempt}: {outcome(attempt)} after {ended - attempt.began:.1f} s"
    return Span(attempt.began, ended, _KINDS.get(attempt.status, "again"), title)
