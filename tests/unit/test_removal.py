"""Deleting and renaming whole datasets, interrupted at every call of a port."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from memory_assembly import Faults, Faulty, MemoryAssembly, picture

from pixcore.errors import InvalidRequest, StoreConflict, StoreDenied
from pixcore.model.chunks import Status
from pixcore.model.outcomes import OUTCOMES
from pixcore.stored.moving import Mover
from pixcore.stored.removal import Removed, delete_dataset, rename_dataset
from pixcore_adapters.status_repo.memory_datasets import MemoryDatasets


class Killed(Exception):
    """The process ends here."""


class Case:
    """A dataset ``d`` with a full chunk and a pending one, in memory."""

    def __init__(self, work: Path, faults: Faults) -> None:
        self.made = MemoryAssembly(work, [picture(number) for number in range(2)])
        self.made.pipeline().run(self.made.chunk(1, stop=1))
        self.made.chunk(1, index=1, start=1)
        self.datasets = MemoryDatasets(self.made.status, self.made.seen, self.made.decisions)
        self.faults = faults

    @property
    def ports(self) -> dict[str, Any]:
        """The ports with the planned faults."""
        store: Any = Faulty(self.made.store, self.faults)
        store.prepare_copy = None
        return {
            "mover": Mover(store, self.made.status.identity, sleep=self.made.naps.append, at_once=1),
            "datasets": Faulty(self.datasets, self.faults),
        }

    def rename(self) -> Removed:
        """Rename the dataset."""
        return rename_dataset("d", "new", status=self.made.status, **self.ports)

    def delete(self) -> Removed:
        """Delete the dataset."""
        return delete_dataset("d", **self.ports)

    def whole(self, name: str) -> bool:
        """Return whether the dataset exists, and then require that its archive and its outcomes are there."""
        records = list(self.made.status.find(name))
        for record in records:
            if result := record.result:
                archive = self.made.store.head(record.chunk.key.blob_key(self.made.archiver.suffix))
                outcomes = self.made.store.head(record.chunk.key.outcomes_key(OUTCOMES))
                assert result.outcomes
                assert (archive.url, archive.sha256) == (result.url, result.sha256)
                assert outcomes.sha256 == result.outcomes.sha256
        assert len(records) in (0, 2)
        return bool(records)

    def blobs(self, name: str) -> int:
        """Return how many blobs are below a name."""
        return len(list(self.made.store.list(name)))


def interrupted(work: Path, act: Callable[[Case], object], check: Callable[[Case], object]) -> int:
    """Interrupt ``act`` at every call of a port, each time in a new case, and ``check``; return how many calls."""
    step = 0
    while True:
        step += 1
        case = Case(work, Faults({step: Killed()}))
        try:
            act(case)
        except Killed:
            check(case)
        else:
            return step


def test_a_rename_leaves_one_whole_dataset_wherever_it_is_interrupted(tmp_path: Path) -> None:
    """There are never two halves, and the next call finishes what was begun."""

    def check(case: Case) -> None:
        assert case.whole("d") != case.whole("new")
        begun = list(case.datasets.changes())
        if begun or case.whole("d"):
            case.rename()
        assert (case.whole("d"), case.whole("new"), case.blobs("d"), case.blobs("new")) == (False, True, 0, 2)
        assert case.datasets.changes() == []

    assert interrupted(tmp_path, Case.rename, check) > 15


def test_a_deletion_is_finished_by_the_next_call(tmp_path: Path) -> None:
    """Whatever was deleted before it was interrupted."""

    def check(case: Case) -> None:
        if list(case.made.status.find("d")) or case.datasets.changes():
            case.delete()
        assert (list(case.made.status.find("d")), case.blobs("d"), case.datasets.changes()) == ([], 0, [])

    assert interrupted(tmp_path, Case.delete, check) > 8


def test_a_renamed_dataset_goes_on(tmp_path: Path) -> None:
    """Its pending chunk runs under the new name, and its next attempt may replace an archive that was copied."""
    case = Case(tmp_path, Faults())
    assert case.rename() == Removed(2, ())
    pending = next(case.made.status.find("new", Status.PENDING)).chunk.key
    case.made.pipeline().run(pending)
    full = next(case.made.status.find("new")).chunk.key
    case.made.status.reopen(full)
    case.made.pipeline().run(full)
    assert case.whole("new")
    assert case.made.status.get(full).attempt == 2


def test_files_of_others_stay_and_are_named(tmp_path: Path) -> None:
    """A user keeps notes beside the archives; another database has a dataset of the same name."""
    for act in (Case.delete, Case.rename):
        case = Case(tmp_path, Faults())
        note = tmp_path / "note"
        note.write_bytes(b"")
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        for key, metadata in (
            ("d/notes.txt", {}),
            ("d/data/chunk_99.zip", {"pixcore_status": "another"}),
            ("d/README.md", {}),
        ):
            case.made.store.put(key, note, sha256=empty, size=0, content_type="text/plain", metadata=metadata)
        assert act(case) == Removed(2, ("d/README.md", "d/data/chunk_99.zip", "d/notes.txt"))
        assert case.blobs("d") == 3


class NoDelete:
    """A store that this user may not delete from."""

    def __init__(self, store: Any) -> None:  # noqa: ANN401 - a store
        self._store = store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the store
        return getattr(self._store, name)

    def delete(self, key: str) -> None:
        """Refuse."""
        raise StoreDenied(f"{key} cannot be deleted")


def test_a_store_that_cannot_delete_keeps_the_dataset(tmp_path: Path) -> None:
    """Nothing is lost: neither a blob nor a row, and other commands are not blocked."""
    case = Case(tmp_path, Faults())
    store: Any = NoDelete(case.made.store)
    with pytest.raises(StoreDenied, match="cannot be deleted"):
        delete_dataset("d", mover=Mover(store, case.made.status.identity), datasets=case.datasets)
    assert case.whole("d")
    assert (case.blobs("d"), case.datasets.changes()) == (2, [])
    case = Case(tmp_path, Faults())
    store = NoDelete(case.made.store)
    with pytest.raises(StoreDenied, match="cannot be deleted"):
        rename_dataset(
            "d", "new", mover=Mover(store, case.made.status.identity), datasets=case.datasets, status=case.made.status
        )
    assert case.whole("d")
    assert (case.blobs("d"), case.datasets.changes()) == (2, [])


def test_a_name_that_the_store_uses_already_is_refused(tmp_path: Path) -> None:
    """Before anything is copied there, and also if another program is faster: then the copies are removed again."""
    case = Case(tmp_path, Faults())
    note = tmp_path / "note"
    note.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    def occupy(key: str) -> None:
        metadata = {"pixcore_status": "another"}
        case.made.store.put(key, note, sha256=empty, size=0, content_type="text/plain", metadata=metadata)

    occupy("new/notes.txt")
    with pytest.raises(InvalidRequest, match=r"the store has blobs below new/, such as new/notes\.txt"):
        case.rename()
    case.made.store.delete("new/notes.txt")
    outcomes = next(case.made.store.list("d/outcomes")).key

    class Slow:
        """Gives another program time before it reads the chunks."""

        def find(self, dataset: str) -> Any:  # noqa: ANN401 - records
            with suppress(StoreConflict):
                occupy(outcomes.replace("d/", "new/"))
            return case.made.status.find(dataset)

    slow: Any = Slow()
    with pytest.raises(StoreConflict, match="was not written by pixcore"):
        rename_dataset("d", "new", **case.ports, status=slow)
    assert case.whole("d")
    assert (case.blobs("new"), case.datasets.changes()) == (1, [])
