"""Tools read a dataset's folder with its card: each of them gives every image with its row."""

import json
from collections.abc import Mapping
from pathlib import Path

import older
import pytest
from attrs import frozen
from command import jpeg
from loaders import load
from shelf import Picture, Shelf

from pixcore.model.rows import COLUMNS
from pixcore_adapters.archiver.tar import TarArchiver
from pixcore_adapters.outputs.card import counts
from pixcore_adapters.outputs.card.counts import count
from pixcore_adapters.outputs.card.croissant import render
from pixcore_runners.observing import card_refresh

pytestmark = pytest.mark.loaders

TITLES = (
    "🐈 кот قطة",
    "\"quotes\" 'and' \\back\\",
    "two\nlines",
    "<script>alert(1)</script>",
    "\u202egpj.exe",
    "",
    "x | y",
)


@frozen
class Home:
    """A dataset's folder, and the rows of each chunk by file name, with ``image`` as the loaders give it."""

    folder: Path
    rows: dict[str, dict[str, Mapping[str, object]]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Make three chunks with their card."""
    root = tmp_path_factory.mktemp("test-train")
    shelf = Shelf(root)
    rows = {}
    for number in range(3):
        seeds = range(3 * number, 3 * number + 3)
        pictures = [Picture(jpeg(seed), TITLES[seed % len(TITLES)], phash=0xF00D + seed) for seed in seeds]
        record = shelf.add(pictures, label=f"кот {number} 🐈")
        rows[f"chunk_{record.chunk.id}"] = {
            str(row["file_name"]): {**row, "image": row["sha256"]} for row, _ in shelf.archives.images(record)
        }
    card_refresh.publish("cats", shelf.status, shelf.store)
    return Home(root / "store" / "cats", rows)


def test_mlcroissant_gives_every_row_with_its_image(home: Home, tmp_path: Path) -> None:
    """A valid document may join no row to any image. Older tools read it as Croissant 1.0."""
    document = json.loads((home.folder / "croissant.json").read_bytes())
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    for key in ("arrayShape", "containedIn", "description", "isArray", "name"):  # new in 1.1
        del document["@context"][key]
    former = home.folder / "former.json"
    former.write_text(json.dumps({**document, "conformsTo": "http://mlcommons.org/croissant/1.0"}))
    paths = (home.folder / "croissant.json", former)
    for sets in load("loaders", [["mlcroissant", str(path)] for path in paths], tmp_path):
        found = {name: {row["file_name"]: row for row in records["rows"]} for name, records in sets.items()}
        assert found == home.rows
        assert {tuple(records["columns"]) for records in sets.values()} == {(*COLUMNS, "image")}


def test_mlcroissant_gives_each_archive_the_columns_that_it_has(tmp_path: Path) -> None:
    """An older archive lacks the columns of later versions; a field that names one of them could not be read."""
    shelf = Shelf(tmp_path)
    older.store(shelf)
    older.store(shelf, older.LATER)
    card_refresh.publish("cats", shelf.status, shelf.store)
    (sets,) = load("loaders", [["mlcroissant", str(tmp_path / "store/cats/croissant.json")]], tmp_path)
    for chunk, record in enumerate(shelf.records(), 1):
        if chunk not in (3, 6):  # those are tar archives
            found = sorted(sets[f"chunk_{chunk}"]["rows"], key=lambda row: str(row["file_name"]))
            assert found == [{**row, "image": row["sha256"]} for row in older.rows_of(shelf, record)]


def test_tar_archives_give_their_images_and_their_rows(tmp_path: Path) -> None:
    """Tar archives have each row in a file of its own, for WebDataset. Croissant cannot join such files."""
    shelf = Shelf(tmp_path, TarArchiver())
    record = shelf.add([Picture(jpeg(seed)) for seed in range(2)])
    card_refresh.publish("cats", shelf.status, shelf.store)
    folder = tmp_path / "store" / "cats"
    what = [["mlcroissant", str(folder / "croissant.json")], ["load_dataset", str(folder)]]
    sets, splits = load("loaders", what, tmp_path)
    rows = [dict(row) for row, _ in shelf.archives.images(record)]
    assert [(row["file_name"], row["image"]) for row in sets["chunk_1"]["rows"]] == [
        (row["file_name"], row["sha256"]) for row in rows
    ]
    assert [json.loads(row["row"]) for row in sets["chunk_1_rows"]["rows"]] == rows
    assert [(row["jpg"], row["json"]["sha256"]) for row in splits["train"]["rows"]] == [
        (row["sha256"], row["sha256"]) for row in rows
    ]


def test_too_many_archives_are_one_set_of_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No tool opens a document with 100,000 record sets. Without them it is valid and short."""
    monkeypatch.setattr(counts, "ARCHIVES", 2)
    shelf = Shelf(tmp_path)
    for number in range(3):
        shelf.add([Picture(jpeg(number))])
    card_refresh.publish("cats", shelf.status, shelf.store)
    document = tmp_path / "store" / "cats" / "croissant.json"
    assert load("loaders", [["mlcroissant", str(document)]], tmp_path) == [{}]
    (files,) = json.loads(document.read_bytes())["distribution"]
    assert files["includes"] == "data/chunk_*.zip"
    assert "too many to give each a record set" in document.with_name("README.md").read_text()


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    """Otherwise every retry would replace a card that has not changed."""
    shelf = Shelf(tmp_path)
    shelf.add([Picture(jpeg(1))])
    assert len({b"".join(render(count("cats", shelf.records()))) for _ in range(2)}) == 1


def test_an_archive_is_described_with_its_checksum(tmp_path: Path) -> None:
    """People who download it can check that it is complete."""
    shelf = Shelf(tmp_path)
    record = shelf.add([Picture(jpeg(1))])
    assert record.result is not None
    archive, _, _ = json.loads(b"".join(render(count("cats", [record]))))["distribution"]
    assert {name: archive[name] for name in ("contentUrl", "sha256", "contentSize", "encodingFormat")} == {
        "contentUrl": "data/chunk_1.zip",
        "sha256": record.result.sha256,
        "contentSize": f"{record.result.bytes} B",
        "encodingFormat": "application/zip",
    }
