"""Whatever any port raises at any moment, the pipeline's promises hold."""

import errno
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from house import Faults, House, picture
from hypothesis import given
from hypothesis import strategies as st

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
from pixcore.audit import audit
from pixcore.events import ChunkClaimed, ChunkEnded, ImageAccepted
from pixcore.model import Outcome


class TimeLimit(Exception):
    """What a runner's time limit raises in the middle of anything."""


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
_PICTURES = st.lists(
    st.one_of(st.integers(0, 12).map(picture), st.just(b"no picture"), st.none()), min_size=1, max_size=8
)
_TARGET = 4


@given(pictures=_PICTURES, plan=st.dictionaries(st.integers(1, 60), _FAULTS, max_size=6), observer_fails=st.booleans())
def test_every_promise_survives_any_fault(
    pictures: list[bytes | None], plan: dict[int, BaseException], observer_fails: bool
) -> None:
    """Faults anywhere: nothing left behind, tries bounded, one last event, no chunk stuck, the archive exact."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder, "work"), pictures, Faults(plan))
        key = house.chunk(_TARGET)
        outcome = _until_settled(house, key, observer_fails=observer_fails)
        record = house.status.get(key)
        if isinstance(outcome, Done):
            assert record.status is Status.COMPLETED
            _archive_is_exact(house, key, outcome)
        else:
            assert isinstance(outcome, Exhausted)
            assert record.status is Status.FAILED
            assert record.error


def _until_settled(house: House, key: ChunkKey, *, observer_fails: bool) -> Outcome:
    def observe(event: object) -> None:
        house.events.append(event)
        if observer_fails:
            raise RuntimeError("the observer is broken")

    # each round either settles the chunk or uses up a failure or one of the planned faults
    for _ in range(len(house.faults.plan) + 4):
        house.events.clear()
        house.faults.calls.clear()
        try:
            outcome = house.pipeline(observe, interrupts=(TimeLimit,)).run(key)
        except BaseException:  # noqa: BLE001, S110 - any planned fault may come out, KeyboardInterrupt included
            pass
        else:
            if not isinstance(outcome, Busy | NotDue):
                _round_is_tidy(house)
                return outcome
        _round_is_tidy(house)
        house.later()
    raise AssertionError("the chunk never settled")


def _round_is_tidy(house: House) -> None:
    assert not house.left()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pixcore-lease")]
    calls = Counter(house.faults.calls)
    assert calls["download"] <= 3
    assert calls["pack"] <= 2
    assert calls["put"] <= 10  # five tries, each of which may replace an older attempt's blob
    if any(isinstance(event, ChunkClaimed) for event in house.events):
        assert [event for event in house.events if isinstance(event, ChunkEnded)] == house.events[-1:]
    assert sum(isinstance(event, ImageAccepted) for event in house.events) <= _TARGET


def _archive_is_exact(house: House, key: ChunkKey, done: Done) -> None:
    blob = house.store.head(key.blob_key(".json"))
    assert (blob.sha256, blob.size) == (done.result.sha256, done.result.bytes)
    with tempfile.NamedTemporaryFile() as file, house.store.open(blob.key) as stream:
        file.write(stream.read())
        file.flush()
        contents = house.archiver.contents(Path(file.name))
        assert len(contents.rows) == done.result.progress.accepted <= _TARGET
        assert not list(audit(contents))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Ten good pictures."""
    return House(tmp_path / "work", [picture(number) for number in range(10)])


def test_a_worker_that_lost_its_claim_changes_neither_row_nor_blob(house: House) -> None:
    """Two zombies with old attempts come back after the third attempt has completed."""
    key = house.chunk(_TARGET)
    zombies = []
    for _ in range(2):
        claimed = house.status.claim(key, "zombie", 60.0)
        zombies.append(claimed.claim)
        house.later()
    done = house.pipeline().run(key)
    before = house.status.get(key)
    for claim in zombies:
        with pytest.raises(ClaimLost):
            house.status.complete(claim, done.result)
        with pytest.raises(ClaimLost):
            house.status.fail(claim, "late", retry_in=None)
        with pytest.raises(ClaimLost):
            house.status.release(claim)
    assert house.status.get(key) == before
    assert before.status is Status.COMPLETED


def test_a_claim_lost_while_uploading_leaves_the_newer_result(house: House) -> None:
    """The lease runs out during the upload, another attempt completes: the first ends as ClaimLost, blob unchanged."""
    key = house.chunk(_TARGET)
    other = House(house.work, house.pictures[5:])
    other.status, other.seen, other.store = house.status, house.seen, house.store

    class Overtaken:
        def __getattr__(self, name: str) -> object:
            return getattr(house.store, name)

        def put(self, *args: object, **kwargs: object) -> object:
            if not other.events:
                house.later()
                other.pipeline().run(key)
            return house.store.put(*args, **kwargs)

    with pytest.raises(ClaimLost):
        house.pipeline(store=Overtaken()).run(key)
    record = house.status.get(key)
    assert record.status is Status.COMPLETED
    assert record.result is not None
    assert house.store.head(key.blob_key(".json")).sha256 == record.result.sha256
