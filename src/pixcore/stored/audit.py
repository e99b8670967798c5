"""What a whole archive must satisfy, whoever packed it."""

import hashlib
from collections.abc import Iterator, Mapping

from pixcore.model.rows import COLUMNS, NUMBERS
from pixcore.ports.archiver import Contents


def audit(contents: Contents) -> Iterator[str]:
    """Yield one line for each fault, naming the member; nothing for a whole archive. Reads every file once.

    Whole: at least one row; each row has exactly the columns of ``Row`` with their types; rows and files match one to
    one by ``file_name``; each file has the size and sha256 of its row.
    """
    rows: dict[str, Mapping[str, object]] = {}
    for number, row in enumerate(contents.rows):
        yield from _faults(number, row)
        name = str(row.get("file_name", ""))
        if name in rows:
            yield f"{name}: has more than one row"
        rows[name] = row
    if not rows:
        yield "the archive holds no image"
    met: set[str] = set()
    for name, data in contents.files:
        if name in met:
            yield f"{name}: is there more than once"
        elif name not in rows:
            yield f"{name}: has no row"
        else:
            if rows[name].get("bytes") != len(data):
                yield f"{name}: holds {len(data)} bytes, its row says {rows[name].get('bytes')}"
            if rows[name].get("sha256") != hashlib.sha256(data).hexdigest():
                yield f"{name}: its sha256 is not the one in its row"
        met.add(name)
    yield from (f"{name}: has a row but no file" for name in rows if name not in met)


def _faults(number: int, row: Mapping[str, object]) -> Iterator[str]:
    if missing := [column for column in COLUMNS if column not in row]:
        yield f"row {number}: lacks {', '.join(missing)}"
    if unknown := [column for column in row if column not in COLUMNS]:
        yield f"row {number}: has unknown columns {', '.join(unknown)}"
    for column, value in row.items():
        kind = int if column in NUMBERS else str
        if column in COLUMNS and type(value) is not kind:
            yield f"row {number}: {column} is {value!r}, not {'a whole number' if kind is int else 'text'}"
