"""Whose fault it is: a chunk pays for its own faults and its source's, not for those of a machine or a service."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from memory_assembly import MemoryAssembly, picture

from pixcore import (
    BlobRefused,
    ChunkKey,
    ChunkRequest,
    Download,
    Fault,
    LibraryMissing,
    MachineUnfit,
    Miss,
    PixcoreError,
    Quality,
    Slice,
    Status,
    StoreDenied,
    StoreFull,
    StoreNotFound,
    StoreUnavailable,
    WorkspaceFull,
)
from pixcore.chunk.events import ChunkEnded, ChunkGivenBack
from pixcore.chunk.workspace import local_disk
from pixcore.errors import fault_of
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.validator.memory import MemoryValidator


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters in memory, with ten good pictures."""
    return MemoryAssembly(tmp_path / "work", [picture(number) for number in range(10)])


class Refusing:
    """A store whose every put raises the same error."""

    def __init__(self, error: PixcoreError) -> None:
        self.error = error

    def put(self, *_: object, **__: object) -> None:
        """Raise the error."""
        raise self.error


def ended(assembly: MemoryAssembly, key: ChunkKey) -> tuple[Status, int, ChunkEnded]:
    """Return the chunk's status, its failures and its last event."""
    record = assembly.status.get(key)
    last = assembly.events[-1]
    assert isinstance(last, ChunkEnded)
    return record.status, record.failures, last


@pytest.mark.parametrize(
    "error",
    [
        StoreDenied("expired token"),
        StoreNotFound("no such bucket"),
        StoreUnavailable("503"),
    ],
)
@pytest.mark.parametrize("confirmed", [True, False])
def test_a_service_that_refuses_everybody_costs_no_attempt(
    assembly: MemoryAssembly, error: PixcoreError, confirmed: bool
) -> None:
    """If the probe finds the fault too, nothing is spent. If not, it costs one of the tries, never all at once."""
    key = assembly.chunk(5)
    with pytest.raises(type(error)):
        assembly.pipeline(store=Refusing(error), probe=lambda *_: error if confirmed else None).run(key)
    status, failures, last = ended(assembly, key)
    assert (status, failures) == (Status.PENDING, 0 if confirmed else 1)
    assert isinstance(last, ChunkGivenBack) == confirmed
    assert assembly.status.get(key).error == str(error)
    assembly.later()
    assembly.pipeline().run(key)
    assert assembly.status.get(key).status is Status.COMPLETED


def test_a_blob_that_the_store_refuses_is_the_chunks_fault(assembly: MemoryAssembly) -> None:
    """An archive that is too large for the store stays too large, so no worker may rest because of it."""
    key = assembly.chunk(5)
    with pytest.raises(BlobRefused):
        assembly.pipeline(store=Refusing(BlobRefused("too large")), probe=lambda *_: StoreDenied("no")).run(key)
    assert ended(assembly, key)[:2] == (Status.FAILED, 1)


def test_a_store_without_room_names_the_room_that_the_archive_needs(assembly: MemoryAssembly) -> None:
    """A probe of a few bytes would pass, and the next archive would fail again."""
    key = assembly.chunk(5)
    with pytest.raises(StoreFull):
        assembly.pipeline(store=Refusing(StoreFull("no space"))).run(key)
    status, failures, last = ended(assembly, key)
    assert (status, failures) == (Status.PENDING, 0)
    assembly.pipeline().run(key)
    done = assembly.status.get(key).result
    assert isinstance(last, ChunkGivenBack)
    assert done is not None
    assert (last.fault, last.work, last.store) == (Fault.SERVICE, 0, done.bytes)


def test_a_full_work_disk_names_the_room_that_was_not_enough(
    assembly: MemoryAssembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the cleanup the disk has room again, but not enough for the chunk that filled it."""
    held, free = 1 << 20, 4096

    class Filling(MemoryDownloader):
        def download(self, slices: Any, into: Path, *_: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - as the port
            (into / "large").write_bytes(bytes(held))
            monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((1, 1, 0, 0, free, 0, 0, 0, 0, 0)))
            with local_disk("writing an image"):
                raise OSError(28, "No space left on device")
            yield from super().download(slices, into)

    key = assembly.chunk(5)
    with pytest.raises(WorkspaceFull):
        assembly.pipeline(downloader=Filling({})).run(key)
    status, failures, last = ended(assembly, key)
    assert (status, failures) == (Status.PENDING, 0)
    assert isinstance(last, ChunkGivenBack)
    assert last.fault is Fault.MACHINE
    assert held + free < last.work < 1.2 * held
    assert not assembly.left()


def test_a_machine_that_rejects_every_image_is_found_out(assembly: MemoryAssembly) -> None:
    """A broken decoder calls good images damaged; the chunk must not fail for good because of it."""
    assembly.pictures[:] = [b"no picture"] * 10
    key = assembly.chunk(5)
    with pytest.raises(PixcoreError):
        assembly.pipeline(probe=lambda *_: MachineUnfit("the decoder rejects a good image")).run(key)
    assert ended(assembly, key)[:2] == (Status.PENDING, 0)
    assert assembly.status.get(key).error == "the decoder rejects a good image"
    with pytest.raises(PixcoreError):
        assembly.pipeline(probe=lambda *_: None).run(key)
    assert ended(assembly, key)[:2] == (Status.FAILED, 1)


def test_a_decoder_that_does_not_start_is_the_machines_fault(assembly: MemoryAssembly) -> None:
    """Another machine can decode the images."""

    class Broken(MemoryValidator):
        def validate(self, downloads: Any) -> Any:  # noqa: ANN401 - as the port
            raise MachineUnfit("the decoder child did not start")
            yield from downloads

    key = assembly.chunk(5)
    with pytest.raises(MachineUnfit):
        assembly.pipeline(validator=Broken(), probe=lambda *_: MachineUnfit("no decoder")).run(key)
    assert ended(assembly, key)[:2] == (Status.PENDING, 0)


def test_a_machine_without_a_filter_leaves_the_chunk_to_others(assembly: MemoryAssembly) -> None:
    """Planning found the filter, so some machine has its package; no probe can know that this one lacks it."""
    part = Slice("memory", "q", 0, 10)
    request = ChunkRequest(0, "cat", 5, (part,), dataset="d", quality=Quality(filters=("theirs",)))
    (chunk,) = assembly.status.ensure([request])
    with pytest.raises(LibraryMissing, match="no filter 'theirs'; install the package"):
        assembly.pipeline().run(chunk.key)
    assert ended(assembly, chunk.key)[:2] == (Status.PENDING, 0)


def test_a_cancelled_chunk_is_not_given_back(assembly: MemoryAssembly) -> None:
    """A user's cancel ends the chunk, whatever is wrong with the worker that has it."""
    key = assembly.chunk(5)

    class Late(Refusing):
        def put(self, *_: object, **__: object) -> None:
            assembly.status.cancel("d")
            raise self.error

    with pytest.raises(StoreFull):
        assembly.pipeline(store=Late(StoreFull("no space"))).run(key)
    assert assembly.status.get(key).status is Status.FAILED
    assert assembly.status.get(key).error == "cancelled"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OSError(24, "Too many open files"), Fault.MACHINE),
        (OSError(2, "No such file"), Fault.CHUNK),
        (RuntimeError("a defect"), Fault.CHUNK),
        (WorkspaceFull("full"), Fault.MACHINE),
        (StoreFull("full"), Fault.SERVICE),
    ],
)
def test_foreign_errors_have_a_fault_too(error: Exception, fault: Fault) -> None:
    """An error that no adapter translates must not be blamed on a chunk if the machine has run out of something."""
    assert fault_of(error) is fault
