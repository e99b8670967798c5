"""Traces: the spans of an attempt, in their order and nesting, and nothing without a provider."""

from pathlib import Path

import pytest
from memory_assembly import MemoryAssembly, picture
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pixcore import NoValidImages, StoreUnavailable
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_runners.observing.traces import Traces, configured_traces


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Return where the spans that have ended are."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> TracerProvider:
    """Return a provider that keeps spans in memory."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(spans))
    return made


@pytest.fixture
def traces(provider: TracerProvider) -> Traces:
    """Return the observer."""
    return Traces(provider.get_tracer("pixcore"))


def parent(span: ReadableSpan, of: dict[int, str]) -> str | None:
    """Return the name of a span's parent."""
    return of[span.parent.span_id] if span.parent else None


def test_an_attempt_has_spans_for_its_phases_and_puts(
    tmp_path: Path, spans: InMemorySpanExporter, traces: Traces
) -> None:
    """An operator sees from the trace of a slow chunk which phase and which blob took the time."""

    class FailsOnce(MemoryBlobStore):
        failed = False

        def put(self, *args: object, **kwargs: object) -> object:
            if not self.failed:
                self.failed = True
                raise StoreUnavailable("once")
            return super().put(*args, **kwargs)

    assembly = MemoryAssembly(tmp_path / "work", [picture(0), picture(1)])
    chunk = assembly.chunk(2)
    assembly.pipeline(traces, store=FailsOnce()).run(chunk)
    found = spans.get_finished_spans()
    names = {span.context.span_id: span.name for span in found}
    assert len({span.context.trace_id for span in found}) == 1
    assert [(span.name, parent(span, names)) for span in sorted(found, key=lambda span: span.end_time or 0)] == [
        ("init", "chunk"),
        ("download", "chunk"),
        ("validate", "chunk"),
        ("compress", "chunk"),
        ("put", "upload"),
        ("put", "upload"),
        ("upload", "chunk"),
        ("complete", "chunk"),
        ("cleanup", "chunk"),
        ("chunk", None),
    ]
    attempt = dict(found[-1].attributes or {})
    assert {name: attempt[f"pixcore.{name}"] for name in ("dataset", "chunk", "attempt", "target", "outcome")} == {
        "dataset": chunk.dataset,
        "chunk": chunk.id,
        "attempt": 1,
        "target": 2,
        "outcome": "completed",
    }
    (upload,) = [span for span in found if span.name == "upload"]
    assert [event.name for event in upload.events] == ["retry"]
    keys = [str((span.attributes or {})["pixcore.key"]) for span in found if span.name == "put"]
    assert [key.rpartition("/")[2].partition(".")[0] for key in keys] == [f"chunk_{chunk.id}"] * 2
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_failed_attempt_is_an_error(tmp_path: Path, spans: InMemorySpanExporter, traces: Traces) -> None:
    """Backends count and show failed spans by their status."""
    assembly = MemoryAssembly(tmp_path / "work", [None])
    with pytest.raises(NoValidImages):
        assembly.pipeline(traces).run(assembly.chunk(1))
    chunk = spans.get_finished_spans()[-1]
    assert (chunk.name, chunk.status.is_ok) == ("chunk", False)
    assert (chunk.attributes or {})["pixcore.outcome"] == "failed"
    assert traces._open == {}


def test_without_a_provider_nothing_is_traced(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package may be installed for another program; only its configuration turns traces on."""
    assert configured_traces() is None
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    assert isinstance(configured_traces(), Traces)
