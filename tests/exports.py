"""The layouts of exports, and a reader of exports for tests."""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from pixcore_adapters.outputs.export import Layout
from pixcore_adapters.outputs.export.imagefolder import ImageFolder
from pixcore_adapters.outputs.export.parquet import parquet
from pixcore_adapters.outputs.export.webdataset import webdataset

LAYOUTS: Mapping[str, Layout] = {
    "imagefolder": ImageFolder(by_label=True),
    "webdataset": webdataset,
    "parquet": parquet,
}


def read_back(folder: Path) -> dict[str, list[tuple[bytes, Mapping[str, Any]]]]:
    """Return the images of each split with their rows, read without a loader, from any layout."""
    splits: dict[str, list[tuple[bytes, Mapping[str, Any]]]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "metadata.jsonl":
            for line in path.read_bytes().splitlines():
                row = json.loads(line)
                splits.setdefault(path.parent.name, []).append(((path.parent / row["file_name"]).read_bytes(), row))
        elif path.suffix == ".tar":
            with tarfile.open(path) as shard:
                members = [(member.name, shard.extractfile(member).read()) for member in shard]  # type: ignore[union-attr] # files
            for (name, data), (described, row) in zip(members[::2], members[1::2], strict=True):
                assert described == PurePosixPath(name).with_suffix(".json").as_posix()
                splits.setdefault(path.name.partition("-")[0], []).append((data, json.loads(row)))
        elif path.suffix == ".parquet":
            for row in pq.read_table(path).to_pylist():
                image = row.pop("image")
                found = (image["bytes"], {**row, "file_name": image["path"]})
                splits.setdefault(path.name.partition("-")[0], []).append(found)
    return splits
