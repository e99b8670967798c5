"""Read the text of a list in bounded memory: gzip, encodings and lines."""

import codecs
import gzip
import io
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from pixcore.errors import InvalidRequest
from pixcore_adapters.downloader.lists.faults import FaultReason, Faults, Junk, shown
from pixcore_adapters.downloader.lists.options import ListOptions

MAX_LINE = 1 << 20  # characters
_MAX_BLANK = 2_000_000  # consecutive blank lines; Excel saves up to 1,048,576 empty rows
_FREE = 64 << 20  # bytes to which a gzip file of any size may unpack
_MAX_RATIO = 200  # for larger files; deflate packs text of URLs by 10, and anything by at most 1,030
_START = 1 << 16  # bytes that are examined before the text is read
_GZIP = b"\x1f\x8b"
_BOM = "\ufeff"
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark begins alike
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Replace bytes that cannot be decoded by lone surrogates, which decoded text never contains."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


_ERRORS = "pixcore-undecodable"
codecs.register_error(_ERRORS, _escape)


class Readable(Protocol):
    """A text that can be read in parts."""

    def read(self, size: int, /) -> str:
        """Return at most ``size`` further characters; ``""`` at the end."""
        ...


class _Bounded(io.RawIOBase):
    """The unpacked bytes of a gzip file. Refuses one that unpacks to far more than its size, unless it is trusted."""

    def __init__(self, packed: BinaryIO, name: str, *, trusted: bool) -> None:
        self._packed, self._name, self._trusted = packed, name, trusted
        self._unpacked, self._count = gzip.GzipFile(fileobj=packed), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override] # io allows any buffer
        data = self._unpacked.read(len(buffer))
        self._count += len(data)
        if not self._trusted and self._count > _FREE + _MAX_RATIO * self._packed.tell():
            raise InvalidRequest(
                f"the list {self._name} unpacks to more than {_MAX_RATIO} times its size, as hardly any list of URLs"
                " does; to read it anyway, add --accept-junk"
            )
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def opened(path: Path, name: str, form: str, options: ListOptions) -> Generator[tuple[io.TextIOWrapper, str]]:
    """Give the block the text of a list in the format ``form``, and the name of its encoding.

    The encoding is that of the options, else that of a byte order mark, else UTF-8.

    Raises:
        InvalidRequest: The text is UTF-16 without a mark, and the options name no encoding; or a gzip file unpacks to
            far more than its size. Also raised while the text is read.
        OSError, EOFError, zlib.error: The file cannot be read. Also raised while the text is read.
    """
    with path.open("rb") as raw:
        packed = name.lower().endswith(".gz") or raw.read(2) == _GZIP
        raw.seek(0)
        binary = io.BufferedReader(_Bounded(raw, name, trusted=options.accept_junk), 1 << 16) if packed else raw
        start = binary.peek(_START)[:_START]
        found = next((encoding for bom, encoding in _BOMS.items() if start.startswith(bom)), "")
        if not (options.encoding or found) and (likely := _unmarked(start)):
            raise InvalidRequest(
                f"the list {name} looks like UTF-16 without a byte order mark; add --list-encoding {likely}"
            )
        encoding = options.encoding or found or "utf-8-sig"
        # a TSV cell cannot be quoted, so it may hold a carriage return, unless that is what ends the lines
        newline = "\n" if form == "tsv" and b"\n" in start else ""
        with io.TextIOWrapper(binary, encoding=encoding, errors=_ERRORS, newline=newline) as text:
            yield text, encoding.removesuffix("-sig")


def _unmarked(start: bytes) -> str:
    """Return the encoding of text that is probably UTF-16, because every other byte of its start is 0; else ``""``."""
    for encoding, place in (("utf-16-le", 1), ("utf-16-be", 0)):
        if (
            (high := start[place:64:2])
            and high.count(0) * 4 > len(high) * 3
            and start[1 - place : 64 : 2].count(0) == 0
        ):
            return encoding
    return ""


class Lines(Iterator["str | Junk"]):
    """The lines of a text, with their ends. A line that is too long is junk; the rest of it is skipped.

    A line with bytes that cannot be decoded is counted as a fault and returned: its URL may be sound.

    Attributes:
        number: The number of the last line that was returned, from 1.
    """

    def __init__(self, text: io.TextIOWrapper, faults: Faults) -> None:
        self._read, self._faults, self.number, self._blank = text.readline, faults, 0, 0

    def __next__(self) -> "str | Junk":
        line = self._read(MAX_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if line[0] == _BOM:  # also within a file that was put together from several
            line = line.lstrip(_BOM) or "\n"
        if line.isspace():
            self._blank += 1
            if self._blank > _MAX_BLANK:
                raise InvalidRequest(
                    f"the list {self._faults.name} has more than {_MAX_BLANK} blank lines before line {self.number};"
                    " remove them"
                )
            return line
        self._blank = 0
        if len(line) == MAX_LINE and line[-1] not in "\r\n":
            while (rest := self._read(MAX_LINE)) and len(rest) == MAX_LINE and rest[-1] not in "\r\n":
                pass
            return Junk(self.number, FaultReason.LONG_LINE, shown(line[:1000]))
        if not line.isascii() and undecodable(line):
            self._faults.add(Junk(self.number, FaultReason.UNDECODABLE, shown(line)))
        return line


def undecodable(text: str) -> bool:
    """Return whether a text holds bytes that could not be decoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
