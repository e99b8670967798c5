"""URL lists: .txt, .csv, .tsv and .jsonl files, optionally gzipped, read in bounded memory.

Planning fixes a list's entries in a listing. A line without a URL keeps its position and becomes a miss.
"""

import csv
import gzip
import io
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TypeGuard
from urllib.parse import urlsplit

from attrs import fields, frozen

from pixcore.errors import InvalidRequest, one_line
from pixcore.model.images import Candidate, CandidateKey, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore.ports import BlobStore
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.fetching import fetching
from pixcore_adapters.downloader.listing import Listing, new_listing, read
from pixcore_adapters.downloader.source import Pages

SOURCE = "urls"

Entry = dict[str, str]
"""Either ``{"url": …}`` and the provenance columns of the list, or ``{"junk": text}`` for a line without a URL."""

_PROVENANCE = frozenset(column.name for column in fields(Provenance)) - {"opt_out"}
_MAX_LINE = 1 << 17  # characters, the csv module's limit for a cell; the rest of a longer line becomes other lines
_SHOWN = 200  # characters of a line without a URL that are kept
# the group `name` leaves out the user name, password, query and fragment, which may be secret
_WEB_ADDRESS = re.compile(r"https?://(?:[^/?#]*@)?(?P<name>[^?#]*)", re.IGNORECASE)
_MAX_LIST = 8 << 30  # bytes of a list fetched from the web


@frozen
class Urls:
    """The source ``urls``. A slice's query is the list's absolute path or web address; its snapshot names the listing.

    The query omits what follows a ``?`` in a web address: it may be a signature, and slices are stored and shown.

    Attributes:
        store: Where listings are kept.
        policy: How to fetch lists that are on the web.
    """

    store: BlobStore
    policy: FetchPolicy

    def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[bytes]]:  # noqa: ARG002 - reads a listing
        """See ``Source``."""
        listed = read(self.store, slice_.snapshot, slice_.start, slice_.stop)
        for position, entry in enumerate(listed, slice_.start):
            key = CandidateKey(SOURCE, slice_.query, position)
            if "url" in entry:
                yield Candidate(key, entry.pop("url"), Provenance(**entry))
            else:
                yield Miss(Candidate(key, entry["junk"]), MissReason.NOT_A_URL, permanent=True)

    @contextmanager
    def listing(self, location: str, dataset: str, planned: Iterable[Slice] = ()) -> Generator[Listing]:
        """Read the list at a path or http(s) address. The listing's lane begins after the slices already ``planned``.

        Raises:
            InvalidRequest: It is not a URL list, or its entries no longer begin with the planned ones.
            SourceUnavailable, SourceChanged: The address cannot be fetched.
            StoreDenied, StoreNotFound, StoreUnavailable: The earlier listing cannot be read.
        """
        remote = _WEB_ADDRESS.match(location)
        name = remote["name"] if remote else location
        query = f"{location.partition('//')[0]}//{name}" if remote else str(Path(location).absolute())
        _parser(name)  # raises for an unknown kind of list before it is fetched
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "list") if remote else Path(location)
            if remote:
                with fetching(partial(Fetcher, self.policy)) as submit:
                    submit(lambda fetcher: fetcher.save(location, path, _MAX_LIST)).result()
            grow = partial(_grown, present=entries(path, name), name=name)
            with new_listing(SOURCE, query, grow, store=self.store, dataset=dataset, planned=planned) as listing:
                yield listing


def _grown(known: Iterator[Entry], present: Iterator[Entry], name: str) -> Iterator[Entry]:
    for number, (old, new) in enumerate(zip_longest(known, present), 1):
        if old is not None and old != new:
            raise InvalidRequest(
                f"the list {name} has changed at entry {number}, which is already planned; only add lines at its end,"
                " or use another dataset name"
            )
        yield new


def entries(path: Path, name: str) -> Iterator[Entry]:
    """Yield a list's entries in order, without empty lines. The extension of ``name`` selects the format.

    The text is UTF-8; invalid bytes are escaped. Columns other than ``url`` and those of ``Provenance`` are ignored.

    Raises:
        InvalidRequest: The extension is unknown, there is no column ``url``, or the file cannot be read.
    """
    parser = _parser(name)
    try:
        with (
            path.open("rb") as raw,
            gzip.GzipFile(fileobj=raw) if name.lower().endswith(".gz") else raw as unpacked,
            io.TextIOWrapper(unpacked, encoding="utf-8-sig", errors="backslashreplace", newline="") as text,
        ):
            yield from parser(_lines(text), name)
    except (OSError, EOFError, zlib.error) as exc:
        raise InvalidRequest(f"the list {name} cannot be read: {one_line(exc)}") from exc


def _parser(name: str) -> "_Parser":
    parser = _PARSERS.get(Path(name.lower().removesuffix(".gz")).suffix)
    if parser is None:
        raise InvalidRequest(
            f"{name!r} is not a list; name a file that ends in {', '.join(_PARSERS)}, each also with .gz"
        )
    return parser


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Iterate over the lines, split at ``_MAX_LINE``, so that a line without end cannot fill the memory."""
    return iter(partial(text.readline, _MAX_LINE), "")


def _plain(lines: Iterator[str], _: str) -> Iterator[Entry]:
    for line in lines:
        if url := line.strip():
            yield _entry({"url": url}, line)


def _json_lines(lines: Iterator[str], _: str) -> Iterator[Entry]:
    for line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield _entry({"url": value} if isinstance(value, str) else value, line)


def _table(lines: Iterator[str], name: str, *, delimiter: str) -> Iterator[Entry]:
    rows = csv.reader(lines, delimiter=delimiter)
    try:
        header = [column.strip().lower() for column in next(rows, [])]
    except csv.Error:
        header = []
    if "url" not in header:
        raise InvalidRequest(f"the list {name} has no column `url`; put the column names in the first line")
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as exc:
            yield {"junk": one_line(exc)}
            continue
        if any(row):
            yield _entry(dict(zip(header, row, strict=False)), delimiter.join(row))


def _entry(values: object, line: str) -> Entry:
    """Return a line's URL and provenance as an entry; the line itself as junk if it has no URL."""
    if not isinstance(values, Mapping) or not _is_url(url := values.get("url")):
        return {"junk": line.strip()[:_SHOWN]}
    known = {name: str(values[name]).strip() for name in _PROVENANCE & values.keys() if values[name] is not None}
    return {"url": url.strip(), **known}


def _is_url(value: object) -> TypeGuard[str]:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return False
    return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)


_Parser = Callable[[Iterator[str], str], Iterator[Entry]]  # takes a list's lines and its name

_PARSERS: Mapping[str, _Parser] = {
    ".txt": _plain,
    ".csv": partial(_table, delimiter=","),
    ".tsv": partial(_table, delimiter="\t"),
    ".jsonl": _json_lines,
}
