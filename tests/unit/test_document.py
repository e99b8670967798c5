"""The document of ``--json``, and the exit code that summarises it."""

import json
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from memory_assembly import MemoryAssembly, picture
from reports import a_record

from pixcore import ChunkRecord, ChunkRequest, Download, Miss, NoValidImages, Slice, StoreDenied
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_runners.cli.commands import DONE, NOTHING, PARTIAL
from pixcore_runners.cli.document import document, document_text, exit_code
from pixcore_runners.cli.tables import chunk_tables
from pixcore_runners.planning.advice import Ending


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters in memory, with four good pictures and a bad one."""
    return MemoryAssembly(tmp_path / "work", [*(picture(number) for number in range(4)), b"garbage"])


def records(assembly: MemoryAssembly) -> list[ChunkRecord]:
    """Return the records of all chunks."""
    return list(assembly.status.find("d"))


def test_the_same_state_gives_the_same_text(assembly: MemoryAssembly) -> None:
    """The order in which reasons occurred must not matter, because a script may compare documents."""
    assembly.pictures[:] = [b"garbage", None, picture(2), picture(2), picture(3)]
    assembly.pipeline().run(assembly.chunk(5))
    text = json.dumps(document("d", records(assembly)))
    assert text == json.dumps(document("d", records(assembly)))
    (chunk,) = json.loads(text)["chunks"]
    assert list(chunk["rejected"].items()) == [("duplicate", 1), ("not_an_image", 1)]
    assert chunk["missed"] == {"gone": 1}
    assert (chunk["accepted"], chunk["shortfall"], chunk["target"]) == (2, 3, 5)


def test_an_untouched_chunk_has_every_key_and_no_null(assembly: MemoryAssembly) -> None:
    """Programs must find the same keys for every chunk."""
    key = assembly.chunk(3)
    (chunk,) = document("d", records(assembly))["chunks"]
    assert chunk == {
        "id": key.id,
        "status": "pending",
        "keyword": "cat",
        "url": "",
        "sha256": "",
        "bytes": 0,
        "target": 3,
        "accepted": 0,
        "shortfall": 3,
        "rejected": {},
        "missed": {},
        "conversion": {},
        "taken": [],
        "attempt": 0,
        "seconds": {},
        "error": "",
    }


def test_a_chunk_that_could_not_be_stored_has_its_error_and_no_accepted_image(assembly: MemoryAssembly) -> None:
    """Images count as accepted only if they are stored."""
    with pytest.raises(StoreDenied):
        assembly.pipeline(store=_Closed()).run(assembly.chunk(5))
    (chunk,) = document("d", records(assembly))["chunks"]
    assert (chunk["status"], chunk["accepted"], chunk["shortfall"]) == ("pending", 0, 5)
    assert (chunk["rejected"], chunk["error"]) == ({"not_an_image": 1}, "no right to write")


class _Closed(MemoryBlobStore):
    def put(self, *_: object, **__: object) -> object:
        raise StoreDenied("no right to write")


def test_a_failed_retry_still_describes_the_stored_archive(assembly: MemoryAssembly) -> None:
    """Counts and checksum are those of the stored archive; attempt and error are those of the last attempt."""
    key = assembly.chunk(5)
    assembly.pipeline().run(key)
    (before,) = document("d", records(assembly))["chunks"]
    assembly.status.reopen(key)
    assembly.pictures[:] = [b"garbage"] * 5
    with pytest.raises(NoValidImages) as raised:
        assembly.pipeline().run(key)
    (after,) = document("d", records(assembly))["chunks"]
    assert after == {**before, "status": "failed", "attempt": 2, "error": str(raised.value)}


def ended(assembly: MemoryAssembly) -> int:
    """Return the exit code of a run that left these chunks."""
    ending = Ending(lambda _: ())
    deque(ending.counted(records(assembly)), maxlen=0)
    return exit_code(ending)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_printed_document_is_made_a_chunk_at_a_time(assembly: MemoryAssembly, count: int) -> None:
    """It is the document, indented; a dataset of a million chunks must not be held as one."""
    for index in range(count):
        assembly.pipeline().run(assembly.chunk(2, index=index, start=2 * index, stop=2 * index + 2))
    found = records(assembly)
    read: list[ChunkRecord] = []
    parts = list(document_text("d\n", (read.append(record) or record for record in found)))
    assert "".join(parts) == json.dumps(document("d\n", found), indent=2) + "\n"
    read.clear()
    for part in document_text("d", (read.append(record) or record for record in found)):
        assert part.count('"id": ') == 0 or f'"id": {read[-1].chunk.id}' in part  # none is read ahead


def test_the_tables_of_many_chunks_are_made_one_after_the_other() -> None:
    """The first of a million lines must be printed before the last record is read, and none lost between two tables."""
    found, read = a_record(1, accepted=1), 0

    def records_read() -> Iterator[ChunkRecord]:
        nonlocal read
        for _ in range(2_001):
            read += 1
            yield found

    tables = chunk_tables(records_read())
    assert (next(tables).row_count, read) == (1000, 1001)
    assert [table.row_count for table in tables] == [1000, 1]


@pytest.mark.parametrize(
    ("targets", "code"),
    [([2, 2], DONE), ([2, 3], PARTIAL), ([3], PARTIAL)],
)
def test_the_exit_code_of_completed_chunks(assembly: MemoryAssembly, targets: list[int], code: int) -> None:
    """The code is 0 if every chunk reached its target, and 3 if any did not."""
    for index, target in enumerate(targets):
        assembly.pipeline().run(assembly.chunk(target, index=index, start=2 * index, stop=2 * index + 2))
    assert ended(assembly) == code


@pytest.mark.parametrize(
    ("faulty", "code"),
    [(b"garbage", DONE), ("http_404", DONE), ("opted_out", DONE), ("timeout", PARTIAL), ("gone", PARTIAL)],
)
def test_a_chunk_of_all_that_a_list_holds_is_complete_when_all_was_tried(
    assembly: MemoryAssembly, faulty: bytes | str, code: int
) -> None:
    """Nothing is left to do unless a retry, or a retry after the user mended something, may help."""
    assembly.pictures[:2] = [picture(0), faulty if isinstance(faulty, bytes) else None]

    class Listed(MemoryDownloader):
        def download(self, *args: Any, **more: Any) -> Generator[Download | Miss]:  # noqa: ANN401 - the port's
            for item in super().download(*args, **more):
                yield (
                    evolve(item, reason=str(faulty), permanent=faulty != "timeout") if isinstance(item, Miss) else item
                )

    whole = ChunkRequest(0, "cat", 2, [Slice("memory", "q", 0, 2, "lists/q")], "d", whole=True)
    (chunk,) = assembly.status.ensure([whole])
    assembly.pipeline(downloader=Listed({"q": assembly.pictures})).run(chunk.key)
    assert ended(assembly) == code


def test_the_exit_code_with_unfinished_chunks(assembly: MemoryAssembly) -> None:
    """With unfinished chunks the code depends on whether any chunk is stored."""
    assembly.chunk(2, stop=2)
    assert ended(assembly) == NOTHING
    assembly.pipeline().run(assembly.chunk(2, stop=2))
    assembly.chunk(2, index=1, start=2, stop=4)
    assert ended(assembly) == PARTIAL
