"""Plain files of images with a CSV file for each split, ``{split}.csv``, that describes them."""

import csv
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pixcore_adapters.outputs.export.declared_types import duckdb_columns, pandas_types
from pixcore_adapters.outputs.export.imagefolder import AddRow, ImageFolder, Index
from pixcore_adapters.outputs.export.layout import ExportRequest, without_shards


def layout(request: ExportRequest) -> ImageFolder:
    """Make the layout for an export.

    Raises:
        InvalidRequest: A shard size is asked for.
    """
    without_shards("csv", request)
    usage = _USAGE.format(pandas=pandas_types(request.columns), duckdb=duckdb_columns(request.columns))
    return ImageFolder(request, Index("{split}.csv", False, partial(_opened, request.columns), usage))


@contextmanager
def _opened(columns: Mapping[str, str], path: Path) -> Generator[AddRow]:
    with path.open("w", encoding="utf-8", newline="") as file:
        # All text is quoted, so that readers can tell "" from a missing value, and "1" from 1.
        writer = csv.DictWriter(
            file, list(columns), extrasaction="ignore", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
        )
        writer.writeheader()
        yield writer.writerow


# CSV has no types, and every reader guesses them. These calls state them.
_USAGE = """\
`SPLIT.csv` has the rows, with the path of each image in `file_name`. CSV has no types: give them to the reader, or it
takes a label `007` for a number and a title `nan` for a missing value. `SPLIT/metadata.parquet` has the same rows with
their types.

```python
import pandas as pd

rows = pd.read_csv("PATH/SPLIT.csv", dtype={pandas}, keep_default_na=False)
```

```sql
SELECT * FROM read_csv('PATH/SPLIT.csv', header = true, delim = ',', quote = '"', escape = '"', auto_detect = false,
    allow_quoted_nulls = false, columns = {duckdb});
```
"""
