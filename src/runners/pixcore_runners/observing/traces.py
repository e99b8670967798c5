"""Traces of OpenTelemetry: a span for each attempt at a chunk, and within it for its phases and its puts.

The program around pixcore configures OpenTelemetry, for example ``opentelemetry-instrument pixcore worker celery``.
"""

import sys
import time
from typing import TYPE_CHECKING

from attrs import define, field

from pixcore.chunk.events import (
    BlobStored,
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkGivenBack,
    ChunkLost,
    Event,
    PhaseEntered,
    StepRetried,
)
from pixcore.model.chunks import ChunkKey, Phase
from pixcore_runners.observing.outcomes import outcome_of

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

_FLUSH = 5000  # milliseconds that the end of a process waits for the collector


def configured_traces() -> "Traces | None":
    """Return the observer, if this process has a provider of traces. Import nothing if it has none."""
    if "opentelemetry.trace" not in sys.modules:  # nothing has configured a provider
        return None
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return Traces(trace.get_tracer("pixcore"))


@define(eq=False)
class Traces:
    """An observer that makes the spans of chunks. Safe for threads that run different chunks."""

    tracer: "Tracer"
    _open: "dict[tuple[ChunkKey, int], _Spans]" = field(init=False, factory=dict)

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``."""
        ids = event.chunk, event.attempt
        if isinstance(event, ChunkClaimed):
            self._open[ids] = _Spans.begun(self.tracer, event)
        if spans := self._open.get(ids):
            spans.observe(event)
        if isinstance(event, ChunkEnded):
            self._open.pop(ids, None)

    def close(self) -> None:
        """Send the spans that wait. A process that a queue forks for a chunk ends without doing so."""
        from opentelemetry import trace  # noqa: PLC0415 - an extra

        flush = getattr(trace.get_tracer_provider(), "force_flush", None)  # only of the SDK's provider
        if flush:
            flush(_FLUSH)


@define(eq=False)
class _Spans:
    """The open spans of one attempt. The span of the phase is the current one of the thread."""

    tracer: "Tracer"
    chunk: "_Current"
    phase: "_Current"

    @classmethod
    def begun(cls, tracer: "Tracer", event: ChunkClaimed) -> "_Spans":
        """Begin the spans of the attempt and of its first phase."""
        chunk = _Current.of(tracer, "chunk")
        chunk.span.set_attributes(
            {
                "pixcore.dataset": event.chunk.dataset,
                "pixcore.chunk": event.chunk.id,
                "pixcore.attempt": event.attempt,
                "pixcore.target": event.request.target,
            }
        )
        return cls(tracer, chunk, _Current.of(tracer, Phase.INIT))

    def observe(self, event: Event) -> None:
        """Go on with an event after the first."""
        match event:
            case PhaseEntered(phase=phase):
                self.phase.end()
                self.phase = _Current.of(self.tracer, phase)
            case StepRetried(failures=failures, wait=wait, error=error):
                attributes: dict[str, int | float | str] = {
                    "pixcore.failures": failures,
                    "pixcore.wait": wait,
                    "pixcore.error": error,
                }
                self.phase.span.add_event("retry", attributes)
            case BlobStored(key=key, bytes=size, seconds=seconds):
                end = time.time_ns()
                put = self.tracer.start_span("put", start_time=end - int(seconds * 1e9))
                put.set_attributes({"pixcore.key": key, "pixcore.bytes": size})
                put.end(end)
            case ChunkEnded():
                self._end(event)

    def _end(self, event: ChunkEnded) -> None:
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an extra

        self.phase.end()
        self.chunk.span.set_attribute("pixcore.outcome", outcome_of(event))
        match event:
            case ChunkCompleted(result=result):
                self.chunk.span.set_attributes(
                    {"pixcore.accepted": result.progress.accepted, "pixcore.bytes": result.bytes}
                )
            case ChunkFailed(error=error) | ChunkGivenBack(error=error) | ChunkLost(error=error):
                self.chunk.span.set_status(Status(StatusCode.ERROR, error))
        self.chunk.end()


@define(eq=False)
class _Current:
    """A span that is the current one of this thread until it ends, so that spans of libraries are within it."""

    span: "Span"
    _token: "Token[Context]"

    @classmethod
    def of(cls, tracer: "Tracer", name: str) -> "_Current":
        """Begin a span within the current one."""
        from opentelemetry import context, trace  # noqa: PLC0415 - an extra

        span = tracer.start_span(name)
        return cls(span, context.attach(trace.set_span_in_context(span)))

    def end(self) -> None:
        """End the span."""
        from opentelemetry import context  # noqa: PLC0415 - an extra

        context.detach(self._token)
        self.span.end()
