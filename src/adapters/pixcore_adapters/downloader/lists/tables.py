"""Read lists in CSV and TSV, with or without a header."""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from pixcore.errors import InvalidRequest, one_line
from pixcore_adapters.downloader.lists.faults import FaultReason, Faults, Junk, shown
from pixcore_adapters.downloader.lists.text import Lines

_SPAN = 10  # lines that a row may span
_SAMPLE = 1000  # lines that decide whether a TSV list is quoted
_URL = re.compile(r"\s*https?://", re.IGNORECASE)
# a line within a cell that is probably a row of its own
_SWALLOWED = re.compile(r"[\r\n](?:[^\r\n]*[,\t])?\s*\"?https?://", re.IGNORECASE)
_CUT = re.compile(r"[^\s,]*[/=&?.:_][^\s,]*|\d+")  # the probable rest of a URL after a comma

Cells = tuple[int, list[str]] | Junk
TableRow = tuple[int, dict[str, object]] | Junk


class Table:
    """The header and the rows of a CSV or TSV list.

    Attributes:
        columns: The distinct names of its columns.
    """

    def __init__(self, lines: Lines, faults: Faults, delimiter: str, columns: Sequence[str]) -> None:
        self._faults, self._delimiter = faults, delimiter
        self._cells = _quoted(lines, delimiter) if delimiter == "," else _tabbed(lines)
        header = columns or next((cells for _, cells in self._rows()), ())
        if not columns and any(map(_URL.match, header)):
            raise InvalidRequest(
                f"the list {faults.name} has no header: its first line holds a URL; name its columns in order, such as"
                " --columns url,caption"
            )
        self.columns = _unique(header)

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
                yield Junk(number, reason, shown(self._delimiter.join(values)))
                continue
            if len(values) < count:
                self._faults.add(Junk(number, FaultReason.TOO_FEW_CELLS, shown(self._delimiter.join(values))))
            yield number, dict(zip(columns, values, strict=False))


def _unique(header: Sequence[str]) -> tuple[str, ...]:
    """Return distinct names for the columns of a header; unnamed and repeated ones get the number of their place."""
    names: list[str] = []
    for place, column in enumerate(header, 1):
        name = column.strip() or f"column_{place}"
        names.append(f"{name}_{place}" if name in names else name)
    return tuple(names)


def _tabbed(lines: Lines) -> Iterator[Cells]:
    """Yield the cells of a TSV list. Treat quotes as plain characters, unless every row of the sample is quoted."""
    sample: list[tuple[int, str | Junk]] = [(lines.number, line) for line in islice(lines, _SAMPLE)]
    texts = [line.strip() for _, line in sample if isinstance(line, str) and not line.isspace()]
    numbered = _Replayed(sample, lines)
    if texts and all(len(text) > 1 and text[0] == text[-1] == '"' for text in texts):
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
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        feed.begin()
        reason, cells = FaultReason.SPANNING_CELL, None
        try:
            cells = next(reader, None)
        except csv.Error as exc:
            reason = FaultReason.LONG_CELL if "field limit" in one_line(exc) else FaultReason.SPANNING_CELL
        taken, junk = feed.taken, feed.junk
        if not taken and junk is None:
            return
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
