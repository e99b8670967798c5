"""Parquet files that contain the images, which Hugging Face's ``datasets`` shows as images."""

import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import frozen

from pixcore.stored.samples import Sample
from pixcore_adapters.outputs.export.destinations import Files
from pixcore_adapters.outputs.export.layout import ExportRequest, Loading
from pixcore_adapters.outputs.export.shards import Add, spread
from pixcore_adapters.outputs.features import features

# A reader holds a row group in memory, and so does the writer.
_ROWS, _BYTES = 100, 64 << 20


@frozen
class Parquet:
    """A ``Layout``: ``{split}-000000.parquet`` and so on, all with the same columns.

    The path in the column ``image`` takes the place of ``file_name``. Every reader gets ``label`` as text. With
    classes, ``datasets`` numbers it, as the schema's metadata and the card declare.
    """

    request: ExportRequest

    def write(self, samples: Iterable[Sample], files: Files) -> Loading:
        """See ``Layout``."""
        patterns = spread(samples, files, "parquet", self.request.shard, self._file)
        return Loading(patterns, {"image": "image", **features(self._columns, self.request.classes)}, usage=_USAGE)

    @property
    def _columns(self) -> dict[str, str]:
        return {column: kind for column, kind in self.request.columns.items() if column != "file_name"}

    @contextmanager
    def _file(self, path: Path) -> Generator[Add]:
        columns = list(self._columns)
        schema = self._schema()
        rows: list[pa.RecordBatch] = []  # one for each image: arrow copies a whole batch whenever it grows
        size = 0

        def flush() -> None:
            nonlocal size
            writer.write_table(pa.Table.from_batches(rows, schema), row_group_size=_ROWS)
            rows.clear()
            size = 0

        def add(sample: Sample) -> int:
            nonlocal size
            image = {"bytes": sample.data, "path": sample.row["file_name"]}
            row = {"image": image, **{column: sample.row[column] for column in columns}}
            batch = pa.RecordBatch.from_pylist([row], schema)
            rows.append(batch)
            size += len(sample.data)
            if len(rows) == _ROWS or size >= _BYTES:
                flush()
            return int(batch.nbytes)

        # A dictionary and statistics of whole pictures would only take space.
        with (
            path.open("wb") as file,
            pq.ParquetWriter(file, schema, use_dictionary=columns, write_statistics=columns) as writer,
        ):
            yield add
            if rows:
                flush()

    def _schema(self) -> pa.Schema:
        declared = {"image": {"_type": "Image"}} | {
            column: {"dtype": "int64" if kind == "integer" else "string", "_type": "Value"}
            for column, kind in self._columns.items()
        }
        if self.request.classes:
            declared["label"] = {"names": list(self.request.classes), "_type": "ClassLabel"}  # type: ignore[dict-item]
        fields = (
            pa.field(column, pa.int64() if kind == "integer" else pa.string()) for column, kind in self._columns.items()
        )
        return pa.schema(
            [pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), *fields],
            metadata={"huggingface": json.dumps({"info": {"features": declared}})},
        )


_USAGE = """\
Every reader of Parquet finds the columns with their types, and the file of each image in `image.bytes`:

```python
import pandas as pd

rows = pd.read_parquet("PATH/SPLIT-000000.parquet")
```
"""
