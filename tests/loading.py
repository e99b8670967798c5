"""Load datasets with common tools, in a separate environment, and print what was loaded.

Standard input: ``[[loader, path], …]`` as JSON. Standard output: for each ``{split: {"columns": […], "rows": […]}}``,
where a row's image is the sha256 of its file.
"""

import glob
import hashlib
import json
import sys
from io import BytesIO
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
        for example in split:
            for column in pictures:
                example[column].load()
        raw = split
        for column in pictures:
            raw = raw.cast_column(column, datasets.Image(decode=False))
        classes = {column: of for column, of in split.features.items() if isinstance(of, datasets.ClassLabel)}
        rows = [
            {
                **example,
                **{column: digest(example[column]) for column in pictures},
                **{column: of.int2str(example[column]) for column, of in classes.items()},
            }
            for example in raw
        ]
        splits[name] = {"columns": split.column_names, "rows": rows}
    return splits


def digest(image: dict[str, Any]) -> str:
    """Return the sha256 of an image's file."""
    if image["bytes"] is not None:
        return hashlib.sha256(image["bytes"]).hexdigest()
    import fsspec  # noqa: PLC0415 (as above)

    with fsspec.open(image["path"], "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def webdataset(path: str) -> dict[str, Any]:
    """Load all splits with ``webdataset``."""
    import webdataset as wds  # noqa: PLC0415 (as above)
    from PIL import Image  # noqa: PLC0415

    splits: dict[str, Any] = {}
    for shard in sorted(glob.glob(f"{path}/*.tar")):  # noqa: PTH207 (it takes strings)
        split = splits.setdefault(shard.rpartition("/")[2].rpartition("-")[0], {"columns": [], "rows": []})
        for sample in wds.WebDataset(shard, shardshuffle=False):
            (image,) = (sample[name] for name in sample if name in ("jpg", "png"))
            Image.open(BytesIO(image)).load()
            split["rows"].append({**json.loads(sample["json"]), "image": hashlib.sha256(image).hexdigest()})
            split["columns"] = list(split["rows"][-1])
    return splits


def pyarrow(path: str) -> dict[str, Any]:
    """Load all splits with ``pyarrow``."""
    import pyarrow.parquet as pq  # noqa: PLC0415 (as above)

    splits: dict[str, Any] = {}
    for file in sorted(glob.glob(f"{path}/*.parquet")):  # noqa: PTH207 (as above)
        table = pq.read_table(file)
        split = splits.setdefault(
            file.rpartition("/")[2].rpartition("-")[0], {"columns": table.column_names, "rows": []}
        )
        split["rows"] += [{**each, "image": digest(each["image"])} for each in table.to_pylist()]
    return splits


def mlcroissant(path: str) -> dict[str, Any]:
    """Load all record sets with ``mlcroissant``; ``path`` is the file that describes them."""
    import mlcroissant as mlc  # noqa: PLC0415 (as above)

    dataset = mlc.Dataset(path)  # raises if it is not valid Croissant
    sets: dict[str, Any] = {}
    for record_set in (one.id for one in dataset.metadata.record_sets):
        rows = [
            {name.removeprefix(f"{record_set}/"): as_in_row(value) for name, value in record.items()}
            for record in dataset.records(record_set)
        ]
        sets[record_set] = {"columns": list(rows[0]), "rows": rows}
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
        return hashlib.sha256(file).hexdigest()
    return value


LOADERS = {
    "load_dataset": load_dataset,
    "imagefolder": lambda path: load_dataset("imagefolder", data_dir=path),
    "webdataset": webdataset,
    "pyarrow": pyarrow,
    "mlcroissant": mlcroissant,
}

if __name__ == "__main__":
    main()
