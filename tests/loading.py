"""Loads what it is asked to with the tools that users have, in an environment of its own, and says what it got.

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
    """Load all, in turn."""
    answer = [LOADERS[loader](path) for loader, path in json.load(sys.stdin)]
    print(json.dumps(answer, default=str))  # noqa: T201 (a script that answers)


def load_dataset(*which: str, **more: str) -> dict[str, Any]:
    """By Hugging Face's ``datasets``."""
    import datasets  # noqa: PLC0415 (an environment has the one or the other)

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
        rows = [{**example, **{column: digest(example[column]) for column in pictures}} for example in raw]
        splits[name] = {"columns": split.column_names, "rows": rows}
    return splits


def digest(image: dict[str, Any]) -> str:
    """The sha256 of an image's file."""
    if image["bytes"] is not None:
        return hashlib.sha256(image["bytes"]).hexdigest()
    import fsspec  # noqa: PLC0415 (as above)

    with fsspec.open(image["path"], "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def webdataset(path: str) -> dict[str, Any]:
    """By ``webdataset``, all splits."""
    import webdataset as wds  # noqa: PLC0415 (as above)
    from PIL import Image  # noqa: PLC0415

    splits: dict[str, Any] = {}
    for shard in sorted(glob.glob(f"{path}/*.tar")):  # noqa: PTH207 (strings are what it takes)
        split = splits.setdefault(shard.rpartition("/")[2].rpartition("-")[0], {"columns": [], "rows": []})
        for sample in wds.WebDataset(shard, shardshuffle=False):
            (image,) = (sample[name] for name in sample if name in ("jpg", "png"))
            Image.open(BytesIO(image)).load()
            split["rows"].append({**json.loads(sample["json"]), "image": hashlib.sha256(image).hexdigest()})
            split["columns"] = list(split["rows"][-1])
    return splits


def pyarrow(path: str) -> dict[str, Any]:
    """By ``pyarrow``, all splits."""
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
    """By ``mlcroissant``, all record sets; ``path`` is the file that describes them."""
    import mlcroissant as mlc  # noqa: PLC0415 (as above)

    dataset = mlc.Dataset(path)  # raises for what it finds to be no valid Croissant
    sets: dict[str, Any] = {}
    for record_set in (one.id for one in dataset.metadata.record_sets):
        rows = [
            {name.removeprefix(f"{record_set}/"): said(value) for name, value in record.items()}
            for record in dataset.records(record_set)
        ]
        sets[record_set] = {"columns": list(rows[0]), "rows": rows}
    return sets


def said(value: Any) -> Any:  # noqa: ANN401 (of any type that a field may have)
    """A field's value as the row in its archive has it, a picture as the sha256 of its file."""
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
