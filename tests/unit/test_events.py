"""Observers must not be able to harm the chunk that they observe."""

import logging

import pytest

from pixcore.chunk.events import ChunkEnded, Event, Observer, combined, shielded, silent
from pixcore.model.chunks import ChunkKey

EVENT = ChunkEnded(ChunkKey("cats", 1), attempt=1)


class TimeLimit(Exception):
    """The exception that a runner raises at any point; an ordinary exception to Python."""


def failing(error: BaseException) -> Observer:
    """Return an observer that always raises ``error``."""

    def observe(_: Event) -> None:
        raise error

    return observe


def test_a_failing_observer_is_reported_once_and_still_called(caplog: pytest.LogCaptureFixture) -> None:
    """A broken progress bar must neither fail the chunk nor log a line for each image."""
    received: list[Event] = []

    def observe(event: Event) -> None:
        received.append(event)
        raise RuntimeError("broken bar")

    notify = shielded(observe)
    with caplog.at_level(logging.WARNING, "pixcore"):
        notify(EVENT)
        notify(EVENT)
    (record,) = caplog.records
    assert record.name == "pixcore"
    assert "observe" in record.getMessage()
    assert "broken bar" in caplog.text
    assert received == [EVENT, EVENT]


@pytest.mark.parametrize("interrupt", [TimeLimit(), KeyboardInterrupt()])
def test_an_interrupt_passes_through(interrupt: BaseException) -> None:
    """A time limit that is raised inside an observer must still stop the chunk."""
    with pytest.raises(type(interrupt)):
        shielded(failing(interrupt), (TimeLimit,))(EVENT)


@pytest.mark.parametrize("interrupt", [TimeLimit(), KeyboardInterrupt()])
def test_an_interrupt_passes_through_combined_observers(interrupt: BaseException) -> None:
    """An interrupt must also pass through several observers combined."""
    observe = combined(silent, failing(interrupt), interrupts=(TimeLimit,))
    with pytest.raises(type(interrupt)):
        shielded(observe, (TimeLimit,))(EVENT)


def test_all_observers_are_called_in_order_even_if_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Metrics must go on after the progress bar has failed."""
    received: list[str] = []
    combined(lambda _: received.append("first"), failing(OSError("pipe")), lambda _: received.append("last"))(EVENT)
    assert received == ["first", "last"]
    assert len(caplog.records) == 1
