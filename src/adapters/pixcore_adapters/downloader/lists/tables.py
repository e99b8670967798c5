"""Read lists in CSV and TSV, with or without a header."""

import csv
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from pixcore.errors import InvalidRequest, one_line
from pixcore_adapters.downloader.lists.faults import FaultReason, Faults, Junk, shown
from pixcore_adapters.downloader.lists.naming import unique
from pixcore_adapters.downloader.lists.text import Lines

_SPAN = 10  # lines that a row may span
_CELL = 131_072  # characters of a cell; csv.field_size_limit() is the same unless another library of the process set it
_DELIMITERS = ("\t", ",", ";", "|")  # of files named .csv, those first that are least likely within a cell
_SEPARATOR = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE)
_HEADER = 1 << 16  # characters of the first line that decide what separates the cells
_SAMPLE = 1000  # lines that decide whether a TSV list is quoted
_URL = re.compile(r"\s*https?://", re.IGNORECASE)
# a line within a cell that is probably a row of its own
_SWALLOWED = re.compile(r"[\r\n](?:[^\r\n]*[,;|\t])?\s*\"?https?://", re.IGNORECASE)
_CUT = re.compile(r"[^\s,]*[/=&?.:_][^\s,]*|\d+")  # the probable rest of a URL after a comma

_ERRORS = {"field limit": FaultReason.LONG_CELL, "expected after": FaultReason.QUOTE_IN_CELL}  # of the csv module

Cells = tuple[int, list[str]] | Junk
TableRow = tuple[int, dict[str, object]] | Junk


class Table:
    """The header and the rows of a CSV or TSV list.

    Attributes:
        columns: The distinct names of its columns.
        delimiter: What separates its cells. The first line of a file named .csv decides: see ``_delimiter``.
    """

    def __init__(self, lines: Lines, faults: Faults, form: str, columns: Sequence[str], urls: Collection[str]) -> None:
        self._faults, replayed = faults, _Replayed((), lines)
        first = _first(replayed)
        self.delimiter = "\t" if form == "tsv" else _delimiter(first, columns, urls)
        if form == "csv" and (named := _SEPARATOR.fullmatch(first)):  # a line that Excel reads and writes
            self.delimiter = named[1]
            next(replayed)
        self._cells = _tabbed(replayed) if self.delimiter == "\t" else _quoted(replayed, self.delimiter)
        header = columns or next((cells for _, cells in self._rows()), ())
        if not columns and any(map(_URL.match, header)):
            raise InvalidRequest(
                f"the list {faults.name} has no header: its first line holds a URL; name its columns in order, such as"
                " --columns url,caption"
            )
        self.columns = unique(header)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        return (cells for cells in self._cells if not isinstance(cells, Junk) and any(cells[1]))

    def rows(self, url: str) -> Iterator[TableRow]:
        """Yield the number of each row's first line and its cells by column. ``url`` is the column of the URLs."""
        columns, count, place = self.columns, len(self.columns), self.columns.index(url)
        for cells in self._cells:
            if isinstance(cells, Junk):
                yield cells
                continue
            number, values = cells
            if not any(values):
                continue
            if len(values) > count and any(values[count:]):
                following = values[place + 1]
                cut = _URL.match(values[place]) and _CUT.fullmatch(following)
                reason = FaultReason.CUT_URL if cut else FaultReason.TOO_MANY_CELLS
                yield Junk(number, reason, shown(self.delimiter.join(values)))
                continue
            if len(values) < count:
                self._faults.add(Junk(number, FaultReason.TOO_FEW_CELLS, shown(self.delimiter.join(values))))
            yield number, dict(zip(columns, values, strict=False))


def _first(lines: "_Replayed") -> str:
    """Return the first line that is not blank, without taking it; ``""`` if there is none."""
    taken: list[tuple[int, str | Junk]] = []
    text = ""
    for line in lines:
        taken.append((lines.number, line))
        if isinstance(line, Junk) or not line.isspace():
            text = "" if isinstance(line, Junk) else line
            break
    lines.replay(taken)
    return text


def _delimiter(line: str, columns: Sequence[str], urls: Collection[str]) -> str:
    """Return what separates the cells of a CSV list with this first line: one of ``_DELIMITERS``.

    It gives the line as many cells as there are ``columns``, if these are given, or else a cell with one of the names
    ``urls`` in lower case. If none does, return the one that gives most cells.
    """
    cells = {one: next(csv.reader([line[:_HEADER]], delimiter=one), []) for one in _DELIMITERS}
    for one, header in cells.items():
        if len(header) == len(columns) or (not columns and {cell.strip().casefold() for cell in header} & {*urls}):
            return one
    return max(cells, key=lambda one: len(cells[one]))


def _tabbed(lines: "Lines | _Replayed") -> Iterator[Cells]:
    """Yield the cells of a TSV list. Quotes are plain characters, unless every row of the sample is quoted.

    The first row may be a header without quotes.
    """
    sample: list[tuple[int, str | Junk]] = [(lines.number, line) for line in islice(lines, _SAMPLE)]
    texts = [line.strip() for _, line in sample if isinstance(line, str) and not line.isspace()]
    numbered = _Replayed(sample, lines)
    if texts and all(len(text) > 1 and text[0] == text[-1] == '"' for text in texts[1:] or texts):
        yield from _quoted(numbered, "\t")
        return
    for line in numbered:
        if isinstance(line, Junk):
            yield line
        else:
            yield numbered.number, line.rstrip("\r\n").split("\t")


class _Replayed(Iterator["str | Junk"]):
    """The lines that were read ahead, then the others. ``number`` is as in ``Lines``."""

    def __init__(self, ahead: Sequence[tuple[int, str | Junk]], lines: "Lines | _Replayed") -> None:
        self._ahead, self._lines, self.number = deque(ahead), lines, 0

    def __next__(self) -> "str | Junk":
        if self._ahead:
            self.number, line = self._ahead.popleft()
        else:
            line = next(self._lines)
            self.number = self._lines.number
        return line

    def replay(self, lines: Sequence[tuple[int, str | Junk]]) -> None:
        """Put these lines back, before the others."""
        self._ahead.extendleft(reversed(lines))


class _Feed(Iterator[str]):
    """The lines of one row for the csv module. It ends after ``_SPAN`` lines and before junk."""

    def __init__(self, lines: _Replayed) -> None:
        self.lines = lines
        self.taken: list[tuple[int, str]] = []
        self.junk: Junk | None = None
        self.stopped = False

    def begin(self) -> None:
        """Begin with the next row."""
        self.taken, self.junk, self.stopped = [], None, False

    def __next__(self) -> str:
        if len(self.taken) < _SPAN and self.junk is None:
            line = next(self.lines, None)
            if isinstance(line, str):
                self.taken.append((self.lines.number, line))
                return line
            self.junk = line
        self.stopped = True
        raise StopIteration


def _quoted(lines: Lines | _Replayed, delimiter: str) -> Iterator[Cells]:
    """Yield the cells of rows whose cells may be quoted.

    If a quote swallows further rows, only its own line is junk, and the following lines are read once more.
    """
    feed = _Feed(_Replayed((), lines))
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.begin()
        reason, cells = FaultReason.SPANNING_CELL, None
        try:
            cells = next(reader, None)
        except csv.Error as exc:
            reason = next((found for text, found in _ERRORS.items() if text in one_line(exc)), reason)
            if reason is FaultReason.QUOTE_IN_CELL and len(feed.taken) > 1:
                reason = FaultReason.SPANNING_CELL  # the quote closed in a later row
        taken, junk = feed.taken, feed.junk
        if not taken and junk is None:
            return
        if cells is not None and sum(len(line) for _, line in taken) > _CELL < max(map(len, cells), default=0):
            reason, cells = FaultReason.LONG_CELL, None
        if cells is not None and not feed.stopped and (len(taken) == 1 or not _swallows(cells, delimiter)):
            yield taken[0][0], cells
            continue
        if taken:
            yield Junk(taken[0][0], reason, shown(taken[0][1]))
        if junk and len(taken) > 1:
            feed.lines.replay([*taken[1:], (junk.line, junk)])
        elif junk:
            yield junk
        else:
            feed.lines.replay(taken[1:])


def _swallows(cells: Sequence[str], delimiter: str) -> bool:
    """Return whether a cell seems to hold rows: a line within it has as many cells, and one of these is a URL."""
    return any(
        _SWALLOWED.search(cell) is not None and max(line.count(delimiter) for line in cell.splitlines()[1:]) > 0
        for cell in cells
        if "\n" in cell or "\r" in cell
    ) or (len(cells) == 1 and _SWALLOWED.search(cells[0]) is not None)
