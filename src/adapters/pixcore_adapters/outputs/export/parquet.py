"""Parquet files that contain the images, which Hugging Face's ``datasets`` shows as images."""

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export import Add, Layout, spread
from pixcore_adapters.outputs.export.destinations import Files

# A reader holds a row group in memory, and so does the writer.
_ROWS, _BYTES = 100, 64 << 20


def layout(*, by_label: bool) -> Layout:  # noqa: ARG001 - the row of an image has its label
    """Return the function that writes this layout."""
    return parquet


def parquet(samples: Iterable[Sample], into: Files) -> Mapping[str, str]:
    """Write ``{split}-000000.parquet`` and so on, all with the columns of the first sample's row; see ``Layout``."""
    remaining = iter(samples)
    first = next(remaining, None)
    if first is None:
        return {}
    # The path in the column `image` takes the place of `file_name`.
    columns = {column: isinstance(value, int) for column, value in first.row.items() if column != "file_name"}
    return spread(chain([first], remaining), into, "parquet", partial(_file, columns))


@contextmanager
def _file(columns: Mapping[str, bool], path: Path) -> Generator[Add]:
    schema = _schema(columns)
    rows: list[pa.RecordBatch] = []  # one for each image: arrow copies a whole batch whenever it grows
    size = 0

    def flush() -> None:
        nonlocal size
        writer.write_table(pa.Table.from_batches(rows, schema), row_group_size=_ROWS)
        rows.clear()
        size = 0

    def add(sample: Sample) -> None:
        nonlocal size
        image = {"bytes": sample.data, "path": sample.row["file_name"]}
        row = {"image": image, **{column: sample.row[column] for column in columns}}
        rows.append(pa.RecordBatch.from_pylist([row], schema))
        size += len(sample.data)
        if len(rows) == _ROWS or size >= _BYTES:
            flush()

    # A dictionary and statistics of whole pictures would only take space.
    described = list(columns)
    with (
        path.open("wb") as file,
        pq.ParquetWriter(file, schema, use_dictionary=described, write_statistics=described) as writer,
    ):
        yield add
        if rows:
            flush()


def _schema(columns: Mapping[str, bool]) -> pa.Schema:
    """Return the schema: the image, then ``columns``, which says of each whether it holds integers or text."""
    features = {"image": {"_type": "Image"}} | {
        column: {"dtype": "int64" if integer else "string", "_type": "Value"} for column, integer in columns.items()
    }
    return pa.schema(
        [
            pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            *(pa.field(column, pa.int64() if integer else pa.string()) for column, integer in columns.items()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
