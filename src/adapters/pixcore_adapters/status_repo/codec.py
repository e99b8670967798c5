"""Conversion of values to the JSON text of a database column and back; all columns use it."""

from typing import TypeVar

from cattrs.preconf.json import make_converter

_converter = make_converter()
_Value = TypeVar("_Value")


def text(value: object) -> str:
    """Convert a value to JSON in ASCII. Within one version of pixcore, equal values give equal text."""
    return _converter.dumps(value)


def value(of: type[_Value], text: str) -> _Value:
    """Convert the JSON that ``text`` returned back to a value of class ``of``."""
    return _converter.loads(text, of)
