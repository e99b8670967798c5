"""Write rows of text and integers as a Parquet file, whose types every loader reads and none infers.

Loaders infer the types of JSON and CSV: a column of dates, digits or ``nan`` comes back as something else. Parquet
states them. pyarrow does not write this file, because the bytes of its files differ from version to version, while
archives of the same rows must be the same bytes. It would also be the largest package of an installation. Only the part
of the format that such rows need is written (https://parquet.apache.org/docs/file-format/): one page a column and row
group, ``PLAIN`` values, no compression, no statistics.
"""

import struct
from array import array
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import IO

_MAGIC = b"PAR1"
_ROWS, _BYTES = 1000, 16 << 20  # of a row group, which readers hold in memory
_CREATED_BY = b"pixcore"

# Types of Thrift's compact protocol
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_LONG = 15  # from this size on, the size of a list follows its head
_MORE = 0x80  # set in each byte of an integer but the last
# Values of Parquet's enumerations
_INT64, _BYTE_ARRAY = 2, 6  # Type
_OPTIONAL = 1  # FieldRepetitionType; pyarrow writes all columns so, and readers compare schemas
_UTF8 = 0  # ConvertedType
_PLAIN, _RLE = 0, 3  # Encoding
_UNCOMPRESSED = 0  # CompressionCodec
_DATA_PAGE = 0  # PageType

_LENGTH, _LENGTH_BYTES = struct.Struct("<I").pack, 4  # before each text

_Field = tuple[int, int, bytes]  # number, type, encoded value


class RowTable:
    """A Parquet file that is being written; see ``row_table``.

    Memory holds one row group of at most 1,000 rows or 16 MiB, and about 100 bytes for each column of each group.
    """

    def __init__(self, file: IO[bytes], columns: Mapping[str, str]) -> None:
        self._file = file
        self._columns = columns
        self._numbers = [column for column, kind in columns.items() if kind == "integer"]
        self._packed = struct.Struct(f"<{len(self._numbers)}q").pack
        self._integers: list[bytes] = []  # those of each row, in the order of the columns
        self._texts: dict[str, list[bytes]] = {column: [] for column, kind in columns.items() if kind != "integer"}
        self._rows = 0
        self._held = 0
        self._groups: list[bytes] = []
        self._total = 0
        self._place = 0
        self._write(_MAGIC)

    def add(self, row: Mapping[str, object]) -> None:
        """Add a row. It must have all columns of the table; others are ignored.

        Raises:
            KeyError: It lacks a column.
            struct.error: A value is not of its column's type, or an integer has more than 64 bits.
        """
        integers = self._packed(*[row[column] for column in self._numbers])
        self._integers.append(integers)
        self._held += len(integers)
        for column, parts in self._texts.items():
            text = str(row[column]).encode()
            parts.extend((_LENGTH(len(text)), text))
            self._held += _LENGTH_BYTES + len(text)
        self._rows += 1
        if self._rows == _ROWS or self._held >= _BYTES:
            self._flush()

    def finish(self) -> None:
        """Write the remaining rows and the footer."""
        if self._rows:
            self._flush()
        footer = _footer(self._columns, self._groups, self._total)
        self._write(footer + struct.pack("<I", len(footer)) + _MAGIC)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._place += len(data)

    def _flush(self) -> None:
        chunks: list[bytes] = []
        begin = self._place
        integers = array("q", b"".join(self._integers))
        self._integers.clear()
        for column, kind in self._columns.items():
            if kind == "integer":
                values = [integers[self._numbers.index(column) :: len(self._numbers)].tobytes()]
            else:
                values, self._texts[column] = self._texts[column], []
            page = _page(self._rows, values)
            chunks.append(_column_chunk(column, kind, self._rows, self._place, len(page)))
            self._write(page)
        group = _struct(
            (1, _LIST, _list(_STRUCT, chunks)),
            (2, _I64, _integer(self._place - begin)),
            (3, _I64, _integer(self._rows)),
        )
        self._groups.append(group)
        self._total += self._rows
        self._rows = self._held = 0


@contextmanager
def row_table(file: IO[bytes], columns: Mapping[str, str]) -> Generator[RowTable]:
    """Give the block a table to add rows to, and complete the file if the block does not raise.

    The file is written from its start to its end. The same rows give the same bytes, in every version of pixcore.

    Args:
        file: Opened for writing in binary mode.
        columns: Each column with ``"string"`` or ``"integer"`` (64 bits, signed).
    """
    table = RowTable(file, columns)
    yield table
    table.finish()


def _page(rows: int, values: Sequence[bytes]) -> bytes:
    # No value is null, so the definition levels are one run of ones.
    run = _varint(rows << 1) + b"\1"
    body = b"".join(chain((struct.pack("<I", len(run)), run), values))
    described = _struct(
        (1, _I32, _integer(rows)),
        (2, _I32, _integer(_PLAIN)),  # of the values
        (3, _I32, _integer(_RLE)),  # of the definition levels
        (4, _I32, _integer(_RLE)),  # of the repetition levels, which are left out
    )
    header = _struct(
        (1, _I32, _integer(_DATA_PAGE)),
        (2, _I32, _integer(len(body))),
        (3, _I32, _integer(len(body))),
        (5, _STRUCT, described),
    )
    return header + body


def _column_chunk(column: str, kind: str, rows: int, place: int, size: int) -> bytes:
    described = _struct(
        (1, _I32, _integer(_INT64 if kind == "integer" else _BYTE_ARRAY)),
        (2, _LIST, _list(_I32, [_integer(_PLAIN), _integer(_RLE)])),
        (3, _LIST, _list(_BINARY, [_binary(column.encode())])),
        (4, _I32, _integer(_UNCOMPRESSED)),
        (5, _I64, _integer(rows)),
        (6, _I64, _integer(size)),
        (7, _I64, _integer(size)),
        (9, _I64, _integer(place)),
    )
    return _struct((2, _I64, _integer(place)), (3, _STRUCT, described))


def _footer(columns: Mapping[str, str], groups: Sequence[bytes], rows: int) -> bytes:
    root = _struct((4, _BINARY, _binary(b"schema")), (5, _I32, _integer(len(columns))))
    schema = [root, *(_schema_element(column, kind) for column, kind in columns.items())]
    return _struct(
        (1, _I32, _integer(1)),
        (2, _LIST, _list(_STRUCT, schema)),
        (3, _I64, _integer(rows)),
        (4, _LIST, _list(_STRUCT, groups)),
        (6, _BINARY, _binary(_CREATED_BY)),
    )


def _schema_element(column: str, kind: str) -> bytes:
    named: list[_Field] = [(3, _I32, _integer(_OPTIONAL)), (4, _BINARY, _binary(column.encode()))]
    if kind == "integer":
        return _struct((1, _I32, _integer(_INT64)), *named)
    is_string = _struct((1, _STRUCT, _struct()))  # LogicalType.STRING, for readers that ignore the older ConvertedType
    return _struct((1, _I32, _integer(_BYTE_ARRAY)), *named, (6, _I32, _integer(_UTF8)), (10, _STRUCT, is_string))


def _struct(*fields: _Field) -> bytes:
    """Encode a struct. The numbers of its fields must increase, by at most 15."""
    parts: list[bytes] = []
    last = 0
    for number, kind, value in fields:
        parts += (bytes([(number - last) << 4 | kind]), value)
        last = number
    return b"".join(parts) + b"\0"


def _list(kind: int, items: Sequence[bytes]) -> bytes:
    size = len(items)
    head = bytes([size << 4 | kind]) if size < _LONG else bytes([_LONG << 4 | kind]) + _varint(size)
    return head + b"".join(items)


def _binary(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _integer(number: int) -> bytes:
    return _varint(number << 1)  # zigzag; no number here is negative


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _MORE:
        out.append(number % _MORE | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)
