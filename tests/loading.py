"""Load datasets with common tools, in a separate environment, and print what was loaded.

Standard input: ``[[loader, path], …]`` as JSON. Standard output: for each, ``{split: {"columns": […], "rows": […]}}``.
The ``image`` of a row is the sha256 of its file, and ``seen`` is the size of the picture as the loader decoded it.
Where the export's README.md has a call for the tool, that call is run as it stands there.
"""

import glob
import hashlib
import json
import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Any


def main() -> None:
    """Load all datasets, one after the other."""
    answer = [LOADERS[loader](path) for loader, path in json.load(sys.stdin)]
    print(json.dumps(answer, default=str))  # noqa: T201 (the result of a script)


def load_dataset(*which: str, **more: str) -> dict[str, Any]:
    """Load with Hugging Face's ``datasets``."""
    import datasets  # noqa: PLC0415 (no environment has all of these packages)

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(*which, **more)
    splits = {}
    for name, split in loaded.items():
        pictures = [column for column in split.column_names if isinstance(split.features[column], datasets.Image)]
        classes = {column: of for column, of in split.features.items() if isinstance(of, datasets.ClassLabel)}
        raw = split
        for column in pictures:
            raw = raw.cast_column(column, datasets.Image(decode=False))
        rows = []
        for example, decoded in zip(raw, split, strict=True):
            row = {**example, **{column: of.int2str(example[column]) for column, of in classes.items()}}
            for column in pictures:
                decoded[column].load()
                row |= {column: digest(example[column]), "seen": decoded[column].size}
            rows.append(row)
        splits[name] = {"columns": split.column_names, "rows": rows}
    return splits


def digest(image: dict[str, Any]) -> str:
    """Return the sha256 of an image's file."""
    if image["bytes"] is not None:
        return sha256(image["bytes"])
    import fsspec  # noqa: PLC0415 (as above)

    with fsspec.open(image["path"], "rb") as file:
        return sha256(file.read())


def sha256(data: bytes) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(data).hexdigest()


def size(data: bytes) -> tuple[int, int]:
    """Decode the picture as Pillow does, and return its size."""
    from PIL import Image  # noqa: PLC0415 (as above)

    with Image.open(BytesIO(data)) as picture:
        picture.load()
        return picture.size


def with_image(row: dict[str, Any], data: bytes) -> dict[str, Any]:
    """Return the row with the picture that belongs to it."""
    return {**row, "image": sha256(data), "seen": size(data)}


def listed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rows of a split with their columns."""
    return {"columns": list(rows[0]) if rows else [], "rows": rows}


def splits_of(path: str, pattern: str) -> dict[str, list[str]]:
    """Return the files of each split, in order."""
    splits: dict[str, list[str]] = {}
    for file in sorted(glob.glob(f"{path}/{pattern}")):  # noqa: PTH207 (loaders take strings)
        name = file.rpartition("/")[2].partition(".")[0]
        splits.setdefault(re.sub(r"-\d+$", "", name).removeprefix("captions_"), []).append(file)
    return splits


def documented(path: str, split: str, language: str, tool: str) -> str:
    """Return the call of a tool that the export's README.md gives."""
    text = (Path(path) / "README.md").read_text(encoding="utf-8")
    (code,) = (code for code in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if tool in code)
    return str(code).replace("PATH", path).replace("SPLIT", split)


def run_documented(path: str, split: str, tool: str, result: str) -> Any:  # noqa: ANN401 (any result)
    """Run the documented Python code, and return the variable in which it leaves its result."""
    names: dict[str, Any] = {}
    exec(documented(path, split, "python", tool), names)  # noqa: S102 (from the README.md of the export)
    return names[result]


def webdataset(path: str) -> dict[str, Any]:
    """Load all splits with ``webdataset``: the files of each sample, and its picture as it is decoded."""
    import webdataset as wds  # noqa: PLC0415 (as above)

    splits = {}
    for split, shards in splits_of(path, "*.tar").items():
        rows = []
        for shard in shards:
            decoded = wds.WebDataset(shard, shardshuffle=False).decode("pil")
            for raw, sample in zip(wds.WebDataset(shard, shardshuffle=False), decoded, strict=True):
                row = {**sample["json"], "image": sha256(raw["jpg"]), "seen": sample["jpg"].size}
                if "txt" in sample:
                    assert sample["txt"] == row["caption"], "the caption differs from the row's"
                rows.append(row)
        splits[split] = listed(rows)
    return splits


def webdataset_in_batches(path: str) -> dict[str, Any]:
    """Load all splits by torch's ``DataLoader``, in two processes."""
    import webdataset as wds  # noqa: PLC0415 (as above)
    from torch.utils.data import DataLoader  # noqa: PLC0415

    splits = {}
    for split, shards in splits_of(path, "*.tar").items():
        samples = wds.WebDataset(shards, shardshuffle=False, empty_check=False, nodesplitter=wds.split_by_node)
        loader = DataLoader(samples.to_tuple("jpg", "json"), batch_size=None, num_workers=2)
        splits[split] = listed([with_image(json.loads(row), image) for image, row in loader])
    return splits


def pyarrow(path: str) -> dict[str, Any]:
    """Load all splits with ``pyarrow``."""
    import pyarrow.parquet as pq  # noqa: PLC0415 (as above)

    tables = ((split, (pq.read_table(file) for file in files)) for split, files in splits_of(path, "*.parquet").items())
    return {
        split: listed([with_image(each, each["image"]["bytes"]) for table in found for each in table.to_pylist()])
        for split, found in tables
    }


def pandas(path: str) -> dict[str, Any]:
    """Load all splits with ``pandas``: tables with images, or an index of files."""
    return pandas_tables(path) if splits_of(path, "*.parquet") else pandas_index(path)


def pandas_tables(path: str) -> dict[str, Any]:
    """Load tables that contain the images."""
    import pandas as pd  # noqa: PLC0415 (as above)

    splits = {}
    for split, files in splits_of(path, "*.parquet").items():
        documented(path, split, "python", "pandas")
        rows = [row for file in files for row in pd.read_parquet(file).to_dict("records")]
        splits[split] = listed([with_image(row, row["image"]["bytes"]) for row in rows])
    return splits


def pandas_index(path: str) -> dict[str, Any]:
    """Load the rows of an index as documented, and the files that they name."""
    splits = {}
    for split in splits_of(path, "*.csv") or splits_of(path, "*.jsonl"):
        rows = run_documented(path, split, "pandas", "rows").to_dict("records")
        splits[split] = listed([with_image(row, (Path(path) / row["file_name"]).read_bytes()) for row in rows])
    return splits


def pandas_metadata(path: str) -> dict[str, Any]:
    """Load the typed rows beside the files, and the files."""
    import pandas as pd  # noqa: PLC0415 (as above)

    splits = {}
    for table in sorted(Path(path).glob("*/metadata.parquet")):
        rows = pd.read_parquet(table).to_dict("records")
        splits[table.parent.name] = listed(
            [with_image(row, (table.parent / row["file_name"]).read_bytes()) for row in rows]
        )
    return splits


def duckdb(path: str) -> dict[str, Any]:
    """Load all splits with DuckDB: tables with images, or an index of files by the documented query."""
    if tables := splits_of(path, "*.parquet"):
        found = {split: queried(f"FROM read_parquet({files!r})") for split, files in tables.items()}
        return {
            split: listed([with_image(row, row["image"]["bytes"]) for row in rows]) for split, rows in found.items()
        }
    indexes = splits_of(path, "*.csv") or splits_of(path, "*.jsonl")
    found = {split: queried(documented(path, split, "sql", "SELECT")) for split in indexes}
    return {
        split: listed([with_image(row, (Path(path) / row["file_name"]).read_bytes()) for row in rows])
        for split, rows in found.items()
    }


def duckdb_metadata(path: str) -> dict[str, Any]:
    """Load the typed rows beside the files with DuckDB, and the files."""
    splits = {}
    for table in sorted(Path(path).glob("*/metadata.parquet")):
        rows = queried(f"FROM '{table}'")
        splits[table.parent.name] = listed(
            [with_image(row, (table.parent / row["file_name"]).read_bytes()) for row in rows]
        )
    return splits


def queried(query: str) -> list[dict[str, Any]]:
    """Return the rows of a query of DuckDB."""
    import duckdb as db  # noqa: PLC0415 (as above)

    answer = db.connect().execute(query)
    names = [column[0] for column in answer.description]
    return [dict(zip(names, values, strict=True)) for values in answer.fetchall()]


def torchvision(path: str) -> dict[str, Any]:
    """Load folders of classes as documented, by torch's ``DataLoader`` in two processes; rows have only the label."""
    from torch.utils.data import DataLoader  # noqa: PLC0415 (as above)

    splits = {}
    for split in sorted(each.parent.name for each in Path(path).glob("*/metadata.parquet")):
        images = run_documented(path, split, "torchvision.datasets import ImageFolder", "images")
        loader = DataLoader(images, batch_size=None, num_workers=2, collate_fn=sized)
        rows = []
        for (file, number), (seen, target) in zip(images.samples, loader, strict=True):
            assert number == target, "the class differs"
            rows.append({"folder": images.classes[target], "image": sha256(Path(file).read_bytes()), "seen": seen})
        splits[split] = listed(rows)
    return splits


def sized(pair: tuple[Any, int]) -> tuple[tuple[int, int], int]:
    """Return the size of a picture, and its class."""
    return pair[0].size, pair[1]


def coco(path: str) -> dict[str, Any]:
    """Load captions as documented, with ``torchvision`` and ``pycocotools``."""
    splits = {}
    for split in splits_of(path, "annotations/*.json"):
        images = run_documented(path, split, "CocoCaptions", "images")
        rows = []
        for number, (picture, captions) in zip(images.ids, images, strict=True):
            (entry,) = images.coco.loadImgs(number)
            row = entry["row"]
            assert captions == [row["caption"]] * bool(row["caption"]), "the captions differ"
            data = (Path(path) / split / entry["file_name"]).read_bytes()
            rows.append({**row, "image": sha256(data), "seen": picture.size})
        splits[split] = listed(rows)
    return splits


def coco_json(path: str) -> dict[str, Any]:
    """Load captions with the JSON parser alone."""
    splits = {}
    for split, (file,) in splits_of(path, "annotations/*.json").items():
        entries = json.loads(Path(file).read_bytes())["images"]
        files = Path(path) / split
        splits[split] = listed([with_image(one["row"], (files / one["file_name"]).read_bytes()) for one in entries])
    return splits


def ray(path: str) -> dict[str, Any]:
    """Load tables or shards with Ray Data."""
    import ray  # noqa: PLC0415 (as above)

    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", ignore_reinit_error=True)
    splits = {}
    for split, files in splits_of(path, "*.parquet").items():
        rows = ray.data.read_parquet(files).take_all()
        splits[split] = listed([with_image(row, row["image"]["bytes"]) for row in rows])
    for split, files in splits_of(path, "*.tar").items():
        rows = ray.data.read_webdataset(files, decoder=None).take_all()
        splits[split] = listed([with_image(json.loads(row["json"]), row["jpg"]) for row in rows])
    return splits


def mlcroissant(path: str) -> dict[str, Any]:
    """Load all record sets with ``mlcroissant``; ``path`` is the file that describes them."""
    import mlcroissant as mlc  # noqa: PLC0415 (as above)

    dataset = mlc.Dataset(path)  # raises if it is not valid Croissant
    sets: dict[str, Any] = {}
    for record_set in (one.id for one in dataset.metadata.record_sets):
        rows = []
        for record in dataset.records(record_set):
            row = {name.removeprefix(f"{record_set}/"): as_in_row(value) for name, value in record.items()}
            rows.append(row)
        sets[record_set] = listed(rows)
    return sets


def as_in_row(value: Any) -> Any:  # noqa: ANN401 (any type of a field)
    """Return a field's value as in the row of the archive; for a picture, the sha256 of its file."""
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if hasattr(value, "fp"):
        file = value.fp.getvalue()
        value.load()
        return sha256(file)
    return value


def outcomes(path: str) -> dict[str, Any]:
    """Load the outcomes of a chunk with ``datasets`` and with pandas, without the absent values."""
    import datasets  # noqa: PLC0415 (as above)
    import pandas as pd  # noqa: PLC0415

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset("json", data_files=path, split="train")
    frame = pd.read_json(path, lines=True)
    rows = [{key: value for key, value in row.items() if value is not None} for row in loaded]
    framed = [{key: value for key, value in row.items() if not pd.isna(value)} for row in frame.to_dict("records")]
    return {"datasets": rows, "pandas": framed}


LOADERS = {
    "outcomes": outcomes,
    "load_dataset": load_dataset,
    "imagefolder": lambda path: load_dataset("imagefolder", data_dir=path),
    "webdataset": webdataset,
    "webdataset_in_batches": webdataset_in_batches,
    "pyarrow": pyarrow,
    "pandas": pandas,
    "pandas_metadata": pandas_metadata,
    "duckdb": duckdb,
    "duckdb_metadata": duckdb_metadata,
    "torchvision": torchvision,
    "coco": coco,
    "coco_json": coco_json,
    "ray": ray,
    "mlcroissant": mlcroissant,
}

if __name__ == "__main__":
    main()
