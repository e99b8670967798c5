"""Read the files of a list into entries, and summarise how the list was read."""

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn

from attrs import define, field

from pixcore.errors import InvalidRequest, one_line
from pixcore.model.rows import own_name
from pixcore_adapters.downloader.lists import formats, json_documents, json_lines, plain, text
from pixcore_adapters.downloader.lists.columns import URLS, Columns, Entries, Entry, choose
from pixcore_adapters.downloader.lists.faults import Faults, Junk
from pixcore_adapters.downloader.lists.files import ListFile
from pixcore_adapters.downloader.lists.json_lines import JsonRow
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.lists.parquet import ParquetTable
from pixcore_adapters.downloader.lists.tables import Table

_PEEK = 100  # rows whose keys decide the purpose of the keys of JSON objects
_MAX_KEYS = 1000
_NO_COLUMNS = Columns("", {}, "", "", {})
_SAMPLE = 200  # characters of a value in a sample


@define
class Reading:
    """One pass over a list. The kinds and the summary are complete once ``entries`` has ended.

    Attributes:
        name: The list's name, for messages.
        files: Its files, in order.
        options: How to read it.
    """

    name: str
    files: Sequence[ListFile]
    options: ListOptions
    format: str = ""
    delimiter: str = ""
    encoding: str = ""
    columns: Columns = _NO_COLUMNS
    faults: Faults = field(init=False)
    made: Entries = field(init=False)
    _first: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        self.faults = Faults(self.name, self.options.accept_junk)
        self.made = Entries(self.options, self.faults)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of all files, in order.

        Raises:
            InvalidRequest: A file cannot be read or is no list, the columns are ambiguous or differ between the files,
                or too many rows are faulty.
        """
        for file in self.files:
            name = self.name if len(self.files) == 1 else file.name
            self.faults.file = "" if len(self.files) == 1 else file.short
            with file.opened() as path:
                try:
                    form = formats.actual(path, name, self.options)
                    self.format = form if self.format in ("", form) else f"{self.format}, {form}"
                    yield from self._parquet(path, name) if form == "parquet" else self._text(path, name, form)
                except (OSError, EOFError, zlib.error) as exc:
                    reason = getattr(exc, "strerror", None) or one_line(exc)
                    raise InvalidRequest(
                        f"the list {name} cannot be read: {reason}; check its path, and that it is whole"
                    ) from exc
        self.faults.check(self.made.rows, end=True)

    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Return the kept columns, each with ``"string"`` or ``"integer"``."""
        return tuple(self.made.kinds.items())

    def summary(self) -> dict[str, Any]:
        """Return how the list was read, as JSON values."""
        return {
            "list": self.name,
            "files": len(self.files),
            "format": self.format,
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "columns": self.columns.used,
            "kept": list(self.made.kinds),
            "rows": self.made.rows,
            "rows_without_url": self.made.rows - self.made.urls - self.made.other_licenses,
            "rows_under_other_licenses": self.made.other_licenses,
            "faults": {str(reason): count for reason, count in self.faults.counts.most_common()},
            "first_faults": [
                {"file": file, "line": junk.line, "reason": str(junk.reason), "text": junk.text}
                for file, junk in self.faults.first
            ],
            "samples": [{key: _short(value) for key, value in sample.items()} for sample in self.made.samples],
        }

    def _parquet(self, path: Path, name: str) -> Iterator[Entry]:
        table = ParquetTable(path, name)
        self._same_columns(table.columns, name)
        self._choose(table.columns, name)
        yield from self.made.of(table.rows(self.columns.read), self.columns)

    def _text(self, path: Path, name: str, form: str) -> Iterator[Entry]:
        with text.opened(path, name, form, self.options) as (readable, self.encoding):
            if form == "json":
                yield from self._json(json_documents.rows(readable, name), name)
                return
            lines = text.Lines(readable, self.faults)
            if form == "jsonl":
                yield from self._json(json_lines.rows(lines), name)
            elif form == "txt":
                yield from self.made.of(plain.rows(lines), self.columns)
            else:
                urls = (self.options.url.casefold(),) if self.options.url else URLS
                table = Table(lines, self.faults, form, self.options.columns, urls)
                self.delimiter = table.delimiter
                self._same_columns(table.columns, name)
                self._choose(table.columns, name)
                yield from self.made.of(table.rows(self.columns.url), self.columns)

    def _json(self, rows: Iterator[JsonRow], name: str) -> Iterator[Entry]:
        ahead = list(islice(rows, _PEEK))
        keys = dict.fromkeys(key for row in ahead if not isinstance(row, Junk) for key in _keys(row[1]))
        if keys:
            self._choose(list(keys), name)
            rows = _growing(chain(ahead, rows), self.columns, self.options, keys, name)
        else:
            rows = chain(ahead, rows)
        yield from self.made.of(rows, self.columns)

    def _choose(self, columns: Sequence[str], name: str) -> None:
        """Choose the columns of a file. Refuse one in which others are used than in the files before it."""
        chosen = choose(columns, self.options, name)
        if self.columns.used and chosen.used != self.columns.used:
            self._refuse(
                name, {f"{role} from {column}" for role, column in chosen.used.items() ^ self.columns.used.items()}
            )
        self.columns = chosen

    def _same_columns(self, columns: tuple[str, ...], name: str) -> None:
        """Refuse a file whose columns differ from those of the first file."""
        self._first = self._first or columns
        if set(columns) != set(self._first):
            self._refuse(name, {repr(column) for column in set(columns) ^ set(self._first)})

    def _refuse(self, name: str, differing: Collection[str]) -> NoReturn:
        raise InvalidRequest(
            f"the list {self.name} has files with different columns: {Path(name).name} and {self.files[0].short}"
            f" differ in {', '.join(sorted(differing)[:10])}; collect them as separate lists"
        )


def _keys(row: object) -> Iterable[str]:
    return row if isinstance(row, dict) else ()


def _growing(
    rows: Iterable[JsonRow], columns: Columns, options: ListOptions, known: Iterable[str], name: str
) -> Iterator[JsonRow]:
    """Yield the rows. Add each new key to the kept columns, unless the options choose the columns."""
    seen, names = set(known), columns.names
    for row in rows:
        if not isinstance(row, Junk) and isinstance(row[1], dict) and not seen.issuperset(row[1]):
            for key in row[1].keys() - seen:
                seen.add(key)
                if not options.keep and key not in options.drop:
                    names[key] = own_name(key, names.values(), seen - {key})
            if len(seen) > _MAX_KEYS:
                raise InvalidRequest(f"the list {name} has more than {_MAX_KEYS} different keys; use --keep-columns")
        yield row


def _short(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _short(inner) for key, inner in value.items()}
    return value[:_SAMPLE] if isinstance(value, str) else value
