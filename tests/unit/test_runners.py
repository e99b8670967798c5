"""All runners have one interface, and each is found by its line of the table."""

import gc
import threading
import weakref
from contextlib import nullcontext
from inspect import signature
from pathlib import Path

import pytest
from command import at_home

from pixcore import ChunkRecord, ChunkRequest, InvalidRequest, Slice, Status
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.direct.runner import DirectRunner
from pixcore_runners.queueing.runner import RUNNERS, Runner, open_runner
from pixcore_runners.settings import SecretUrl, Settings

BROKER = SecretUrl("redis://localhost:6379/0")


def records(assembly: Assembly, number: int) -> list[ChunkRecord]:
    """Plan chunks whose only candidate does not exist."""
    requests = [ChunkRequest(n, "cat", 1, [Slice("folder", "/none", n, n + 1)], "cats") for n in range(number)]
    return [assembly.status.get(chunk.key) for chunk in assembly.status.ensure(requests)]


class NoWaiting(threading.Event):
    """A stop that is never set. A wait for it, which is how workers wait between tries, ends at once."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return at once whether it is set, however long the timeout."""
        return super().wait(timeout and 0)


def direct(assembly: Assembly) -> DirectRunner:
    """Return a direct runner that discards its events and does not wait between tries."""
    return DirectRunner(assembly, NoWaiting(), lambda _: nullcontext(lambda _: None))


@pytest.fixture
def assembly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Assembly:
    """Return an assembly with everything in memory."""
    at_home(tmp_path, monkeypatch)
    return assemble(Settings(store="memory://", status="memory://", work=tmp_path / "work", max_failures=1))


def test_every_runner_is_an_instance_of_the_interface(assembly: Assembly) -> None:
    """The parameters of each method must be equal too, which ``isinstance`` does not compare."""
    runners = [direct(assembly), *(open_runner(name, Settings(broker=BROKER)) for name in RUNNERS)]
    for runner in runners:
        assert isinstance(runner, Runner)
        for method in ("send", "discard", "waiting", "workers", "work"):
            expected = list(signature(getattr(Runner, method)).parameters)[1:]
            assert list(signature(getattr(runner, method)).parameters) == expected


def test_an_unknown_runner_is_refused() -> None:
    """The message must list the existing runners."""
    with pytest.raises(InvalidRequest, match="unknown runner 'dask'; use one of: celery, rq"):
        open_runner("dask", Settings(broker=BROKER))


def test_the_direct_runner_queues_each_chunk_once(assembly: Assembly) -> None:
    """A chunk that already waits is not added again, and urgent chunks come first in their order."""
    first, second, third, fourth = records(assembly, 4)
    runner = direct(assembly)
    assert runner.send([third, third]) == 1
    assert runner.send([third, fourth]) == 1
    assert runner.send([first, second], ahead=True) == 2
    assert runner.waiting() == 4
    assert list(runner._drawn()) == [record.chunk.key for record in (first, second, third, fourth)]


def test_the_direct_runner_works_until_its_queue_is_empty(assembly: Assembly) -> None:
    """Failed chunks also leave the queue, and an empty queue ends the work at once."""
    runner = direct(assembly)
    assert runner.work(2) == 0
    runner.send(records(assembly, 3))
    assert runner.work(2) == 0
    assert runner.waiting() == 0
    assert {record.status for record in assembly.status.find("cats")} == {Status.FAILED}


def test_what_the_caller_drops_after_a_run_is_collected(assembly: Assembly) -> None:
    """A run keeps the garbage collector off all objects; a notebook that lives on must not keep them for ever."""
    cycle = NoWaiting()
    cycle.itself = cycle
    runner = direct(assembly)
    runner.send(records(assembly, 1))
    runner.work(1)
    dropped = weakref.ref(cycle)
    del cycle
    gc.collect()
    assert dropped() is None
