"""Conditions on the rows of images, such as ``label=cat`` or ``width>=512``, to select a part of a dataset."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from pixcore.errors import InvalidRequest

_CONDITION = re.compile(r"\s*([^=!<>~]+?)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_FORMS = "COLUMN=VALUE, != < <= > >= or ~ (contains), as in label=cat or width>=512"


def _contains(text: str, part: str) -> bool:
    return part.casefold() in text.casefold()


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "~": _contains,
}


@frozen
class Condition:
    """A comparison of one column with a value.

    Columns of whole numbers are compared as numbers, all others as text, by code points. ``~`` looks for the value
    anywhere in the text, whatever the case of its letters. A row that lacks the column has ``""`` or 0 there.
    """

    column: str
    operator: str
    value: str | int

    def holds(self, row: Mapping[str, object]) -> bool:
        """Return whether it holds for a row."""
        if isinstance(self.value, int):
            stored = row.get(self.column, 0)
            number = stored if isinstance(stored, int) else 0
            return _OPERATORS[self.operator](number, self.value)
        return _OPERATORS[self.operator](str(row.get(self.column, "")), self.value)

    def __str__(self) -> str:
        return f"{self.column}{self.operator}{self.value}"


@frozen
class Conditions:
    """Conditions that must all hold."""

    all: tuple[Condition, ...]

    def hold(self, row: Mapping[str, object]) -> bool:
        """Return whether all of them hold for a row."""
        return all(condition.holds(row) for condition in self.all)

    def __str__(self) -> str:
        return " and ".join(map(str, self.all))


def parse(texts: Sequence[str], columns: Mapping[str, str]) -> Conditions:
    """Parse conditions. ``columns`` are those that rows may have, each with ``"string"`` or ``"integer"``.

    Raises:
        InvalidRequest: A text is no condition, names an unknown column, or compares a number with text.
    """
    return Conditions(tuple(_parsed(text, columns) for text in texts))


def _parsed(text: str, columns: Mapping[str, str]) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"{text!r} is no condition; write {_FORMS}")
    column, sign, value = found.groups()
    if column not in columns:
        raise InvalidRequest(f"{text!r}: there is no column {column!r}; use one of: {', '.join(sorted(columns))}")
    if columns[column] == "string":
        return Condition(column, sign, value)
    if sign == "~":
        raise InvalidRequest(f"{text!r}: {column} is a number; ~ is for text")
    try:
        return Condition(column, sign, int(value))
    except ValueError as exc:
        raise InvalidRequest(f"{text!r}: {column} is a whole number, {value!r} is none") from exc
