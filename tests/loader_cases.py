"""Which loader reads which layout of one hard dataset, and how many of its cells come back as they were written."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mixed
from attrs import evolve, frozen
from exports import LAYOUTS, request_of
from shelf import Shelf

from pixcore.model.rows import COLUMNS
from pixcore.stored.samples import classes, samples
from pixcore.stored.splits import Splits
from pixcore_adapters.archiver.tar import TarArchiver
from pixcore_adapters.archiver.zip import ZipArchiver
from pixcore_adapters.outputs.export import export
from pixcore_adapters.outputs.export.destinations.folder import Folder
from pixcore_adapters.outputs.export.imagefolder import _folder
from pixcore_runners.observing import card_refresh

_SPLITS = Splits.parse("train=3/5,test=2/5")
_CLASSED = ("imagefolder", "webdataset", "parquet")  # exported once more, with classes

Rows = Mapping[str, Mapping[str, Any]]  # by the sha256 of the image


@frozen
class Case:
    """A loader and what it loads.

    Attributes:
        layout: The name of the layout, of an export or of a store.
        loader: One of ``loading.LOADERS``.
        path: What the loader is given, below the root.
        turns: Whether it applies the EXIF orientation.
        own: Whether only pixcore's own columns are compared: without the card, columns of some archives are dropped.
    """

    layout: str
    loader: str
    path: str
    turns: bool = False
    own: bool = False


# By the environment that has the loader's packages.
CASES: Mapping[str, Sequence[Case]] = {
    "datasets": (
        Case("zip archives", "load_dataset", "zip/store/cats", turns=True),
        Case("zip archives", "imagefolder", "zip/store/cats/data", turns=True, own=True),  # without the card
        Case("tar archives", "load_dataset", "tar/store/cats", turns=True),
        *(Case(name, "load_dataset", name, turns=True) for name in LAYOUTS),
        *(Case(f"{name}, classes", "load_dataset", f"{name}-classes", turns=True) for name in _CLASSED),
    ),
    "loaders": (
        Case("zip archives", "mlcroissant", "zip/store/cats/croissant.json"),
        Case("tar archives", "webdataset", "tar/store/cats/data"),
        Case("webdataset", "webdataset", "webdataset"),
        Case("webdataset, classes", "webdataset", "webdataset-classes"),
        Case("parquet", "pyarrow", "parquet"),
        *(Case(name, loader, name) for name in ("parquet", "csv", "jsonl") for loader in ("pandas", "duckdb")),
        Case("imagefolder", "pandas_metadata", "imagefolder"),
        Case("imagefolder, classes", "duckdb_metadata", "imagefolder-classes"),
        Case("coco", "coco_json", "coco"),
    ),
    "training": (
        Case("imagefolder, classes", "torchvision", "imagefolder-classes"),
        Case("webdataset", "webdataset_in_batches", "webdataset"),
        Case("coco", "coco", "coco"),
        Case("parquet", "ray", "parquet"),
        Case("webdataset", "ray", "webdataset"),
    ),
}


@frozen
class Score:
    """How much came back: rows of those wanted, and cells that are equal of all of the wanted rows.

    Attributes:
        wrong: A cell that is not equal, or the rows that are missing, for a message; empty if there is none.
    """

    rows: int
    wanted: int
    equal: int
    cells: int
    wrong: str = ""

    @property
    def complete(self) -> bool:
        """Return whether every row and every cell came back, and nothing else."""
        return (self.rows, self.equal) == (self.wanted, self.cells)


@frozen
class Home:
    """The dataset below ``root``: in a store as zip and as tar archives, and exported in every layout.

    Attributes:
        root: The folder.
        exported: The rows of each split.
        stored: The rows of each chunk, without the columns that it lacks.
    """

    root: Path
    exported: Mapping[str, Rows]
    stored: Mapping[str, Rows]

    def score(self, case: Case, loaded: Mapping[str, Mapping[str, Any]]) -> Score:
        """Compare what a loader loaded with what was written."""
        if (case.layout, case.loader) == ("tar archives", "webdataset"):  # a shard each, without the name of a split
            loaded = {"train": {"rows": [row for found in loaded.values() for row in found["rows"]]}}
        wanted = self._wanted(case)
        scores = [
            _score(case, loaded.get(split, {"rows": []})["rows"], rows, self._columns(case, split))
            for split, rows in wanted.items()
        ]
        others = sum(len(found["rows"]) for split, found in loaded.items() if split not in wanted)
        wrong = [score.wrong for score in scores if score.wrong]
        return Score(
            sum(score.rows for score in scores) + others,
            sum(score.wanted for score in scores),
            sum(score.equal for score in scores),
            sum(score.cells for score in scores),
            "; ".join(wrong + [f"{others} rows of other splits"] * bool(others)),
        )

    def _wanted(self, case: Case) -> Mapping[str, Rows]:
        if case.loader == "mlcroissant":
            return self.stored
        if "archives" not in case.layout:
            return self.exported
        together = {sha256: row for rows in self.stored.values() for sha256, row in rows.items()}
        return {"train": together}

    def _columns(self, case: Case, split: str) -> set[str]:
        if case.loader == "torchvision":
            return {"folder"}
        if case.own:
            return {*COLUMNS} - {"file_name"}
        rows = self.stored[split].values() if case.loader == "mlcroissant" else self._all_rows(case)
        return {column for row in rows for column in row} - {"file_name", "folder"}

    def _all_rows(self, case: Case) -> Iterator[Mapping[str, Any]]:
        for rows in (self.stored if "archives" in case.layout else self.exported).values():
            yield from rows.values()


def home(root: Path) -> Home:
    """Make the dataset."""
    shelf = mixed.dataset(_below(root, "zip"), ZipArchiver())
    tar = mixed.dataset(_below(root, "tar"), TarArchiver())
    for each in (shelf, tar):
        card_refresh.publish("cats", each.status, each.store)
    plain = request_of(shelf.records(), shelf.archives)
    classed = evolve(plain, classes=classes(shelf.records(), shelf.archives, "label"))
    for name, make in LAYOUTS.items():
        export(_samples(shelf), make(plain), Folder(root / name), "cats")
    for name in _CLASSED:
        export(_samples(shelf), LAYOUTS[name](classed), Folder(root / f"{name}-classes"), "cats")
    exported: dict[str, dict[str, Mapping[str, Any]]] = {"train": {}, "test": {}}
    for sample in _samples(shelf):
        folder = _folder(str(sample.row["label"]))
        exported[sample.split][str(sample.row["sha256"])] = {**sample.row, "folder": folder}
    stored = {
        f"chunk_{record.chunk.id}": {str(row["sha256"]): row for row, _ in shelf.archives.images(record)}
        for record in shelf.records()
    }
    return Home(root, exported, stored)


def _below(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    return folder


def _samples(shelf: Shelf) -> Iterator[Any]:
    return samples(shelf.records(), shelf.archives, _SPLITS, {}, "label")


def _score(case: Case, found: Sequence[Mapping[str, Any]], wanted: Rows, columns: set[str]) -> Score:
    equal, wrong = 0, ""
    by_image = {str(row.get("jpg") or row.get("image")): _flat(row) for row in found}
    for sha256, row in wanted.items():
        loaded = by_image.get(sha256)
        if loaded is None:
            wrong = wrong or f"no row of {row['format']} {row['label']!r:.40}"
            continue
        cells = {column: row.get(column) for column in columns}
        cells["seen"] = mixed.seen_upright(row) if case.turns else mixed.stored(row)
        for column, value in cells.items():
            same = loaded.get(column) == value or (column == "seen" and column not in loaded)
            equal += same
            if not same:
                wrong = wrong or f"{column} of {row['format']} is {loaded.get(column)!r:.80}, not {value!r:.80}"
    return Score(len(found), len(wanted), equal, len(wanted) * (len(columns) + 1), wrong)


def _flat(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row of an image, which ``datasets`` returns in a column ``json`` if it came from tar files."""
    classed = {"label": row["cls"]} if "cls" in row else {}
    return {**row["json"], **classed, "seen": row["seen"]} if "json" in row else row
