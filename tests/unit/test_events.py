"""Whoever watches a chunk must not be able to harm it."""

import logging

import pytest

from pixcore.chunk.events import ChunkEnded, Event, Observer, combined, shielded, silent
from pixcore.model.chunks import ChunkKey

EVENT = ChunkEnded(ChunkKey("cats", 1), attempt=1)


class TimeLimit(Exception):
    """What a runner raises in the middle of anything: to Python, an ordinary exception."""


def failing(error: BaseException) -> Observer:
    """Make an observer that always raises."""

    def observe(_: Event) -> None:
        raise error

    return observe


def test_a_failing_observer_is_reported_once_and_told_on(caplog: pytest.LogCaptureFixture) -> None:
    """A broken progress bar must neither fail a chunk nor flood the log with a line an image."""
    told: list[Event] = []

    def observe(event: Event) -> None:
        told.append(event)
        raise RuntimeError("broken bar")

    tell = shielded(observe)
    with caplog.at_level(logging.WARNING, "pixcore"):
        tell(EVENT)
        tell(EVENT)
    (record,) = caplog.records
    assert record.name == "pixcore"
    assert "observe" in record.getMessage()
    assert "broken bar" in caplog.text
    assert told == [EVENT, EVENT]


@pytest.mark.parametrize("interrupt", [TimeLimit(), KeyboardInterrupt()])
def test_an_interrupt_passes_through(interrupt: BaseException) -> None:
    """A time limit that happens to strike inside an observer must still stop the chunk."""
    with pytest.raises(type(interrupt)):
        shielded(failing(interrupt), (TimeLimit,))(EVENT)


@pytest.mark.parametrize("interrupt", [TimeLimit(), KeyboardInterrupt()])
def test_an_interrupt_passes_through_combined_observers(interrupt: BaseException) -> None:
    """The same, where several watch."""
    observe = combined(silent, failing(interrupt), interrupts=(TimeLimit,))
    with pytest.raises(type(interrupt)):
        shielded(observe, (TimeLimit,))(EVENT)


def test_everyone_is_told_in_order_though_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The metrics must not stop because the progress bar broke."""
    told: list[str] = []
    combined(lambda _: told.append("first"), failing(OSError("pipe")), lambda _: told.append("last"))(EVENT)
    assert told == ["first", "last"]
    assert len(caplog.records) == 1
