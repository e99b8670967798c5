"""A table of rows is Parquet that another implementation reads back, with the same bytes every time."""

from collections.abc import Sequence
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore_adapters.row_table import row_table

COLUMNS = {"text": "string", "number": "integer", 'имя "x"': "string"}
cells = st.tuples(st.text(st.characters(codec="utf-8")), st.integers(-(1 << 63), (1 << 63) - 1))


def written(rows: Sequence[tuple[str, int]]) -> bytes:
    """Write a table; the last column holds the text backwards."""
    file = BytesIO()
    with row_table(file, COLUMNS) as table:
        for text, number in rows:
            table.add(dict(zip(COLUMNS, (text, number, text[::-1]), strict=True)))
    return file.getvalue()


@given(st.lists(cells, max_size=20))
def test_pyarrow_reads_what_was_written(rows: Sequence[tuple[str, int]]) -> None:
    """Any text and any 64-bit integer; no value becomes null."""
    table = pq.read_table(BytesIO(written(rows)))
    assert table.schema == pa.schema(zip(COLUMNS, (pa.string(), pa.int64(), pa.string()), strict=True))
    assert [tuple(row.values()) for row in table.to_pylist()] == [(text, number, text[::-1]) for text, number in rows]
    assert written(rows) == written(rows)


def test_many_rows_are_in_groups() -> None:
    """A reader holds one group in memory: 1,000 rows, or fewer of long texts."""
    rows = [(f"row {number}", number) for number in range(2_300)] + [("x" * (5 << 20), 7)] * 3
    file = pq.ParquetFile(BytesIO(written(rows)))
    about = file.metadata
    assert [about.row_group(number).num_rows for number in range(about.num_row_groups)] == [1000, 1000, 302, 1]
    assert file.read(["text", "number"]).to_pylist() == [{"text": text, "number": number} for text, number in rows]


def test_a_failed_table_is_not_completed() -> None:
    """A table that ends early must not look like a whole one with fewer rows."""
    file = BytesIO()
    with pytest.raises(KeyError), row_table(file, COLUMNS) as table:
        table.add({"text": "a", "number": 1})
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(BytesIO(file.getvalue()))
