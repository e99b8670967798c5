"""Read a DATASET.toml: a dataset of several keywords. Messages name the line and the key of what is wrong."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import tomlkit
from attrs import fields, frozen
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from pixcore import Conversion, InvalidRequest
from pixcore_runners.planning.placeholders import known_placeholders
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.settings import Settings, with_setting
from pixcore_runners.settings.conversion import typed

_Key = tuple[str | int, ...]  # the place of a value, such as ("keyword", 0, "count")

# The settings that each table may hold. Its other keys are no settings.
_LISTS = (
    "list_format",
    "list_encoding",
    "url_column",
    "caption_column",
    "label_column",
    "license_column",
    "columns",
    "keep_columns",
    "drop_columns",
    "accept_junk",
    "verify_hash",
    "label_from",
)
_HEAD = ("source", "license", "chunk_size", *_LISTS)
_KEYWORD = ("source", "license", *_LISTS)
_SIZES = ("min_width", "min_height", "max_aspect")
_PLACEHOLDERS = ("placeholder_urls", "placeholders")
_NEAR = ("near", "near_phash", "near_dhash")
_QUALITY = (*_SIZES, "min_sharpness", "drop", "filters", "keep_rejected", *_PLACEHOLDERS, *_NEAR)

_MARK = "\0"  # TOML permits no such character


def read(path: Path, settings: Settings) -> DatasetSpec:
    """Return the dataset that the file describes. The settings fill what it leaves out.

    Relative paths in the file start from its folder.

    Raises:
        InvalidRequest: The file cannot be read, or a key is unknown, missing or has an invalid value.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise InvalidRequest(f"{path} cannot be read ({reason}); name an existing TOML file") from exc
    try:
        table = tomllib.loads(text)
    except ValueError as exc:
        raise InvalidRequest(f"{path} cannot be read as TOML: {exc}") from exc
    except RecursionError as exc:
        raise InvalidRequest(f"{path} cannot be read as TOML: its values are nested too deeply") from exc
    return _File(path, text).spec(table, settings)


@frozen
class _File:
    path: Path
    text: str

    def spec(self, table: Mapping[str, Any], settings: Settings) -> DatasetSpec:
        settings = self._set(settings, table, _HEAD, own=("dataset", "count", "quality", "store_as", "keyword"))
        settings = self._set(settings, self._table(table.get("quality", {}), ("quality",)), _QUALITY, ("quality",))
        count = self._count(table)
        listed = table.get("keyword", [])
        if not isinstance(listed, list) or not listed:
            self._refuse(("keyword",), "write at least one table [[keyword]] with a name")
        keywords: dict[str, KeywordSpec] = {}
        for number, entry in enumerate(listed):
            at: _Key = ("keyword", number)
            keyword = self._keyword(self._table(entry, at), settings, count, at)
            if keyword.keyword in keywords:
                self._refuse((*at, "name"), f"name {keyword.keyword!r} is already in this file; remove one of the two")
            keywords[keyword.keyword] = keyword
        dataset = self._text(table, "dataset") or self.path.stem
        return DatasetSpec(
            tuple(keywords.values()),
            settings.chunk_size,
            dataset,
            settings.quality,
            self._conversion(table),
            known_placeholders(settings.placeholders),
            str(self.path),
        )

    def _keyword(self, table: Mapping[str, Any], settings: Settings, count: int | None, at: _Key) -> KeywordSpec:
        settings = self._set(settings, table, _KEYWORD, at, own=("name", "label", "count"))
        name = self._text(table, "name", at).strip()
        if not name:
            self._refuse(at, 'this keyword has no name; add one, such as name = "red panda"')
        label = self._text(table, "label", at)
        return KeywordSpec(
            settings.source, name, self._count(table, at) or count, label, settings.license, settings.lists
        )

    def _conversion(self, table: Mapping[str, Any]) -> Conversion | None:
        """Return how the images are converted before they are stored."""
        at: _Key = ("store_as",)
        if "store_as" not in table:
            return None
        given = self._table(table["store_as"], at)
        kinds = {field.name: int if field.name in ("size", "quality") else str for field in fields(Conversion)}
        for key, value in given.items():
            if key not in kinds:
                self._refuse((*at, key), f"unknown key {key!r}; use some of: {', '.join(kinds)}")
            if type(value) is not kinds[key]:
                form = "write a whole number" if kinds[key] is int else "write a string in quotes"
                self._refuse((*at, key), f"{key} cannot be {value!r}; {form}")
        if not {"size", "encode"} & given.keys():
            self._refuse(at, 'store_as needs a size or encode, such as { size = 256, encode = "webp" }')
        try:
            return Conversion(**given)
        except InvalidRequest as error:
            self._refuse(at, str(error))

    def _set(
        self, settings: Settings, table: Mapping[str, Any], names: Sequence[str], at: _Key = (), own: Sequence[str] = ()
    ) -> Settings:
        """Return the settings changed by those of the table, whose other keys must be in ``own``."""
        for key, value in table.items():
            if key in names:
                settings = with_setting(settings, key, value, _Place(self, (*at, key)), self.path.absolute().parent)
            elif key not in own:
                near = difflib.get_close_matches(key, [*own, *names], n=1)
                remedy = f"did you mean {near[0]}?" if near else f"use one of: {', '.join([*own, *names])}"
                self._refuse((*at, key), f"unknown key {key!r}; {remedy}")
        return settings

    def _text(self, table: Mapping[str, Any], key: str, at: _Key = ()) -> str:
        value = table.get(key, "")
        return (
            value
            if isinstance(value, str)
            else self._refuse((*at, key), f"{key} cannot be {value!r}; write a string in quotes")
        )

    def _count(self, table: Mapping[str, Any], at: _Key = ()) -> int | None:
        if "count" not in table:
            return None
        try:
            return _positive(typed(table["count"], int))
        except (TypeError, ValueError):
            self._refuse((*at, "count"), f"count cannot be {table['count']!r}; write a whole number, at least 1")

    def _table(self, value: object, at: _Key) -> Mapping[str, Any]:
        return (
            value
            if isinstance(value, dict)
            else self._refuse(at, f"{at[0]} is a table; write [{at[0]}] before its keys")
        )

    def _refuse(self, key: _Key, message: str) -> NoReturn:
        raise InvalidRequest(f"{_Place(self, key)}: {message}")


@frozen
class _Place:
    """The place of a value in a file, as messages name it. The line is only looked for when a message is made."""

    file: _File
    key: _Key

    def __str__(self) -> str:
        return f"{self.file.path}:{_line(self.file.text, self.key)}"


def _positive(number: int) -> int:
    if number < 1:
        raise ValueError(number)
    return number


def _line(text: str, key: _Key) -> int:
    """Return the number of the line on which a value begins, that of what holds it, or 1 if there is neither.

    tomllib gives no line numbers. tomlkit does not either, but renders a changed document with all else unchanged.
    """
    for length in range(len(key), 0, -1):
        # missing, a value that tomlkit cannot mark, or one that is nested too deeply for it
        with suppress(KeyError, IndexError, TypeError, AttributeError, TOMLKitError, RecursionError):
            item: Any = tomlkit.parse(text)
            document = item
            for part in key[:length]:
                item = item[part]
            item = item[0] if isinstance(item, AoT) else item
            item.trivia.indent = _MARK
            rendered: str = document.as_string()
            if _MARK in rendered:
                return rendered[: rendered.index(_MARK)].count("\n") + 1
    return 1
