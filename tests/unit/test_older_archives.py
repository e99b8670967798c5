"""Archives of every released version, and of later ones with columns unknown today, can be read for ever."""

import json
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path

import older
import pytest
from exports import LAYOUTS, read_back, request_of
from shelf import Shelf

from pixcore import Accepted, Download, Rejected
from pixcore.model import rows
from pixcore.model.rows import COLUMNS, ROW_VERSION, required
from pixcore.stored.samples import samples
from pixcore.stored.splits import Splits
from pixcore.stored.verify import verify_archives, verify_dataset
from pixcore_adapters.outputs.card.counts import count
from pixcore_adapters.outputs.card.croissant import render
from pixcore_adapters.outputs.card.readme import card
from pixcore_adapters.outputs.export import export
from pixcore_adapters.outputs.export.destinations.folder import Folder
from pixcore_adapters.outputs.report import page
from pixcore_adapters.outputs.report.build import gather
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.picture import Limits, Refusal


class Decoding:
    """A validator that decodes in this process."""

    def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
        """Yield one verdict a download."""
        for download in downloads:
            found = decode(download.path, Limits())
            if isinstance(found, Refusal):
                yield Rejected(download, found.reason, found.detail)
            else:
                yield Accepted(download, found.sha256, found.width, found.height, found.format, found.fingerprint)


def first(shelf: Shelf) -> None:
    """Store archives of the first version."""
    older.store(shelf)


def later(shelf: Shelf) -> None:
    """Store archives of a later version."""
    older.store(shelf, older.LATER)


def mixed(shelf: Shelf) -> None:
    """Store archives of several versions; a column of two of them has different types."""
    older.store(shelf)
    older.store(shelf, older.LATER)
    older.store(shelf, {"mood": 3}, recorded=False)


EMPTY = {"loudness": 0, "mood": "", "score": 0}
each_dataset = pytest.mark.parametrize(
    ("fill", "further"),
    [(first, {}), (later, EMPTY), (mixed, EMPTY)],
    ids=["first version", "later version", "several versions"],
)


@pytest.fixture(params=[False, True], ids=["the columns of today", "one column more"])
def added(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, object]:
    """Return the columns that pixcore adds to those of the first version; once, the schema has one column more."""
    if request.param:
        changed = {
            "COLUMNS": (*COLUMNS, "loudness"),
            "NUMBERS": rows.NUMBERS | {"loudness"},
            "COLUMN_TYPES": {**rows.COLUMN_TYPES, "loudness": "integer"},
            "_ADDED": {**rows._ADDED, ROW_VERSION + 1: ("loudness",)},
            "ROW_VERSION": ROW_VERSION + 1,
        }
        for module in [module for name, module in sys.modules.items() if name.startswith("pixcore")]:
            for name, value in changed.items():
                if getattr(module, name, None) is getattr(rows, name) and module is not rows:
                    monkeypatch.setattr(module, name, value)
        for name, value in changed.items():
            monkeypatch.setattr(rows, name, value)
    return {column: 0 if column in rows.NUMBERS else "" for column in rows.COLUMNS if column not in required(1)}


@each_dataset
@pytest.mark.usefixtures("added")
def test_no_fault_is_found(fill: Callable[[Shelf], None], further: Mapping[str, object], tmp_path: Path) -> None:
    """A false alarm would make `verify --repair` collect sound images again."""
    shelf = Shelf(tmp_path)
    fill(shelf)
    found = list(verify_dataset("cats", archives=shelf.archives, status=shelf.status, validator=Decoding()))
    stored = sum(record.result.progress.accepted for record in shelf.records() if record.result)
    assert [fault for check in found for fault in check.faults] == []
    assert (len(found), sum(check.images for check in found)) == (len(shelf.records()), stored)
    assert further or stored == 7


@each_dataset
@pytest.mark.parametrize("name", ["imagefolder", "webdataset", "parquet"])
def test_every_layout_has_all_columns(
    name: str,
    fill: Callable[[Shelf], None],
    further: Mapping[str, object],
    added: Mapping[str, object],
    tmp_path: Path,
) -> None:
    """What an image has is kept; what another version gave to other images is empty or 0, never missing."""
    shelf = Shelf(tmp_path)
    fill(shelf)
    export(
        samples(shelf.records(), shelf.archives, Splits.parse("train=1"), {}, "label"),
        LAYOUTS[name](request_of(shelf.records(), shelf.archives)),
        Folder(tmp_path / "out"),
        "cats",
    )
    found = [{**row, "file_name": ""} for _, row in read_back(tmp_path / "out", name)["train"]]
    empty = {**added, **further, "row_version": 1}
    wanted = [
        {column: type(empty.get(column, value))(value) for column, value in {**empty, **row, "file_name": ""}.items()}
        for row in older.stored_rows(shelf)
    ]
    assert sorted(found, key=repr_of) == sorted(wanted, key=repr_of)


@each_dataset
@pytest.mark.usefixtures("added")
def test_a_report_shows_all_images(
    fill: Callable[[Shelf], None], further: Mapping[str, object], tmp_path: Path
) -> None:
    """With the values of their rows."""
    shelf = Shelf(tmp_path)
    fill(shelf)
    report = gather("cats", shelf.records(), shelf.archives, groups=(), attempts=(), done=lambda: None)
    assert report.unread == {}
    stored = older.stored_rows(shelf)
    assert [{column: shown.row[column] for column in required(1)} for shown in report.images] == [
        {column: row[column] for column in required(1)} for row in stored
    ]
    assert all(shown.row.items() >= row.items() for shown, row in zip(report.images, stored, strict=True))
    assert page.write(report, tmp_path / "report.html") > 0
    assert further or len(report.images) == 7


@each_dataset
@pytest.mark.usefixtures("added")
def test_a_card_describes_each_archive(
    fill: Callable[[Shelf], None], further: Mapping[str, object], tmp_path: Path
) -> None:
    """Croissant names only columns that an archive has, and the card says when archives differ."""
    shelf = Shelf(tmp_path)
    fill(shelf)
    counts = count("cats", shelf.records())
    document = json.loads(b"".join(render(counts)))
    described = {one["name"]: [field["name"] for field in one["field"]] for one in document["recordSet"]}
    assert described["chunk_1"] == [*required(1), *([] if fill is not later else older.LATER), "image"]
    if fill is mixed:
        assert described["chunk_4"] == [*required(1), *older.LATER, "image"]
    assert described["chunk_3"] == ["file_name", "image"]
    text = card(counts).decode()
    assert ("do not all have the same columns" in text) == (fill is mixed)
    assert ("7 images" in text) == (not further or fill is later)


def test_kept_archives_are_whole_without_a_status_database(tmp_path: Path) -> None:
    """`pixcore verify FOLDER` reads them, too."""
    kinds = Shelf(tmp_path).archives.archivers
    paths = sorted(older.FIRST.glob("chunk_*"))
    found = verify_archives(paths, archivers=kinds, validator=Decoding(), work=tmp_path / "work")
    assert [(check.faults, check.images) for check in found] == [((), 3), ((), 2), ((), 2)]


def repr_of(row: Mapping[str, object]) -> str:
    """Order rows."""
    return repr(sorted(row.items(), key=str))
