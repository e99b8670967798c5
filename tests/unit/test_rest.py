"""A worker rests while its machine or a service does not work, and goes on when a probe passes."""

import os
import threading
from collections.abc import Generator, Iterable
from itertools import count
from pathlib import Path

import pytest
from attrs import define, field
from memory_assembly import MemoryAssembly, picture
from rq.exceptions import StopRequested

from pixcore import (
    Accepted,
    ChunkKey,
    Download,
    Fault,
    MachineUnfit,
    PixcoreError,
    Rejected,
    RetryPolicy,
    Status,
    StoreDenied,
    StoreFull,
    StoreNotFound,
    WorkspaceFull,
)
from pixcore.chunk.events import ChunkCompleted, ChunkGivenBack
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.validator.memory import MemoryValidator
from pixcore_runners.assembly import rest as resting
from pixcore_runners.assembly.fitness import find_fault
from pixcore_runners.assembly.rest import Rest, SharedRest
from pixcore_runners.direct import threads as direct
from pixcore_runners.direct.threads import run_chunks

FULL = WorkspaceFull("No space left on device")
KEY = ChunkKey("d", 1)


@define
class Machine:
    """A worker's surroundings, which do not work for a number of probes; waits take no time."""

    faults: int = 0
    now: float = 1000.0
    waits: list[float] = field(factory=list)
    rooms: list[tuple[int, int]] = field(factory=list)
    shared: SharedRest = field(factory=SharedRest)
    status: MemoryStatusRepo = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.status = MemoryStatusRepo(lambda: self.now)

    def rest(self, patience: float | None = None) -> Rest:
        """Return the rest of the worker."""
        clock = lambda: self.now  # noqa: E731 - read at each call
        return Rest(self.shared, self.probe, lambda: self.status, self.wait, clock, patience, "m:1")

    def probe(self, work: int, store: int) -> PixcoreError | None:
        """Fail as often as planned."""
        self.rooms.append((work, store))
        self.faults -= 1
        return FULL if self.faults >= 0 else None

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        assert [each.reason for each in self.status.overview().resting] == ([str(FULL)] if self.faults >= 0 else [])
        self.waits.append(seconds)
        self.now += seconds


def never() -> bool:
    """Return that the worker is not to stop."""
    return False


def test_a_worker_that_is_fit_does_not_wait() -> None:
    """The check between two chunks must cost nothing."""
    machine = Machine()
    machine.rest().until_fit(never)
    assert (machine.waits, machine.rooms) == ([], [])


def test_a_rest_ends_with_the_first_probe_that_passes(caplog: pytest.LogCaptureFixture) -> None:
    """Operators see what is wrong once, from the first probe to the last; waits grow, within bounds."""
    machine = Machine(faults=12)
    machine.shared.observe(ChunkGivenBack(KEY, 1, "full", Fault.MACHINE, work=4096, store=7))
    with caplog.at_level("INFO", "pixcore"):
        machine.rest().until_fit(never)
    assert len(machine.waits) == 12
    assert machine.waits[0] < 4
    assert machine.waits[1] > machine.waits[0]
    assert max(machine.waits) < 130
    assert set(machine.rooms) == {(4096, 7)}
    assert not machine.shared.resting
    assert machine.status.overview().resting == ()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "this worker takes no chunks",
        f"this worker takes chunks again, after a rest of {sum(machine.waits):.0f} s",
    ]


def test_a_fault_that_no_probe_finds_slows_the_worker_down() -> None:
    """Without growing waits, a worker that gives everything back would hand the chunks round for ever."""
    machine = Machine()
    for _ in range(4):
        machine.shared.observe(ChunkGivenBack(KEY, 1, "full", Fault.MACHINE))
        machine.rest().until_fit(never)
    assert machine.waits == sorted(machine.waits)
    assert machine.waits[-1] > 10
    machine.shared.observe(ChunkCompleted(KEY, 1, None))
    machine.shared.observe(ChunkGivenBack(KEY, 1, "full", Fault.MACHINE))
    machine.rest().until_fit(never)
    assert machine.waits[-1] < 4


def test_a_worker_that_starts_unfit_rests_before_its_first_chunk(caplog: pytest.LogCaptureFixture) -> None:
    """Its first chunk would find the fault minutes later. The log says why, even if the next check passes."""
    machine = Machine(faults=2)
    machine.rest().begin_if_unfit()
    assert machine.shared.resting
    assert "the check before the first chunk has failed" in caplog.text
    machine.rest().until_fit(never)
    assert len(machine.waits) == 1


def test_a_worker_that_is_stopped_by_an_exception_rests_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    """RQ raises in the pause when a signal arrives; operators must not see a worker that is gone."""
    machine = Machine(faults=9)
    machine.shared.begin()
    rest = machine.rest()

    def stop(_: float) -> None:
        assert len(machine.status.overview().resting) == 1
        raise StopRequested

    rest.pause = stop
    with pytest.raises(StopRequested):
        rest.until_fit(never)
    assert machine.status.overview().resting == ()
    assert "takes chunks again" not in caplog.text


def test_a_worker_that_is_stopped_ends_its_rest() -> None:
    """A supervisor's SIGTERM must not wait for a disk."""
    machine = Machine(faults=99)
    machine.shared.begin()
    machine.rest().until_fit(lambda: len(machine.waits) == 2)
    assert len(machine.waits) == 2


# -- the direct runner -----------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make rests without waits."""
    monkeypatch.setattr(resting, "PACE", RetryPolicy(attempts=1, first=0.0, longest=0.0, jitter=0.0))


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters in memory, with six pictures."""
    return MemoryAssembly(tmp_path / "work", [picture(number) for number in range(6)])


class Refusing(MemoryBlobStore):
    """A store that has no room for the first archives."""

    left = 2

    def put(self, *args: object, **kwargs: object) -> object:
        """Refuse, or store the blob."""
        self.left -= 1
        if self.left >= 0:
            raise StoreFull("no space")
        return super().put(*args, **kwargs)


@pytest.mark.usefixtures("at_once")
def test_a_run_goes_on_once_there_is_room(assembly: MemoryAssembly) -> None:
    """The same run completes every chunk, and none has failed."""
    keys = [assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2) for index in range(3)]
    run_chunks(assembly.pipeline(store=Refusing()), keys, workers=1, stop=threading.Event())
    assert [(each.status, each.failures) for each in assembly.status.find("d")] == [(Status.COMPLETED, 0)] * 3


def expired(work: int, store: int) -> PixcoreError:
    """Find that the store refuses the credentials."""
    del work, store
    return StoreDenied("the token has expired; log in")


@pytest.mark.usefixtures("at_once")
def test_a_run_whose_patience_is_over_says_what_to_do(assembly: MemoryAssembly) -> None:
    """It ends, spends nothing, and the next run goes on."""
    keys = [assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2) for index in range(3)]

    class Denied(MemoryBlobStore):
        def put(self, *_: object, **__: object) -> object:
            raise StoreDenied("the token has expired; log in again")

    denied = assembly.pipeline(store=Denied(), probe=expired)
    with pytest.raises(MachineUnfit, match=r"^no chunk could be run for 0 s: the token has expired; log in$"):
        run_chunks(denied, keys, workers=1, stop=threading.Event(), patience=0)
    assert [(each.status, each.failures) for each in assembly.status.find("d")] == [(Status.PENDING, 0)] * 3
    run_chunks(assembly.pipeline(), keys, workers=1, stop=threading.Event())
    assert {each.status for each in assembly.status.find("d")} == {Status.COMPLETED}


@pytest.mark.usefixtures("at_once")
def test_another_run_completes_what_a_sick_one_cannot(assembly: MemoryAssembly) -> None:
    """Two runs of one dataset, one on a full disk: it failed chunk after chunk, and the next run had nothing to do."""
    keys = [assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2) for index in range(3)]

    class Denied(MemoryBlobStore):
        def put(self, *_: object, **__: object) -> object:
            raise StoreDenied("the token has expired; log in again")

    probes = iter([StoreDenied("the token has expired"), None])  # the attempt's, then that of the rest

    def probe(_work: int, _store: int) -> PixcoreError | None:
        found = next(probes, None)
        if found is None:
            run_chunks(assembly.pipeline(), keys, workers=1, stop=threading.Event())
        return found

    run_chunks(assembly.pipeline(store=Denied(), probe=probe), keys, workers=1, stop=threading.Event())
    assert [(each.status, each.failures) for each in assembly.status.find("d")] == [(Status.COMPLETED, 0)] * 3


def test_a_run_that_rests_ends_once_others_have_ended_its_chunks(
    assembly: MemoryAssembly, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rested until its patience was over, and then failed, although nothing was left to do."""
    caplog.set_level("INFO", "pixcore")
    monkeypatch.setattr(direct, "_BUSY", 0.001)
    monkeypatch.setattr(resting, "_POLL", 0.002)
    keys = [assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2) for index in range(3)]

    class Denied(MemoryBlobStore):
        def put(self, *_: object, **__: object) -> object:
            raise StoreDenied("the token has expired; log in again")

    calls = count()

    def probe(_work: int, _store: int) -> PixcoreError:
        if next(calls):  # the first one is that of the attempt
            run_chunks(assembly.pipeline(), keys, workers=1, stop=threading.Event())
        return StoreDenied("the token has expired")

    run_chunks(assembly.pipeline(store=Denied(), probe=probe), keys, workers=1, stop=threading.Event())
    assert "no chunk is left to run: other runs have ended all of them" in caplog.messages
    assert assembly.status.overview().resting == ()


def test_a_run_knows_between_two_looks_whether_a_chunk_is_left(assembly: MemoryAssembly) -> None:
    """A look that ended a pause was forgotten before the rest asked again, so the rest went on."""
    keys = [assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2) for index in range(2)]
    run_chunks(assembly.pipeline(), keys[:1], workers=1, stop=threading.Event())
    ended, unfinished = (direct._Waiting(iter(some), assembly.status) for some in (keys[:1], keys))
    assert [ended.is_any_left(()) for _ in range(2)] == [False, False]
    assert [unfinished.is_any_left(()) for _ in range(2)] == [True, True]
    assert unfinished.draw() == keys[1]


# -- the probe -------------------------------------------------------------------------------------------------------


class Good(MemoryValidator):
    """Accepts every file, because the validator in memory cannot read a JPEG."""

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Accept every download."""
        for download in downloads:
            download.path.write_bytes(picture(1))
            yield from super().validate([download])


def fault(folder: Path, **changed: object) -> PixcoreError | None:
    """Probe a machine on which everything works but what is changed."""
    status = MemoryStatusRepo()
    parts: dict[str, object] = {
        "validator": Good(),
        "status": status,
        "seen": MemorySeenImages(status),
        "store": LocalBlobStore(folder / "blobs"),
        **changed,
    }
    return find_fault(folder / "work", **parts)


def test_a_probe_of_a_good_machine_leaves_nothing(tmp_path: Path) -> None:
    """Neither in the work directory nor in the store, however often it is repeated."""
    store = LocalBlobStore(tmp_path / "blobs")
    assert fault(tmp_path, store=store, room=1 << 20, store_room=1 << 20) is None
    assert fault(tmp_path, store=store) is None
    assert list(store.list()) == []
    assert list((tmp_path / "work").iterdir()) == []


def test_a_probe_asks_for_the_room_that_was_lacking(tmp_path: Path) -> None:
    """Some bytes fit on a disk that is too small for a chunk."""
    disk = os.statvfs(tmp_path)
    too_much = disk.f_blocks * disk.f_frsize + (1 << 30)
    found = fault(tmp_path, room=too_much)
    assert isinstance(found, WorkspaceFull)
    assert str(tmp_path / "work") in str(found)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_probe_names_a_decoder_that_rejects_good_images(tmp_path: Path) -> None:
    """Every image of every chunk would be rejected."""
    found = fault(tmp_path, validator=MemoryValidator())
    assert isinstance(found, MachineUnfit)
    assert "the decoder rejects a good image (not_an_image" in str(found)


def test_a_probe_names_a_missing_bucket(tmp_path: Path) -> None:
    """A worker said that it was ready, and failed its chunks."""

    class Missing(MemoryBlobStore):
        def put(self, *_: object, **__: object) -> object:
            raise StoreNotFound("the bucket does not exist; create it")

    assert isinstance(fault(tmp_path, store=Missing()), StoreNotFound)


def test_a_probe_needs_no_right_to_delete(tmp_path: Path) -> None:
    """Workers do not, and a blob that stays must not make the next probe fail."""

    class Permanent(MemoryBlobStore):
        def delete(self, key: str) -> None:
            raise StoreDenied(f"{key} may not be deleted")

    store = Permanent()
    assert [fault(tmp_path, store=store) for _ in range(2)] == [None, None]
