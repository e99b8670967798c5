"""Copies of a part of a dataset, and the conditions that select it."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from memory_assembly import Faults, Faulty, MemoryAssembly, picture

from pixcore.errors import InvalidRequest, NoValidImages
from pixcore.model.chunks import ChunkKey, Status
from pixcore.model.requests import ChunkRequest, Slice
from pixcore.model.rows import COLUMN_TYPES
from pixcore.stored.archives import StoredArchives
from pixcore.stored.conditions import parse
from pixcore.stored.copying import Copier
from pixcore.stored.moving import Mover
from pixcore.stored.outcomes import outcome_lines
from pixcore.stored.removal import delete_dataset
from pixcore_adapters.status_repo.memory_datasets import MemoryDatasets

COLUMNS = COLUMN_TYPES | {"stars": "integer", "of a photo": "string"}


class Killed(Exception):
    """The process ends here."""


class Case:
    """A dataset ``d`` of two chunks with three and two images, or fewer, and one chunk that has to wait."""

    def __init__(self, work: Path, faults: Faults, first: int = 3, last: int = 5) -> None:
        self.made = MemoryAssembly(work, [picture(number) for number in range(7)])
        for index, (start, stop) in enumerate([(0, first), (first, last)]):
            self.made.pipeline().run(self.made.chunk(stop - start, index=index, start=start, stop=stop))
        self.made.chunk(2, index=2, start=5)
        self.datasets = MemoryDatasets(self.made.status, self.made.seen, self.made.decisions)
        self.faults = faults
        store: Any = Faulty(self.made.store, faults)
        store.prepare_copy = None
        self.archives = StoredArchives(store, [self.made.archiver], work, sleep=self.made.naps.append)
        self.mover = Mover(store, self.made.status.identity, sleep=self.made.naps.append, at_once=1)

    def copy(self, *conditions: str, to: str = "new") -> list[str]:
        """Copy the images with these conditions; return their URLs."""
        datasets: Any = Faulty(self.datasets, self.faults)
        copier = Copier(self.archives, self.mover, datasets, "here")
        copier.copy(list(self.made.status.find("d", Status.COMPLETED)), to, parse(conditions, COLUMNS))
        return self.urls(to)

    def urls(self, name: str) -> list[str]:
        """Return the URLs of a dataset's images, from its archives."""
        found = self.made.status.find(name, Status.COMPLETED)
        return [str(row["url"]) for record in found for row in self.archives.rows(record)]


ROW = {"label": "cat", "width": 512, "title": "A Red Panda", "flags": "", "of a photo": "x=1"}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("label=cat", True),
        (" label = cat ", True),
        ("label=Cat", False),
        ("label!=dog", True),
        ("title~red pan", True),
        ("title~blue", False),
        ("width>=512", True),
        ("width<512", False),
        ("width<=511", False),
        ("width>99", True),
        ("stars=0", True),
        ("creator=", True),
        ("of a photo=x=1", True),
        ("fetched_at>=2026", False),
    ],
)
def test_a_condition_compares_a_column(condition: str, holds: bool) -> None:
    """Numbers as numbers, text as text; a column that the row lacks is 0 or empty."""
    assert parse([condition], COLUMNS).hold(ROW) is holds
    assert parse(["label=cat", condition], COLUMNS).hold(ROW) is holds


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("label", r"is no condition; write COLUMN=VALUE"),
        ("=cat", r"is no condition"),
        ("lable=cat", r"there is no column 'lable'; use one of: aspect, "),
        ("width>=wide", r"width is a whole number, 'wide' is none"),
        ("width~5", r"width is a number; ~ is for text"),
        ("__import__('os')", r"is no condition"),
    ],
)
def test_what_is_no_condition_is_refused(condition: str, message: str) -> None:
    """The message says how to write one."""
    with pytest.raises(InvalidRequest, match=message):
        parse([condition], COLUMNS)


def test_a_copy_has_the_images_that_match_and_nothing_else(tmp_path: Path) -> None:
    """The same rows, outcomes, candidates and near images; full chunks, which never collect other images."""
    case = Case(tmp_path, Faults())
    before = {row["url"]: row for record in case.made.status.find("d") for row in _rows(case, record)}
    assert case.copy("url!=memory:q/1", "url!=memory:q/4") == [f"memory:q/{number}" for number in (0, 2, 3)]
    one, other = case.made.status.find("new")
    assert [[dict(row, file_name="") for row in _rows(case, record)] for record in (one, other)] == [
        [dict(before[f"memory:q/{number}"], file_name="") for number in numbers] for numbers in ((0, 2), (3,))
    ]
    assert one.chunk.slices == (Slice("memory", "q", 0, 1), Slice("memory", "q", 2, 3))
    assert (one.chunk.request.target, one.chunk.request.index, other.chunk.request.index) == (2, 0, 1)
    assert one.result
    assert (one.result.kept, one.result.shortfall, one.result.progress.accepted) == ("0-1", 0, 2)
    assert [line["url"] for line in outcome_lines(one, case.archives)] == ["memory:q/0", "memory:q/2"]
    case.made.status.reopen(one.chunk.key)
    case.made.pipeline().run(one.chunk.key)
    assert case.urls("new") == [f"memory:q/{number}" for number in (0, 2, 3)]
    assert len(case.urls("d")) == 5


def test_a_copy_appears_whole_wherever_it_is_interrupted(tmp_path: Path) -> None:
    """Until then it is no dataset; the next call goes on, and it can be given up."""
    step = 0
    while True:
        step += 1
        case = Case(tmp_path, Faults({step: Killed()}), 1, 2)
        try:
            case.copy("url~q")
        except Killed:
            found = case.urls("new")
            assert len(found) in (0, 2)
            if not found and step % 2:
                assert len(case.copy("url~q")) == 2
            elif not found and case.datasets.changes():
                delete_dataset("new", mover=case.mover, datasets=case.datasets)
                assert list(case.made.store.list("new")) == []
            assert case.datasets.changes() == []
            assert len(case.urls("d")) == 2
        else:
            break
    assert step > 20


def test_other_conditions_do_not_go_on_with_an_unfinished_copy(tmp_path: Path) -> None:
    """Its archives would be mixed."""
    case = Case(tmp_path, Faults({12: Killed()}))
    with pytest.raises(Killed):
        case.copy("url~q")
    with pytest.raises(InvalidRequest, match=r"dataset d is being copied to new; repeat that `pixcore copy`, or give"):
        case.copy("url~q/1")
    assert len(case.copy("url~q")) == 5


def test_nothing_is_created_if_nothing_matches(tmp_path: Path) -> None:
    """An empty dataset would be a surprise later."""
    case = Case(tmp_path, Faults())
    with pytest.raises(NoValidImages, match="no image of dataset d has label=dog and width>=5; nothing was copied"):
        case.copy("label=dog", "width>=5")
    assert [one.name for one in case.datasets.summaries()] == ["d"]
    assert len(case.copy("label=cat")) == 5
    with pytest.raises(InvalidRequest, match="'new' exists already"):
        case.copy("label=cat")


def test_a_source_that_changed_does_not_go_on_with_an_unfinished_copy(tmp_path: Path) -> None:
    """One half would be older than the other."""
    case = Case(tmp_path, Faults({12: Killed()}))
    with pytest.raises(Killed):
        case.copy("url~q")
    waiting = next(case.made.status.find("d", Status.PENDING)).chunk.key
    case.made.pipeline().run(waiting)
    with pytest.raises(InvalidRequest, match="dataset d has changed since the copy to new began; give that up"):
        case.copy("url~q")


def test_candidates_of_an_old_archive_stay_as_they_are(tmp_path: Path) -> None:
    """Archives of earlier versions do not say which candidate an image was."""
    case = Case(tmp_path, Faults())
    (record, _) = case.made.status.find("d", Status.COMPLETED)
    old = evolve(record, result=evolve(record.result, kept="", outcomes=None))  # type: ignore[type-var, arg-type]
    (made,) = Copier(case.archives, case.mover, case.datasets, "").copy([old], "new", parse(["url~q/1"], COLUMNS))
    assert made.request.slices == record.chunk.slices
    assert (made.result.kept, made.result.outcomes, made.request.target) == ("", None, 1)
    assert isinstance(made.request, ChunkRequest)
    assert case.made.status.get(ChunkKey("new", made.id)).result == made.result


def _rows(case: Case, record: Any) -> list[dict[str, object]]:  # noqa: ANN401 - a record
    return [dict(row) for row in case.archives.rows(record)] if record.result else []
