"""The one place that turns values into the JSON text of a database column and back."""

from typing import TypeVar

from cattrs.preconf.json import make_converter

_converter = make_converter()
_Value = TypeVar("_Value")


def text(value: object) -> str:
    """JSON in ASCII: equal values of one version of pixcore give equal text."""
    return _converter.dumps(value)


def value(of: type[_Value], text: str) -> _Value:
    """What ``text`` gave for a value of that class."""
    return _converter.loads(text, of)
