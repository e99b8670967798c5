"""Read a list in one JSON document, in parts: an array of objects or URLs, or an object of columns."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

from pixcore.chunk.workspace import local_disk, temporary_file
from pixcore.errors import InvalidRequest
from pixcore_adapters.downloader.lists import json_lines
from pixcore_adapters.downloader.lists.json_lines import JsonRow
from pixcore_adapters.downloader.lists.text import MAX_LINE, Readable

_BLOCK = 1 << 16  # characters
_MAX_COLUMNS = 1000
_NO_SPACE = re.compile(r"[^ \t\r\n\ufeff]")
_decoder = json.JSONDecoder()


def rows(text: Readable, name: str) -> Iterator[JsonRow]:
    """Yield the number and the value of each row.

    A document with more than one value at its top level is read as one value a row.

    Raises:
        InvalidRequest: The text is neither JSON nor a list, or one of its values is too long.
    """
    scanner = _Scanner(text, name)
    match scanner.peek():
        case "[":
            yield from _array(scanner)
        case "{":
            yield from _object(scanner, name)
        case _:
            raise InvalidRequest(f"the list {name} is not JSON that begins with [ or {{; name its --list-format")


class _Scanner:
    """Reads JSON values one by one. Holds one value and one block at most."""

    def __init__(self, text: Readable, name: str) -> None:
        self._text, self._name, self._buffer, self._at, self._ended = text, name, "", 0, False

    def peek(self) -> str:
        """Return the next character that is not a space, without taking it; ``""`` at the end."""
        while True:
            if found := _NO_SPACE.search(self._buffer, self._at):  # a loop over 100 MB of spaces would take a minute
                self._at = found.start()
                return found[0]
            self._at = len(self._buffer)
            if not self._more():
                return ""

    def take(self, *letters: str) -> str:
        """Take the next character that is not a space; it must be one of these."""
        letter = self.peek()
        if letter not in letters or not letter:
            raise self._broken(f"{letter!r} instead of {letters[0]!r}" if letter else "it ends too early")
        self._at += 1
        return letter

    def value(self) -> object:
        """Take the next value."""
        self.peek()
        while True:
            try:
                value, end = _decoder.raw_decode(self._buffer, self._at)
            except (ValueError, RecursionError) as exc:
                if len(self._buffer) - self._at > MAX_LINE or not self._more():
                    raise self._broken(f"{exc}"[:100]) from exc
                continue
            if end == len(self._buffer) and self._more():
                continue  # a number may continue in the next block
            self._at = end
            return value

    def items(self, start: str, end: str) -> Iterator[str | None]:
        """Yield once before each item of an array (None) or of an object (its key). The caller takes the item."""
        self.take(start)
        if self.peek() == end:
            self.take(end)
            return
        while True:
            key = None
            if start == "{":
                key = str(self.value())
                self.take(":")
            yield key
            if self.take(",", end) == end:
                return

    def _more(self) -> bool:
        if self._ended:
            return False
        block = self._text.read(max(_BLOCK, len(self._buffer) - self._at))
        self._ended = not block
        self._buffer, self._at = self._buffer[self._at :] + block, 0
        return bool(block)

    def _broken(self, detail: str) -> InvalidRequest:
        return InvalidRequest(
            f"the list {self._name} is not complete JSON ({detail}); fetch it again, or name its --list-format"
        )


def _array(scanner: _Scanner) -> Iterator[JsonRow]:
    for number, _ in enumerate(scanner.items("[", "]"), 1):
        value = scanner.value()
        yield json_lines.row(number, value, json.dumps(value))
    if scanner.peek():
        scanner.take("")


def _object(scanner: _Scanner, name: str) -> Iterator[JsonRow]:
    """Yield the rows of an object of columns, or of several objects that follow each other."""
    with ExitStack() as opened:
        columns: dict[str, IO[bytes]] = {}
        single: dict[str, object] = {}
        for key in scanner.items("{", "}"):
            start = scanner.peek()
            if start not in "[{" or len(columns) == _MAX_COLUMNS:
                single[str(key)] = scanner.value()
                continue
            with local_disk("reading a list", temporary=True):
                columns[str(key)] = file = opened.enter_context(temporary_file())
                for _ in scanner.items(start, "]" if start == "[" else "}"):
                    file.write(json.dumps(scanner.value()).encode() + b"\n")
                file.flush()
        if single or scanner.peek():  # the object is a row; others may follow
            for key, column in columns.items():
                column.seek(0)
                single[key] = [json.loads(line) for line in column]
            yield 1, single
            yield from _others(scanner)
            return
        for column in columns.values():
            column.seek(0)
        yield from _columns(columns, name)


def _others(scanner: _Scanner) -> Iterator[JsonRow]:
    number = 1
    while scanner.peek():
        number += 1
        value = scanner.value()
        yield json_lines.row(number, value, json.dumps(value))


def _columns(columns: dict[str, IO[bytes]], name: str) -> Iterator[JsonRow]:
    number = 0
    while True:
        number += 1
        lines = {column: file.readline() for column, file in columns.items()}
        if not any(lines.values()):
            return
        if short := [column for column, line in lines.items() if not line]:
            raise InvalidRequest(
                f"the list {name} has columns of different lengths: {short[0]!r} ends after {number - 1} rows"
            )
        yield number, {column: json.loads(line) for column, line in lines.items()}
