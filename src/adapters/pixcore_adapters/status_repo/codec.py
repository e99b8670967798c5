"""Conversion of values to the JSON text of a database column and back; all columns use it."""

from collections.abc import Mapping
from typing import Any, TypeVar

from cattrs.gen import make_dict_structure_fn
from cattrs.preconf.json import make_converter

from pixcore.model.quality import Quality, TwinRule

_converter = make_converter()
_quality = make_dict_structure_fn(Quality, _converter)


def _planned_quality(values: Mapping[str, Any], _: object) -> Quality:
    """Convert a stored quality. Older ones name no rule for twins or placeholders: those drop by hashes, these none."""
    return _quality({"twins": TwinRule.HASHES, "placeholder_urls": 0, **values}, Quality)


_converter.register_structure_hook(Quality, _planned_quality)
_Value = TypeVar("_Value")


def text(value: object) -> str:
    """Convert a value to JSON in ASCII. Within one version of pixcore, equal values give equal text."""
    return _converter.dumps(value)


def value(of: type[_Value], text: str) -> _Value:
    """Convert the JSON that ``text`` returned back to a value of class ``of``."""
    return _converter.loads(text, of)
