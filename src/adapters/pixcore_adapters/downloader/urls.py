"""URL lists: read when a dataset is planned, in bounded memory; the room ``lists`` knows their formats.

Planning fixes a list's entries in a listing. A row without a URL keeps its position and becomes a miss.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest
from pixcore.model.images import Candidate, CandidateKey, Miss, MissReason, Provenance
from pixcore.model.requests import Slice
from pixcore.ports import BlobStore
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.pages import PageAnswer
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.fetching import fetching
from pixcore_adapters.downloader.listing import Listing, new_listing, read
from pixcore_adapters.downloader.lists import formats
from pixcore_adapters.downloader.lists.columns import Entry
from pixcore_adapters.downloader.lists.files import MAX_BYTES, ListFile, files, stored_files
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.lists.reading import Reading
from pixcore_adapters.downloader.source import Pages

SOURCE = "urls"
STANDARD_INPUT = "-"

# the group `name` leaves out the user name, password, query and fragment, which may be secret
_WEB_ADDRESS = re.compile(r"https?://(?:[^/?#]*@)?(?P<name>[^?#]*)", re.IGNORECASE)
_STORE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_AS_FOUND = ListOptions()


def _no_store(url: str) -> BlobStore:
    raise InvalidRequest(f"the list {url} is in a blob store, and none can be opened here")


def listed_urls(store: BlobStore, slice_: Slice) -> Iterator[Candidate]:
    """Yield the candidates of a list's slice as they were listed, in order, those without a URL too.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable: The listing cannot be read.
    """
    for item in _proposals(store, slice_):
        yield item.candidate if isinstance(item, Miss) else item


def _proposals(store: BlobStore, slice_: Slice) -> Iterator[Candidate | Miss]:
    """Yield the candidates of a list's slice; a miss for a row without a URL."""
    for position, entry in enumerate(read(store, slice_.snapshot, slice_.start, slice_.stop), slice_.start):
        key = CandidateKey(SOURCE, slice_.query, position)
        if "url" in entry:
            url, label = entry.pop("url"), entry.pop("label", "")
            columns, checksum = entry.pop("listed", {}), entry.pop("checksum", "")
            yield Candidate(key, url, Provenance(**entry), label, columns, checksum)
        else:
            # listings of earlier versions hold neither the reason nor the line
            reason, line = entry.get("reason", MissReason.NOT_A_URL), entry.get("line", 0)
            yield Miss(Candidate(key, entry["junk"]), reason, permanent=True, detail=f"line {line}" if line else "")


@frozen
class Urls:
    """The source ``urls``. A slice's query is the list's absolute path or web address; its snapshot names the listing.

    The query omits what follows a ``?`` in a web address: it may be a signature, and slices are stored and shown.

    Attributes:
        store: Where listings are kept.
        policy: How to fetch lists that are on the web.
        open_store: Opens the blob store at a URL, to read lists from it.
    """

    store: BlobStore
    policy: FetchPolicy
    open_store: Callable[[str], BlobStore] = _no_store

    def candidates(self, slice_: Slice, pages: Pages) -> Generator[Candidate | Miss | Future[PageAnswer]]:  # noqa: ARG002 - reads a listing
        """See ``Source``."""
        yield from _proposals(self.store, slice_)

    @contextmanager
    def listing(
        self, location: str, dataset: str, planned: Iterable[Slice] = (), options: ListOptions = _AS_FOUND
    ) -> Generator[Listing]:
        """Read the list at a path, at an http(s) address, in a blob store, or on standard input if that is ``-``.

        A path or a URL of a store may be that of a folder, or a glob. The listing's lane begins after the slices
        already ``planned``.

        Raises:
            InvalidRequest: It is not a URL list, or its entries no longer begin with the planned ones.
            SourceUnavailable, SourceChanged: The address cannot be fetched.
            StoreDenied, StoreNotFound, StoreUnavailable: The list, or the earlier listing, cannot be read.
        """
        files, query = self.files(location, options)
        name = files[0].name if len(files) == 1 else location.partition("?")[0]
        if len(files) == 1:
            formats.expected(name, options)  # raises for an unknown kind of list before it is fetched
        reading = Reading(name, files, options)
        with new_listing(
            SOURCE,
            query,
            partial(_grown, present=reading.entries(), name=name),
            store=self.store,
            dataset=dataset,
            planned=planned,
            licenses=",".join(sorted(set(options.licenses))),
            read_as=lambda: (reading.kinds(), reading.summary()),
        ) as listing:
            yield listing

    def files(self, location: str, options: ListOptions = _AS_FOUND) -> tuple[list[ListFile], str]:
        """Return the files of a list, and the query of its slices. A file is fetched when it is opened.

        Raises:
            InvalidRequest: There is no list at the path, or no such store.
            StoreDenied, StoreUnavailable: The store cannot be read.
        """
        if location == STANDARD_INPUT:
            return [ListFile("standard input", _standard_input)], STANDARD_INPUT
        if remote := _WEB_ADDRESS.match(location):
            address = f"{location.partition('//')[0]}//{remote['name']}"
            return [ListFile(remote["name"], partial(self._fetched, location))], address
        if location.lower().startswith("file:"):
            location = unquote(urlsplit(location).path)
        elif is_store(location):
            return stored_files(location, options, self.open_store), location.partition("?")[0]
        found = files(location, options)
        return found, str(Path(location).absolute())

    @contextmanager
    def _fetched(self, address: str) -> Generator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "list")
            with fetching(partial(Fetcher, self.policy)) as submit:
                submit(lambda fetcher: fetcher.save(address, path, MAX_BYTES)).result()
            yield path


@contextmanager
def _standard_input() -> Generator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list")
        with local_disk("reading standard input", temporary=True), path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def is_store(location: str) -> bool:
    """Return whether the location of a list is a URL of a blob store."""
    return _STORE.match(location) is not None


def _grown(known: Iterator[Entry], present: Iterator[Entry], name: str) -> Iterator[Entry]:
    for number, (old, new) in enumerate(zip_longest(known, present), 1):
        if old is not None and (new is None or not _same(old, new)):
            raise InvalidRequest(
                f"the list {name} has changed at entry {number}, which is already planned; only add lines at its end,"
                " or use another dataset name"
            )
        yield new


def _same(old: Entry, new: Entry) -> bool:
    """Return whether an entry is the one that was planned: the same URL, or a row without one.

    Earlier versions of pixcore kept fewer columns, took the URL of some rows that are junk by now, and kept another
    text of junk, without a reason.
    """
    if "url" in new:
        return old.get("url") == new["url"]
    if "junk" in old and "reason" not in old:
        return True
    return str(old.get("url", old.get("junk"))) in str(new["junk"])
