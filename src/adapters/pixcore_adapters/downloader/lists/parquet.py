"""Read a list in Parquet, in batches of rows and only the columns that are needed. Needs pyarrow."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pixcore.errors import InvalidRequest, one_line
from pixcore_adapters.downloader.lists.naming import unique

_BATCH = 4096  # rows
_ZEROS = re.compile(r"(?:(\.\d*[1-9])|\.)0*(Z?)$")  # at the end of a fraction


class ParquetTable:
    """A Parquet file. Values keep their types; nested ones are lists and dictionaries.

    Attributes:
        columns: The distinct names of its columns.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Read the footer.

        Raises:
            InvalidRequest: pyarrow is missing, or the file is incomplete or damaged.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra, slow to import
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError as exc:
            raise InvalidRequest(
                f"the list {name} needs pyarrow; install it with: pip install 'pixcore[parquet]'"
            ) from exc
        self._name, self._damage = name, (pa.ArrowException, OSError, ValueError, UnicodeDecodeError)
        try:
            self._file: Any = pq.ParquetFile(path, pre_buffer=False)
            self._names: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        except FileNotFoundError:
            raise
        except self._damage as exc:
            raise self._broken(exc) from exc
        self.columns = unique(self._names)

    def rows(self, columns: Collection[str]) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield the number of each row, from 1, and its values in these columns.

        Raises:
            InvalidRequest: The file is damaged.
        """
        wanted = {name for name, column in zip(self._names, self.columns, strict=True) if column in columns}
        number = 0
        batches = self._file.iter_batches(batch_size=_BATCH, columns=sorted(wanted), use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                cells = dict(self._cells(batch, columns))
            except self._damage as exc:
                raise self._broken(exc) from exc
            for values in zip(*cells.values(), strict=True):
                number += 1
                yield number, dict(zip(cells, values, strict=True))

    def _cells(self, batch: Any, columns: Collection[str]) -> Iterator[tuple[str, list[object]]]:  # noqa: ANN401 - no types
        """Yield the columns of a batch that are wanted, each with its values."""
        places: dict[str, list[str]] = {}
        for name, column in zip(self._names, self.columns, strict=True):
            places.setdefault(name, []).append(column)
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            if (column := places[name].pop(0)) in columns:
                yield column, _values(values)

    def _broken(self, exc: Exception) -> InvalidRequest:
        return InvalidRequest(
            f"the list {self._name} cannot be read as Parquet ({one_line(exc)[:160]}); fetch it again, or name its"
            " format with --list-format"
        )


def _values(column: Any) -> list[object]:  # noqa: ANN401 - pyarrow has no types
    """Return the values of a column. Those that Python has no type for, such as nanoseconds, are text."""
    import pyarrow as pa  # noqa: PLC0415 - an extra, slow to import

    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [text and _iso(text) for text in column.cast(pa.string()).to_pylist()]
    return values


def _iso(text: str) -> str:
    """Return a time as Arrow writes it in the form of ``datetime.isoformat``, with all digits that count."""
    return _ZEROS.sub(r"\1\2", text.replace(" ", "T"))
