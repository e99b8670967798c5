"""Parquet files with the images in them, which Hugging Face's ``datasets`` shows as images."""

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pixcore.model.rows import COLUMNS, NUMBERS
from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export import Add, Layout, spread

# a reader holds a row group in memory, and so does the writer
_ROWS, _BYTES = 100, 64 << 20

_DESCRIBED = tuple(column for column in COLUMNS if column != "file_name")  # which is the image's path
_FEATURES = {"image": {"_type": "Image"}} | {
    column: {"dtype": "int64" if column in NUMBERS else "string", "_type": "Value"} for column in _DESCRIBED
}
_SCHEMA = pa.schema(
    [
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *(pa.field(column, pa.int64() if column in NUMBERS else pa.string()) for column in _DESCRIBED),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def layout(*, by_label: bool) -> Layout:  # noqa: ARG001 - the label of an image stands in its row
    """Return the layout."""
    return parquet


def parquet(samples: Iterable[Sample], into: Path) -> Mapping[str, str]:
    """Write ``{split}-000000.parquet`` and so on; see ``Layout``."""
    return spread(samples, into, "parquet", _file)


@contextmanager
def _file(path: Path) -> Generator[Add]:
    rows: list[dict[str, object]] = []
    size = 0

    def flush() -> None:
        nonlocal size
        writer.write_table(pa.Table.from_pylist(rows, _SCHEMA), row_group_size=_ROWS)
        rows.clear()
        size = 0

    def add(sample: Sample) -> None:
        nonlocal size
        image = {"bytes": sample.data, "path": sample.row["file_name"]}
        rows.append({"image": image, **{column: sample.row[column] for column in _DESCRIBED}})
        size += len(sample.data)
        if len(rows) == _ROWS or size >= _BYTES:
            flush()

    # a dictionary or the extremes of whole pictures would only take room
    columns = list(_DESCRIBED)
    with (
        path.open("wb") as file,
        pq.ParquetWriter(file, _SCHEMA, use_dictionary=columns, write_statistics=columns) as writer,
    ):
        yield add
        if rows:
            flush()
