"""The layouts of exports, and a reader of exports for tests."""

import csv
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pixcore import ChunkRecord
from pixcore.model.rows import COLUMN_TYPES, NUMBERS
from pixcore.stored.archives import StoredArchives
from pixcore.stored.samples import columns
from pixcore_adapters.outputs.export import coco, csv_index, jsonl_index
from pixcore_adapters.outputs.export.imagefolder import ImageFolder
from pixcore_adapters.outputs.export.layout import ExportRequest, Layout
from pixcore_adapters.outputs.export.parquet import Parquet
from pixcore_adapters.outputs.export.webdataset import WebDataset

LAYOUTS: Mapping[str, Callable[[ExportRequest], Layout]] = {
    "imagefolder": ImageFolder.of,
    "webdataset": WebDataset,
    "parquet": Parquet,
    "csv": csv_index.layout,
    "jsonl": jsonl_index.layout,
    "coco": coco.layout,
}

PLAIN = ExportRequest("cats", COLUMN_TYPES)  # of rows without the columns of lists

Images = list[tuple[bytes, Mapping[str, Any]]]


def request_of(records: Sequence[ChunkRecord], archives: StoredArchives) -> ExportRequest:
    """Return the request of an export of these chunks, without classes."""
    return ExportRequest("cats", columns(records, archives))


def read_back(folder: Path, layout: str) -> dict[str, Images]:
    """Return the images of each split with their rows, in order, read without a loader."""
    splits: dict[str, Images] = {}
    for split, images in _FILES[layout](folder):
        splits.setdefault(split, []).extend(images)
    return splits


def _of_imagefolder(folder: Path) -> Iterator[tuple[str, Images]]:
    for path in sorted(folder.glob("*/metadata.parquet")):
        yield path.parent.name, [_image(path.parent, row) for row in pq.read_table(path).to_pylist()]


def _of_webdataset(folder: Path) -> Iterator[tuple[str, Images]]:
    for path in sorted(folder.glob("*.tar")):
        images = []
        with tarfile.open(path) as shard:
            for key, members in groupby(shard, lambda member: member.name.partition(".")[0]):
                files = {member.name.removeprefix(key): shard.extractfile(member).read() for member in members}  # type: ignore[union-attr] # files
                row = json.loads(files[".json"])
                assert list(files)[:3] == [".jpg", ".json", ".txt"]
                assert files[".txt"].decode() == row["caption"]
                assert row["file_name"] == f"{key}.jpg"
                images.append((files[".jpg"], row))
        yield path.name.partition("-")[0], images


def _of_parquet(folder: Path) -> Iterator[tuple[str, Images]]:
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        images = [(row.pop("image"), row) for row in rows]
        yield (
            path.name.partition("-")[0],
            [(image["bytes"], {**row, "file_name": image["path"]}) for image, row in images],
        )


def _of_csv(folder: Path) -> Iterator[tuple[str, Images]]:
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            limit = csv.field_size_limit(1 << 20)  # of the whole process
            try:
                rows = [
                    {name: int(value) if name in NUMBERS or name == "rank" else value for name, value in row.items()}
                    for row in csv.DictReader(file)
                ]
            finally:
                csv.field_size_limit(limit)
        yield path.stem, [_image(folder, row) for row in rows]


def _of_jsonl(folder: Path) -> Iterator[tuple[str, Images]]:
    for path in sorted(folder.glob("*.jsonl")):
        yield path.stem, [_image(folder, json.loads(line)) for line in path.read_bytes().splitlines()]


def _of_coco(folder: Path) -> Iterator[tuple[str, Images]]:
    for path in sorted(folder.glob("annotations/captions_*.json")):
        document = json.loads(path.read_bytes())
        split = path.stem.removeprefix("captions_")
        captions = {one["image_id"]: one["caption"] for one in document["annotations"]}
        licenses = {one["id"]: (one["name"], one["url"]) for one in document["licenses"]}
        images = []
        for image in document["images"]:
            row = image["row"]
            assert captions.get(image["id"], "") == row["caption"]
            assert licenses[image["license"]] == (row["license"], row["license_url"])
            assert image["file_name"] == row["file_name"]
            images.append(_image(folder / split, row))
        yield split, images


_FILES = {
    "imagefolder": _of_imagefolder,
    "webdataset": _of_webdataset,
    "parquet": _of_parquet,
    "csv": _of_csv,
    "jsonl": _of_jsonl,
    "coco": _of_coco,
}


def _image(folder: Path, row: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
    return (folder / row["file_name"]).read_bytes(), row
