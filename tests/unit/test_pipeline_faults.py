"""Let any port raise any error at any call, and check that the pipeline keeps its guarantees."""

import errno
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_assembly import Faults, MemoryAssembly, copy, picture

from pixcore import (
    Busy,
    ChunkKey,
    ClaimLost,
    Done,
    Exhausted,
    InvalidRequest,
    NotDue,
    SourceChanged,
    SourceUnavailable,
    Status,
    StatusUnavailable,
    StoreConflict,
    StoreDenied,
    StoreUnavailable,
    WorkspaceFull,
)
from pixcore.chunk.events import ChunkClaimed, ChunkEnded, ImageAccepted
from pixcore.model.claims import Outcome
from pixcore.stored.check import check_contents


class TimeLimit(Exception):
    """The exception that a runner's time limit raises at any point."""


_FAULTS = st.sampled_from(
    [
        SourceUnavailable("source away"),
        StoreUnavailable("store away"),
        StatusUnavailable("status away"),
        SourceChanged("no result"),
        StoreDenied("no right"),
        StoreConflict("something else"),
        InvalidRequest("bad"),
        WorkspaceFull("full"),
        ClaimLost("taken"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "I/O error"),
        MemoryError(),
        RuntimeError("a defect"),
        TimeLimit("soft limit"),
        KeyboardInterrupt(),
        SystemExit(1),
    ]
)
_COPIES = st.builds(copy, st.integers(0, 12), st.sampled_from("ab"), st.sampled_from([60, 200]))
_PICTURES = st.lists(
    st.one_of(st.integers(0, 12).map(picture), _COPIES, st.just(b"no picture"), st.none()), min_size=1, max_size=8
)
_TARGET = 4


@given(pictures=_PICTURES, plan=st.dictionaries(st.integers(1, 60), _FAULTS, max_size=6), observer_fails=st.booleans())
def test_every_guarantee_survives_any_fault(
    pictures: list[bytes | None], plan: dict[int, BaseException], observer_fails: bool
) -> None:
    """After any faults: no leftovers, bounded tries, exactly one final event, no stuck chunk, a correct archive."""
    with tempfile.TemporaryDirectory() as folder:
        assembly = MemoryAssembly(Path(folder, "work"), pictures, Faults(plan))
        key = assembly.chunk(_TARGET)
        outcome = _until_settled(assembly, key, observer_fails=observer_fails)
        record = assembly.status.get(key)
        if isinstance(outcome, Done):
            assert record.status is Status.COMPLETED
            _archive_is_exact(assembly, key, outcome)
        else:
            assert isinstance(outcome, Exhausted)
            assert record.status is Status.FAILED
            assert record.error


def _until_settled(assembly: MemoryAssembly, key: ChunkKey, *, observer_fails: bool) -> Outcome:
    def observe(event: object) -> None:
        assembly.events.append(event)
        if observer_fails:
            raise RuntimeError("the observer is broken")

    # each round either settles the chunk or uses up a failure or one of the planned faults
    for _ in range(len(assembly.faults.plan) + 4):
        assembly.events.clear()
        assembly.faults.calls.clear()
        try:
            outcome = assembly.pipeline(observe, interrupts=(TimeLimit,)).run(key)
        except BaseException:  # noqa: BLE001, S110 - any planned fault may come out, KeyboardInterrupt included
            pass
        else:
            if not isinstance(outcome, Busy | NotDue):
                _round_is_tidy(assembly)
                return outcome
        _round_is_tidy(assembly)
        assembly.later()
    raise AssertionError("the chunk never settled")


def _round_is_tidy(assembly: MemoryAssembly) -> None:
    assert not assembly.left()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pixcore-lease")]
    calls = Counter(assembly.faults.calls)
    assert calls["download"] <= 3
    assert calls["pack"] <= 2
    assert calls["put"] <= 10  # five tries, each of which may replace an older attempt's blob
    if any(isinstance(event, ChunkClaimed) for event in assembly.events):
        assert [event for event in assembly.events if isinstance(event, ChunkEnded)] == assembly.events[-1:]
    assert sum(isinstance(event, ImageAccepted) for event in assembly.events) <= _TARGET


def _archive_is_exact(assembly: MemoryAssembly, key: ChunkKey, done: Done) -> None:
    blob = assembly.store.head(key.blob_key(".json"))
    assert (blob.sha256, blob.size) == (done.result.sha256, done.result.bytes)
    with tempfile.NamedTemporaryFile() as file, assembly.store.open(blob.key) as stream:
        file.write(stream.read())
        file.flush()
        contents = assembly.archiver.contents(Path(file.name))
        assert len(contents.rows) == done.result.progress.accepted <= _TARGET
        assert not list(check_contents(contents))


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters in memory, with ten good pictures to download."""
    return MemoryAssembly(tmp_path / "work", [picture(number) for number in range(10)])


def test_a_worker_that_lost_its_claim_changes_neither_row_nor_blob(assembly: MemoryAssembly) -> None:
    """Two workers with old attempts must change nothing after the third attempt has completed."""
    key = assembly.chunk(_TARGET)
    stale_claims = []
    for _ in range(2):
        claimed = assembly.status.claim(key, "stalled", 60.0)
        stale_claims.append(claimed.claim)
        assembly.later()
    done = assembly.pipeline().run(key)
    before = assembly.status.get(key)
    for claim in stale_claims:
        with pytest.raises(ClaimLost):
            assembly.status.complete(claim, done.result)
        with pytest.raises(ClaimLost):
            assembly.status.fail(claim, "late", retry_in=None)
        with pytest.raises(ClaimLost):
            assembly.status.release(claim)
    assert assembly.status.get(key) == before
    assert before.status is Status.COMPLETED


def test_a_claim_lost_while_uploading_leaves_the_newer_result(assembly: MemoryAssembly) -> None:
    """If another attempt completes during the upload, the first ends with ClaimLost and leaves the blob unchanged."""
    key = assembly.chunk(_TARGET)
    other = MemoryAssembly(assembly.work, assembly.pictures[5:])
    other.status, other.seen, other.store = assembly.status, assembly.seen, assembly.store

    class Overtaken:
        def __getattr__(self, name: str) -> object:
            return getattr(assembly.store, name)

        def put(self, *args: object, **kwargs: object) -> object:
            if not other.events:
                assembly.later()
                other.pipeline().run(key)
            return assembly.store.put(*args, **kwargs)

    with pytest.raises(ClaimLost):
        assembly.pipeline(store=Overtaken()).run(key)
    record = assembly.status.get(key)
    assert record.status is Status.COMPLETED
    assert record.result is not None
    assert assembly.store.head(key.blob_key(".json")).sha256 == record.result.sha256
