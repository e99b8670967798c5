"""URL lists: .txt, .csv, .tsv and .jsonl, gzipped or not, read in bounded memory.

What a list holds is fixed in a listing when the dataset is planned. A line that holds no URL keeps its position: it is
a miss, and the rest goes on.
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
from pixcore_adapters.downloader.listing import Listing, listed, read
from pixcore_adapters.downloader.source import Pages

SOURCE = "urls"

Entry = dict[str, str]  # {"url": …, and what the list says of the provenance}, or {"junk": text}

_PROVENANCE = frozenset(column.name for column in fields(Provenance)) - {"opt_out"}
_LONGEST = 1 << 17  # characters of a line, as many as the csv module takes in a cell; what is behind them is junk
_SHOWN = 200
_ADDRESS = re.compile(r"https?://(?:[^/?#]*@)?(?P<name>[^?#]*)", re.IGNORECASE)  # named without what may be secret
_LARGEST = 8 << 30  # bytes of a list on the web


@frozen
class Urls:
    """The source ``urls``: a slice's query is the list's absolute path or address, its snapshot the listing.

    An address loses what follows its ``?``: that may be a signature, and slices are stored and shown.

    ``policy`` is for lists that are themselves on the web.
    """

    store: BlobStore
    policy: FetchPolicy

    def candidates(self, piece: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[bytes]]:  # noqa: ARG002 - it has its listing
        """See ``Source``."""
        for position, entry in enumerate(read(self.store, piece.snapshot, piece.start, piece.stop), piece.start):
            key = CandidateKey(SOURCE, piece.query, position)
            if "url" in entry:
                yield Candidate(key, entry.pop("url"), Provenance(**entry))
            else:
                yield Miss(Candidate(key, entry["junk"]), MissReason.NOT_A_URL, permanent=True)

    @contextmanager
    def listing(self, place: str, dataset: str, planned: Iterable[Slice] = ()) -> Generator[Listing]:
        """List what the list at a path or an http(s) address holds; the lane is what lies behind ``planned``.

        Raises:
            InvalidRequest: It is no list, or no longer begins with what was planned from it.
            SourceUnavailable, SourceChanged: Its address cannot be read.
            StoreDenied, StoreNotFound, StoreUnavailable: The earlier listing cannot be read.
        """
        remote = _ADDRESS.match(place)
        name = remote["name"] if remote else place
        query = f"{place.partition('//')[0]}//{name}" if remote else str(Path(place).absolute())
        _reader(name)  # before it is fetched in vain
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "list") if remote else Path(place)
            if remote:
                with fetching(partial(Fetcher, self.policy)) as start:
                    start(lambda fetcher: fetcher.save(place, path, _LARGEST)).result()
            grow = partial(_grown, fresh=entries(path, name), name=name)
            with listed(SOURCE, query, grow, store=self.store, dataset=dataset, planned=planned) as listing:
                yield listing


def _grown(known: Iterator[Entry], fresh: Iterator[Entry], name: str) -> Iterator[Entry]:
    for number, (old, new) in enumerate(zip_longest(known, fresh), 1):
        if old is not None and old != new:
            raise InvalidRequest(
                f"the list {name} has changed at its entry {number}, which is planned already; add lines at its end"
                " only, or name another dataset"
            )
        yield new


def entries(path: Path, name: str) -> Iterator[Entry]:
    """Yield a list's entries in order; empty lines are passed over. ``name``'s ending says how to read the file.

    Text is UTF-8; what is not is shown escaped. Columns other than ``url`` and those of the provenance are ignored.

    Raises:
        InvalidRequest: Another kind of file, no column ``url``, or it cannot be read.
    """
    reader = _reader(name)
    try:
        with (
            path.open("rb") as raw,
            gzip.GzipFile(fileobj=raw) if name.lower().endswith(".gz") else raw as unpacked,
            io.TextIOWrapper(unpacked, encoding="utf-8-sig", errors="backslashreplace", newline="") as text,
        ):
            yield from reader(_lines(text), name)
    except (OSError, EOFError, zlib.error) as exc:
        raise InvalidRequest(f"the list {name} cannot be read: {one_line(exc)}") from exc


def _reader(name: str) -> "_Reader":
    reader = _READERS.get(Path(name.lower().removesuffix(".gz")).suffix)
    if reader is None:
        raise InvalidRequest(f"{name!r} is no list; name a file that ends in {', '.join(_READERS)}, each also with .gz")
    return reader


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines, each in pieces of at most ``_LONGEST``: one that never ends must not fill the memory."""
    return iter(partial(text.readline, _LONGEST), "")


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
        raise InvalidRequest(f"the list {name} has no column `url`; name its columns in the first line")
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
    """What a line holds, or the line itself as junk."""
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


_Reader = Callable[[Iterator[str], str], Iterator[Entry]]  # of a list's lines and its name

_READERS: Mapping[str, _Reader] = {
    ".txt": _plain,
    ".csv": partial(_table, delimiter=","),
    ".tsv": partial(_table, delimiter="\t"),
    ".jsonl": _json_lines,
}
