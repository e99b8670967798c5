"""Convert values of flags, variables and TOML to the types of the settings, and settings to what may be shown."""

import math
from pathlib import Path
from typing import Any

import cattrs

from pixcore.redaction import MASK, redacted
from pixcore_adapters.downloader.fetch.hosts import HostHeader
from pixcore_runners.settings.urls import Address, SecretUrl, holds_secret

_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

_converter = cattrs.Converter(detailed_validation=False)


def typed(value: object, kind: Any) -> Any:  # noqa: ANN401 - the type of any setting
    """Convert a value to the type of a setting. Numbers may be written as text; nothing is rounded or guessed.

    Raises:
        TypeError, ValueError: It cannot be converted.
    """
    try:
        return _converter.structure(value, kind)
    except OverflowError as exc:  # a whole number too large for a float
        raise ValueError from exc


def shown(settings: object) -> dict[str, Any]:
    """Return the settings as JSON values, with passwords masked."""
    values: dict[str, Any] = _converter.unstructure(settings)
    return values


def _text(value: object, _: object) -> str:
    match value:
        case str() if value and "\0" not in value:
            return value
    raise TypeError


def _path(value: object, _: object) -> Path:
    if "://" in (text := _text(value, str)):
        raise ValueError
    return Path(text)


def _whole(value: object, _: object) -> int:
    match value:
        case int() | str() if not isinstance(value, bool):
            return int(value)
    raise TypeError


def _switch(value: object, _: object) -> bool:
    match value:
        case bool():
            return value
        case str() if value.lower() in _SWITCHES:
            return _SWITCHES[value.lower()]
    raise TypeError


def _number(value: object, _: object) -> float:
    match value:
        case int() | float() | str() if not isinstance(value, bool) and math.isfinite(number := float(value)):
            return number
    raise TypeError


def _texts(value: object, _: object) -> tuple[str, ...]:
    match value:
        case str():  # an environment variable has no lists
            return tuple(_text(part.strip(), str) for part in value.split(","))
        case list() | tuple():
            return tuple(_text(part, str) for part in value)
    raise TypeError


def _paths(value: object, _: object) -> tuple[Path, ...]:
    return tuple(_path(text, Path) for text in _texts(value, str))


def _headers(value: object, _: object) -> tuple[HostHeader, ...]:
    lines = value.splitlines() if isinstance(value, str) else value  # values of headers may hold commas
    match lines:
        case list() | tuple():
            return tuple(HostHeader.parse(_text(line, str)) for line in lines)
    raise TypeError


def _shown(text: str) -> str:
    return MASK if holds_secret(text) else redacted(text)


_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(int, _whole)
_converter.register_structure_hook(float, _number)
_converter.register_structure_hook(bool, _switch)
_converter.register_structure_hook(Path, _path)
_converter.register_structure_hook(SecretUrl, lambda value, _: SecretUrl(_text(value, str)))
_converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _texts)
_converter.register_structure_hook_func(lambda kind: kind == tuple[Path, ...], _paths)
_converter.register_structure_hook_func(lambda kind: kind == tuple[HostHeader, ...], _headers)
_converter.register_unstructure_hook(str, _shown)
_converter.register_unstructure_hook(HostHeader, str)
_converter.register_unstructure_hook(SecretUrl, str)
_converter.register_structure_hook(Address, lambda value, _: Address(_text(value, str)))
_converter.register_unstructure_hook(Address, str)
_converter.register_unstructure_hook(Path, str)
_converter.register_unstructure_hook_func(lambda kind: kind == tuple[str, ...], lambda texts: list(map(_shown, texts)))
_converter.register_unstructure_hook_func(lambda kind: kind == tuple[Path, ...], lambda paths: list(map(str, paths)))
