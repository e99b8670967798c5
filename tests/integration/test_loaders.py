"""The common loaders read all images and columns of every export, and of a dataset in a store."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import older
import pytest
from attrs import evolve, frozen
from command import jpeg
from exports import LAYOUTS, PLAIN, request_of
from loaders import load
from shelf import Picture, Shelf

from pixcore.model.rows import COLUMNS, required
from pixcore.stored.samples import Sample, samples
from pixcore.stored.splits import Splits
from pixcore_adapters.outputs.card.counts import count
from pixcore_adapters.outputs.card.readme import card
from pixcore_adapters.outputs.export import export
from pixcore_adapters.outputs.export.destinations.folder import Folder

pytestmark = pytest.mark.loaders

# loaders return the file's name in other ways, and Arrow reads the time as a timestamp
COMPARED = sorted({*COLUMNS} - {"file_name", "fetched_at"})
IN_STORE = (("load_dataset", "store/cats"), ("imagefolder", "store/cats/data"))
SPLITS = Splits({"train": Fraction(3, 5), "test": Fraction(2, 5)})
TITLES = (
    "🐈 кот قطة",
    "\"quotes\" 'and' \\back\\",
    "two\nlines\r\n",
    "\0\x1b[31m\x7f",
    "\u2028\u0085\u2029",
    "\u202egpj.exe",
    "x" * 10_240,
    "",
    "null",
    "2020-01-01",
    "\ufeffmark, {json: [1]}",
    "<script>alert(1)</script>",
)
LABELS = ("test tubes/..", "..", "con: a*b?[c]", "кот 🐈")


@frozen
class Home:
    """A dataset in a store, its exports, and the rows of each split by the sha256 of their images."""

    folder: Path
    rows: dict[str, dict[str, Mapping[str, object]]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Make four chunks with difficult titles and labels."""
    folder = tmp_path_factory.mktemp("test-train-val")  # a name that must have no effect
    shelf = Shelf(folder)
    for number, label in enumerate(LABELS):
        seeds = range(3 * number, 3 * number + 3)
        shelf.add([Picture(jpeg(seed), TITLES[seed]) for seed in seeds], label=label)

    def all_samples() -> Iterator[Sample]:
        return samples(shelf.records(), shelf.archives, SPLITS, {}, "label")

    labelled = evolve(PLAIN, classes=tuple(sorted(LABELS)))
    layouts = {
        "flat": LAYOUTS["imagefolder"](PLAIN),
        "labelled": LAYOUTS["imagefolder"](labelled),
        "webdataset": LAYOUTS["webdataset"](PLAIN),
        "parquet": LAYOUTS["parquet"](PLAIN),
    }
    for name, layout in layouts.items():
        export(all_samples(), layout, Folder(folder / name), "cats")
    rows: dict[str, dict[str, Mapping[str, object]]] = {"train": {}, "test": {}}
    for sample in all_samples():
        rows[sample.split][str(sample.row["sha256"])] = sample.row
    return Home(folder, rows)


def test_loaders_return_what_was_packed(home: Home, tmp_path: Path) -> None:
    """Each image has its row and split in ``datasets``, in WebDataset and in pyarrow."""
    whole = {"train": {**home.rows["train"], **home.rows["test"]}}
    wanted = {
        **dict.fromkeys(IN_STORE, whole),
        ("load_dataset", "flat"): home.rows,
        ("imagefolder", "flat"): home.rows,
        ("load_dataset", "labelled"): home.rows,
        ("imagefolder", "labelled"): home.rows,
        ("load_dataset", "parquet"): home.rows,
        ("pyarrow", "parquet"): home.rows,
        ("load_dataset", "webdataset"): home.rows,
        ("webdataset", "webdataset"): home.rows,
    }
    loaded = load("loaders", [[loader, str(home.folder / path)] for loader, path in wanted], tmp_path)
    for (what, rows), splits in zip(wanted.items(), loaded, strict=True):
        assert {name: len(split["rows"]) for name, split in splits.items()} == {n: len(r) for n, r in rows.items()}, (
            what
        )
        for name, split in splits.items():
            for found in map(flattened, split["rows"]):
                row = rows[name][found["image"]]
                assert {column: found[column] for column in COMPARED} == {c: row[c] for c in COMPARED}, what


def test_archives_of_different_versions_load_together(tmp_path: Path) -> None:
    """From the store, all images load with the columns that all archives have; from an export, with every column."""
    shelf = Shelf(tmp_path)
    older.store(shelf)
    older.store(shelf, older.LATER)
    (tmp_path / "store/cats/README.md").write_bytes(card(count("cats", shelf.records())))
    request = request_of(shelf.records(), shelf.archives)
    for name, layout in {"flat": "imagefolder", "parquet": "parquet", "webdataset": "webdataset"}.items():
        export(
            samples(shelf.records(), shelf.archives, Splits.parse("train=1"), {}, "label"),
            LAYOUTS[layout](request),
            Folder(tmp_path / name),
            "c",
        )
    loaders = {
        "store/cats": "load_dataset",
        "flat": "load_dataset",
        "parquet": "load_dataset",
        "webdataset": "webdataset",
    }
    loaded = load("loaders", [[loader, str(tmp_path / path)] for path, loader in loaders.items()], tmp_path)
    stored = older.stored_rows(shelf)
    compared = sorted({*required(1)} - {"file_name", "fetched_at"})

    def described(rows: Iterable[Mapping[str, object]], columns: Iterable[str]) -> list[str]:
        return sorted(repr([row[column] for column in columns]) for row in rows)

    in_zips = [row for row in stored if row["url"] not in ("0006.jpg", "0007.jpg")]
    (in_store, *exports) = (splits["train"]["rows"] for splits in loaded)
    assert described(in_store, compared) == described(in_zips, compared)
    empty = {column: 0 if isinstance(value, int) else "" for column, value in older.LATER.items()} | {"row_version": 1}
    for rows in exports:
        wanted = [{**empty, **row} for row in stored]
        assert described(rows, [*compared, *older.LATER]) == described(wanted, [*compared, *older.LATER])


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an image, which ``datasets`` returns as two columns if it came from a WebDataset."""
    if "json" in row:
        return {**row["json"], "image": row["jpg"]}
    return row
