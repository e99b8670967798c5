"""Read a list in Parquet, in batches of rows and only the columns that are needed. Needs pyarrow."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pixcore.errors import InvalidRequest, one_line

_BATCH = 4096  # rows


class ParquetTable:
    """A Parquet file. Values keep their types; nested ones are lists and dictionaries.

    Attributes:
        columns: The names of its columns.
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
            self.columns: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        except FileNotFoundError:
            raise
        except self._damage as exc:
            raise self._broken(exc) from exc

    def rows(self, columns: Collection[str]) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield the number of each row, from 1, and its values in these columns.

        Raises:
            InvalidRequest: The file is damaged.
        """
        wanted, number = [column for column in self.columns if column in columns], 0
        batches = self._file.iter_batches(batch_size=_BATCH, columns=wanted, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                cells = [column.to_pylist() for column in batch.columns] if batch else []
            except self._damage as exc:
                raise self._broken(exc) from exc
            if batch is None:
                return
            for values in zip(*cells, strict=True):
                number += 1
                yield number, dict(zip(wanted, values, strict=True))

    def _broken(self, exc: Exception) -> InvalidRequest:
        return InvalidRequest(
            f"the list {self._name} cannot be read as Parquet ({one_line(exc)[:160]}); fetch it again, or name its"
            " format with --list-format"
        )
