"""Plain files of images with a file of JSON lines for each split, ``{split}.jsonl``, that describes them."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pixcore_adapters.outputs.export.declared_types import duckdb_columns
from pixcore_adapters.outputs.export.imagefolder import AddRow, ImageFolder, Index
from pixcore_adapters.outputs.export.layout import ExportRequest, without_shards


def layout(request: ExportRequest) -> ImageFolder:
    """Make the layout for an export.

    Raises:
        InvalidRequest: A shard size is asked for.
    """
    without_shards("jsonl", request)
    usage = _USAGE.format(duckdb=duckdb_columns(request.columns))
    return ImageFolder(request, Index("{split}.jsonl", False, partial(_opened, request.columns), usage))


@contextmanager
def _opened(columns: Mapping[str, str], path: Path) -> Generator[AddRow]:
    with path.open("w", encoding="ascii") as file:

        def add(row: Mapping[str, object]) -> None:
            file.write(f"{json.dumps({column: row[column] for column in columns})}\n")

        yield add


_USAGE = """\
`SPLIT.jsonl` has the rows, with the path of each image in `file_name`. Readers other than a JSON parser guess what text
means, unless they are told not to. `SPLIT/metadata.parquet` has the same rows with their types.

```python
import pandas as pd

rows = pd.read_json("PATH/SPLIT.jsonl", lines=True, dtype=False, convert_dates=False)
```

```sql
SELECT * FROM read_json('PATH/SPLIT.jsonl', format = 'newline_delimited', columns = {duckdb});
```
"""
