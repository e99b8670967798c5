"""Find the columns of a list that hold URLs, captions, labels and so on, and make entries of its rows.

Options choose the columns. Other columns are found by their usual names, in any case.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard
from urllib.parse import urlsplit

from attrs import Factory, define, fields, frozen

from pixcore.errors import InvalidRequest
from pixcore.model.images import Provenance
from pixcore.model.rows import own_name
from pixcore.redaction import redacted, without_login
from pixcore_adapters.downloader.licences import slug
from pixcore_adapters.downloader.lists.faults import FaultReason, Faults, Junk, shown
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.lists.text import undecodable
from pixcore_adapters.downloader.lists.values import checksum, kept

URLS = ("url", "image_url", "image_urls", "originalurl", "imageurl", "img_url")
CAPTIONS = ("caption", "text", "alt", "alt_text", "raw_caption", "captions", "caption_reference_description", "title")
LABELS = ("label",)
LICENSES = ("license", "licence")

_PROVENANCE = tuple(
    column.name for column in fields(Provenance) if column.name not in {"opt_out", "caption", "license"}
)
_MAX_COLUMNS = 1000
_NAMED = 30  # columns that a message names
_IMAGE = r"\.(?:jpe?g|png|gif|webp|bmp|tiff?|avif|heic|svg)"
# a URL, a space, and another URL; or the name of an image, a space, and a text that is not the rest of such a name
_TEXT_AFTER = re.compile(
    rf"https?://\S+\s+(?:.*\s)?https?://|https?://\S+{_IMAGE}\s+(?!.*{_IMAGE}(?:[?#]\S*)?$)", re.IGNORECASE | re.DOTALL
)
_CONTROL = frozenset(map(chr, [*range(32), 127]))

Entry = dict[str, object]
"""``{"url": …}`` with fields of ``Provenance``, ``label``, ``checksum`` and ``listed``, the further columns by name; or
``{"junk": text, "reason": …, "line": number}`` for a row without a usable URL."""


@frozen
class Columns:
    """The columns of a list that are read.

    Attributes:
        url: The column of the URLs; ``""`` if the rows are URLs.
        provenance: The columns that fill ``Provenance``, by their field in it.
        label, checksum: The columns of the labels and of the checksums; ``""`` for none.
        names: The other columns, each with the name under which rows keep it. It grows if later rows have others.
    """

    url: str
    provenance: Mapping[str, str]
    label: str
    checksum: str
    names: dict[str, str]

    @property
    def read(self) -> set[str]:
        """All columns that are read."""
        return {self.url, self.label, self.checksum, *self.provenance.values(), *self.names} - {""}

    @property
    def used(self) -> dict[str, str]:
        """The columns that are not kept under their own names, by what they hold."""
        roles = {"url": self.url, **self.provenance, "label": self.label, "checksum": self.checksum}
        return {role: column for role, column in roles.items() if column}


def choose(available: Sequence[str], options: ListOptions, name: str) -> Columns:
    """Choose the columns of a list that are read, and their purpose.

    Raises:
        InvalidRequest: No column or several columns hold the URL, or the options name a column that does not exist.
    """
    if len(available) > _MAX_COLUMNS:
        raise InvalidRequest(f"the list {name} has {len(available)} columns, more than {_MAX_COLUMNS}; keep fewer")
    pick = _Pick(available, name)
    urls = [pick.exact(options.url, "--url-column")] if options.url else pick.usual(URLS)
    if urls and not options.url:  # another column of the same name has the number of its place
        urls += [column for place, column in enumerate(available, 1) if column == f"{urls[0]}_{place}"]
    if not urls:
        raise InvalidRequest(
            f"the list {name} has no column with a usual name for URLs; it has {pick.all}; name the column of the URLs"
            " with --url-column or, if the first line is not a header, name all columns with --columns"
        )
    if len(urls) > 1:
        raise InvalidRequest(
            f"the list {name} has several columns of URLs: {', '.join(urls)}; choose one with --url-column"
        )
    label = pick.role(options.label, "--label-column", LABELS)
    provenance = {
        "license": pick.role(options.license, "--license-column", LICENSES),
        "caption": pick.role(options.caption, "--caption-column", CAPTIONS),
        **{field: pick.role("", "", (field,)) for field in _PROVENANCE},
    }
    provenance = {field: column for field, column in provenance.items() if column}
    if options.licenses and "license" not in provenance and "license_url" not in provenance:
        raise InvalidRequest(
            f"the list {name} has no column of licences, so --license cannot choose; name it with --license-column"
        )
    hashes = pick.exact(options.hash_column, "--verify-hash") if options.verify_hash else ""
    taken = {urls[0], label, *provenance.values()}
    wanted = [pick.exact(column, "--keep-columns") for column in options.keep] or available
    dropped = {pick.exact(column, "--drop-columns") for column in options.drop}
    names: dict[str, str] = {}
    for column in wanted:
        if column not in taken and column not in dropped:
            names[column] = own_name(column, names.values(), {*wanted} - {column})
    return Columns(urls[0], provenance, label, hashes, names)


@frozen
class _Pick:
    """Finds columns of a list by their names."""

    available: Sequence[str]
    name: str

    @property
    def all(self) -> str:
        """The columns, for a message."""
        more = len(self.available) - _NAMED
        named = ", ".join(repr(column[:_NAMED]) for column in self.available[:_NAMED]) or "no column at all"
        return named + (f" and {more} more" if more > 0 else "")

    def exact(self, column: str, option: str) -> str:
        """Return the column of that name, else the only column that has the name in another case."""
        if column in self.available:
            return column
        same = self.usual([column.casefold()])
        if len(same) != 1:
            raise InvalidRequest(f"{option}: the list {self.name} has no column {column!r}; it has {self.all}")
        return same[0]

    def usual(self, names: Sequence[str]) -> list[str]:
        """Return the columns that have one of these names in any case, in the order of the names."""
        found = [
            (names.index(column.strip().casefold()), column)
            for column in self.available
            if column.strip().casefold() in names
        ]
        return [column for _, column in sorted(found, key=lambda one: one[0])]

    def role(self, column: str, option: str, names: Sequence[str]) -> str:
        """Return the column of the option, else the first one with a usual name, else ``""``."""
        return self.exact(column, option) if column else next(iter(self.usual(names)), "")


@define
class Entries:
    """Makes entries of a list's rows, and counts them.

    Attributes:
        options: How to read the list.
        faults: The faults found so far.
        rows: How many rows were read.
        urls: How many rows became entries with a URL.
        other_licenses: How many rows were left out because of their licence.
        kinds: The kept columns, each with ``"string"`` or ``"integer"``.
        samples: The first entries with a URL.
    """

    options: ListOptions
    faults: Faults
    rows: int = 0
    urls: int = 0
    other_licenses: int = 0
    kinds: dict[str, str] = Factory(dict[str, str])
    samples: list[Entry] = Factory(list[Entry])

    def of(self, rows: Iterable[tuple[int, str | Mapping[str, object]] | Junk], columns: Columns) -> Iterator[Entry]:
        """Yield an entry for each row, except rows under other licences."""
        for row in rows:
            self.rows += 1
            entry = row if isinstance(row, Junk) else self._entry(*row, columns)
            if isinstance(entry, Junk):
                self.faults.add(entry)
                if not self.rows % 1000:
                    self.faults.check(self.rows, end=False)
                yield {"junk": entry.text, "reason": str(entry.reason), "line": entry.line}
            elif entry is None:
                self.other_licenses += 1
            else:
                self._count(entry)
                yield entry

    def _entry(self, number: int, row: str | Mapping[str, object], columns: Columns) -> Entry | Junk | None:
        entry: Entry
        if isinstance(row, str):
            entry = {"url": without_login(row.strip())}
            return entry if is_url(row) else Junk(number, _why_no_url(row), shown(row))
        url = _text_of(row.get(columns.url))
        if not is_url(url):
            return Junk(number, _why_no_url(url), shown(", ".join(str(kept(value)) for value in row.values())))
        entry = {"url": without_login(url.strip())}
        for field, column in columns.provenance.items():
            if text := self._text(number, row, column):
                entry[field] = text if field == "caption" else text.strip()
        if self.options.licenses and _license(entry) not in self.options.licenses:
            return None
        if label := self._text(number, row, columns.label):
            entry["label"] = label
        if columns.checksum:
            found = row.get(columns.checksum)
            entry["checksum"] = checksum(self.options.hash_kind, found)
            if not entry["checksum"]:
                return Junk(number, FaultReason.NOT_A_HASH, shown(f"{url} {found}"))
        if columns.names:
            entry["listed"] = {name: kept(row[column]) for column, name in columns.names.items() if column in row}
        return entry

    def _text(self, number: int, row: Mapping[str, object], column: str) -> str:
        """Return a cell as text. Write a list or an object as JSON, and count it as a fault."""
        value = row.get(column)
        if isinstance(value, list | dict):
            self.faults.add(Junk(number, FaultReason.NOT_TEXT, shown(f"{column}: {value}")))
        return str(kept(value))

    def _count(self, entry: Entry) -> None:
        self.urls += 1
        if len(self.samples) < 3:  # noqa: PLR2004 - as many as `plan` shows
            self.samples.append({**entry, "url": redacted(str(entry["url"]))})
        listed = entry.get("listed", {})
        if not isinstance(listed, dict):
            return
        kinds = self.kinds
        if listed.keys() != kinds.keys():
            for column in kinds.keys() - listed.keys():
                kinds[column] = "string"  # an integer cannot be missing
            for column in listed:
                kinds.setdefault(column, "integer" if self.urls == 1 else "string")
        for column, value in listed.items():
            if kinds[column] == "integer" and type(value) is str:
                kinds[column] = "string"


def _text_of(value: object) -> object:
    return kept(value) if isinstance(value, bytes) else value


def _why_no_url(value: object) -> FaultReason:
    if isinstance(value, str) and undecodable(value):
        return FaultReason.UNDECODABLE
    if isinstance(value, str) and _TEXT_AFTER.match(value.strip()):
        return FaultReason.TEXT_AFTER_URL
    return FaultReason.NOT_TEXT if isinstance(value, list | dict) else FaultReason.NOT_A_URL


def _license(entry: Entry) -> str:
    return slug(str(entry.get("license", ""))) or slug(str(entry.get("license_url", "")))


def is_url(value: object) -> TypeGuard[str]:
    """Return whether a value is an http or https URL.

    URLs in lists hold spaces, but no control characters, no other URL after a space, and no text after an image's name.
    """
    if not isinstance(value, str):
        return False
    text = value.strip()
    if " " in text and _TEXT_AFTER.match(text):
        return False
    if not text.isprintable() and (_CONTROL.intersection(text) or undecodable(text)):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
