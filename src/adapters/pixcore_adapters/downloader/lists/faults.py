"""The faults of a list: count each by its reason, and keep the first ones with their lines."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from attrs import define, field, frozen

from pixcore.errors import InvalidRequest
from pixcore.redaction import redacted

SHOWN = 200  # characters of a faulty line that are kept
_FIRST = 5  # faults that are kept with their line
_QUOTED = 80  # characters of a line in a message
_EARLY = 10_000  # faulty rows from which a list that is mostly junk is refused before its end


class FaultReason(StrEnum):
    """What is wrong with a row."""

    NOT_A_URL = "not_a_url"
    TEXT_AFTER_URL = "text_after_url"
    TOO_MANY_CELLS = "too_many_cells"
    TOO_FEW_CELLS = "too_few_cells"
    CUT_URL = "url_cut_by_comma"
    SPANNING_CELL = "cell_spans_lines"
    QUOTE_IN_CELL = "quote_in_cell"
    LONG_CELL = "cell_too_long"
    LONG_LINE = "line_too_long"
    TAB = "tab_in_line"
    UNDECODABLE = "undecodable_bytes"
    NOT_JSON = "not_json"
    NOT_TEXT = "list_instead_of_text"
    NOT_A_HASH = "not_a_hash"


_CELLS = "quote cells that hold a comma, or name the format with --list-format"

_EXPLAINED: Mapping[FaultReason, tuple[str, str]] = {
    FaultReason.NOT_A_URL: ("hold no http or https URL", "name the column of the URLs with --url-column"),
    FaultReason.TEXT_AFTER_URL: (
        "have text after the URL",
        "keep one URL in a line or cell, or put a tab between them and add --list-format tsv --columns url,caption",
    ),
    FaultReason.TOO_MANY_CELLS: ("have more cells than there are columns", _CELLS),
    FaultReason.TOO_FEW_CELLS: ("have fewer cells than there are columns", _CELLS),
    FaultReason.CUT_URL: ("have an unquoted URL with a comma in it", "put such URLs in quotes"),
    FaultReason.SPANNING_CELL: (
        "begin a quoted cell that does not end within a few lines",
        "double the quotes within cells, or name the format with --list-format tsv if tabs separate the cells",
    ),
    FaultReason.QUOTE_IN_CELL: ("have a quoted cell that goes on after a quote", "double the quotes within cells"),
    FaultReason.LONG_CELL: ("have a cell of more than 131,072 characters", "drop that column from the list"),
    FaultReason.LONG_LINE: ("are longer than 1,048,576 characters", "name the format with --list-format"),
    FaultReason.TAB: ("hold a tab", "if a tab separates columns, add --list-format tsv --columns url,caption"),
    FaultReason.UNDECODABLE: ("have bytes that the encoding does not allow", "name it with --list-encoding"),
    FaultReason.NOT_JSON: ("are not JSON", "add --list-format json if the file is one document, or name its format"),
    FaultReason.NOT_TEXT: (
        "hold a list or an object where text is expected",
        "name other columns with --url-column, --caption-column or --label-column",
    ),
    FaultReason.NOT_A_HASH: ("have no such checksum", "name the kind and the column with --verify-hash"),
}


@frozen
class Junk:
    """A row without a usable URL. ``line`` is the number of its line from 1, or of its row in formats without lines."""

    line: int
    reason: FaultReason
    text: str


@define
class Faults:
    """The faults found so far. A line counts once, under the first reason.

    Attributes:
        name: The list's name, for messages.
        accept: Whether ``check`` accepts any number of them.
        counts: How many rows have each fault.
        first: The first faults, each with the name of its file.
        file: The name of the file that is being read, if the list has several.
    """

    name: str
    accept: bool = False
    counts: Counter[FaultReason] = field(factory=Counter[FaultReason])
    first: list[tuple[str, Junk]] = field(factory=list[tuple[str, Junk]])
    file: str = ""
    _last: tuple[str, int] = ("", 0)

    def add(self, fault: Junk) -> None:
        """Count a fault, unless the line has one already."""
        if (self.file, fault.line) == self._last:
            return
        self._last = (self.file, fault.line)
        self.counts[fault.reason] += 1
        if len(self.first) < _FIRST:
            self.first.append((self.file, fault))

    def check(self, rows: int, *, end: bool) -> None:
        """Refuse the list if too many of its first ``rows`` rows are faulty: over 1 % at its end, over half before.

        Raises:
            InvalidRequest: Too many are faulty. The message names the most frequent fault and the remedy.
        """
        total = self.counts.total()
        if self.accept or total * 100 <= rows or not (end or (total >= _EARLY and total * 2 > rows)):
            return
        ((worst, most),) = self.counts.most_common(1)
        fault_text, remedy = _EXPLAINED[worst]
        junk = next((fault for _, fault in self.first if fault.reason is worst), None)
        where = f" (such as line {junk.line}: {junk.text[:_QUOTED]!r})" if junk else ""
        raise InvalidRequest(
            f"the list {self.name} looks wrong: {total} of {'' if end else 'the first '}{rows} rows are faulty, and"
            f" {most} {fault_text}{where}; {remedy}; to collect the other rows anyway, add --accept-junk"
        )


def shown(text: str) -> str:
    """Return the start of a text, without credentials in URLs, in a form that can be stored and shown."""
    return redacted(text.strip())[:SHOWN].encode("utf-8", "backslashreplace").decode()
