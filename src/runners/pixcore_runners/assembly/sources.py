"""The sources of images: the downloader of all of them, and the listings and limits that planning reads."""
# ruff: noqa: PLC0415 - libcurl is slow to import, and only downloaders need it

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pixcore import BlobStore, Candidate, Downloader, InvalidRequest, Slice
from pixcore.redaction import CREDENTIAL_NAME, mask_value
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.by_source import BySource
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.folder import SOURCE as FOLDER
from pixcore_adapters.downloader.folder import FolderDownloader, listed_files
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.sources.search import About, Search
from pixcore_runners.assembly.pace import pacing
from pixcore_runners.assembly.stores import store_at
from pixcore_runners.registry.tables import SEARCHES
from pixcore_runners.settings import Settings, environment_here
from pixcore_runners.settings.source_names import parse

if TYPE_CHECKING:
    from pixcore_adapters.downloader.lists.files import ListFile
    from pixcore_adapters.downloader.source import Source

V = TypeVar("V")

_SECRET_HEADER = re.compile(f"(?:x-)?{CREDENTIAL_NAME}|(?:set-)?cookie|authorization", re.IGNORECASE)

URLS = "urls"  # as pixcore_adapters.downloader.urls.SOURCE


class OnDemand(Mapping[str, V]):
    """A mapping whose values ``make`` returns. It is called once for each name, on first use.

    ``make`` may know further names than ``names``; it raises KeyError for a name that does not exist. Iteration yields
    ``names`` and the further names that were used so far.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], V]) -> None:
        self._names, self._make = dict.fromkeys(names), make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        if name not in self._made:
            self._made[name] = self._make(name)
            self._names[name] = None
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def downloader(settings: Settings, store: BlobStore) -> Downloader:
    """Return one downloader that serves every source. What a source needs is imported when a chunk first uses it.

    Raises:
        InvalidRequest: SOURCE_DATE_EPOCH is no time.
    """
    moment = _source_date_epoch()

    @cache
    def web() -> Downloader:
        from pixcore_adapters.downloader.sources.paged import PagedSource
        from pixcore_adapters.downloader.urls import Urls
        from pixcore_adapters.downloader.web import WebDownloader

        policy = _fetch_policy(settings)

        def source(name: str) -> "Source":
            if name == URLS:
                return Urls(store, policy)
            search = search_named(name)
            return PagedSource(search, settings.keep_pages, missing_credential(search.about))

        return WebDownloader(OnDemand((URLS, *SEARCHES.builtin), source), policy, moment, pacing(settings))

    # every name but one goes to WebDownloader, which looks for a plug-in and rejects unknown ones
    return BySource(OnDemand((), lambda name: FolderDownloader(store, settings.max_bytes) if name == FOLDER else web()))


def preload(names: Iterable[str]) -> None:
    """Import what the downloaders of these sources need. Idempotent."""
    if set(names) - {FOLDER}:
        from pixcore_adapters.downloader import urls, web  # noqa: F401


def listed(slices: Sequence[Slice], store: BlobStore) -> Iterator[Candidate]:
    """Yield the candidates of slices of lists, in order, without fetching anything.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable: A listing cannot be read.
    """
    for slice_ in slices:
        if slice_.source == FOLDER:
            yield from listed_files(store, slice_)
        else:
            from pixcore_adapters.downloader.urls import listed_urls

            yield from listed_urls(store, slice_)


def listing(
    source: str,
    dataset: str,
    planned: Iterable[Slice],
    *,
    options: ListOptions,
    settings: Settings,
    store: BlobStore,
) -> AbstractContextManager[Listing]:
    """List a source such as ``folder:DIR``; see ``Assembly.listing``."""
    name, argument = parse(source)
    if name == FOLDER:
        return FolderDownloader(store, settings.max_bytes).listing(
            Path(argument).expanduser(), dataset, planned, labels=options.label_from == "folder"
        )
    from pixcore_adapters.downloader.urls import Urls

    return Urls(store, _fetch_policy(settings), partial(_store_of_list, settings)).listing(
        argument, dataset, planned, options
    )


def inaturalist_tables(location: str, settings: Settings) -> Mapping[str, "ListFile"]:
    """Return iNaturalist's open tables in a folder, at a web address or in a blob store, by their names.

    Nothing is fetched before a table is opened.

    Raises:
        InvalidRequest: A table is missing in the folder, or there is no such store.
        StoreDenied, StoreUnavailable: The store cannot be read.
    """
    from pixcore_adapters.downloader.lists.inaturalist import TABLES
    from pixcore_adapters.downloader.urls import Urls, is_store

    urls = Urls(MemoryBlobStore(), _fetch_policy(settings), partial(_store_of_list, settings))
    found = {}
    for name in TABLES:
        base, question, options = location.partition("?")
        table = f"{base.rstrip('/')}/{name}.csv.gz{question}{options}"
        if not is_store(location):
            folder = Path(location).expanduser()
            names = [f"{name}.{kind}" for kind in ("csv.gz", "csv", "tsv.gz", "tsv")]
            existing = next((folder / each for each in names if (folder / each).is_file()), None)
            if existing is None:
                raise InvalidRequest(
                    f"{folder} has no table {names[0]}; name the folder with the tables {', '.join(TABLES)} of"
                    " https://github.com/inaturalist/inaturalist-open-data"
                )
            table = str(existing)
        (found[name],), _ = urls.files(table)
    return found


def capacity(source: str, licenses: Sequence[str], settings: Settings) -> int:
    """Return how many results a searched source gives a query at most; see ``Assembly.capacity``."""
    search = search_named(source)
    about = search.about
    if missing := missing_credential(about):
        from pixcore_adapters.downloader.sources.page_errors import lacking

        raise InvalidRequest(lacking(about, missing))
    if about.contact and not _fetch_policy(settings).contact:
        raise InvalidRequest(
            f"{source} answers only clients that name a contact address; set user_agent, such as"
            " PIXCORE_USER_AGENT='pixcore (ann@example.org)'"
        )
    if unknown := [slug for slug in licenses if slug not in about.licenses]:
        able = ", ".join(name for name in SEARCHES.builtin if search_named(name).about.licenses.issuperset(licenses))
        raise InvalidRequest(
            f"{source} cannot be limited to the licence {unknown[0]}; leave it out, or use a source that can:"
            f" {able or 'there is none'}"
        )
    search.request("", "", 0, "")  # so that a missing package is found now and not by a worker
    return about.depth


def is_exact(source: str, keyword: str) -> bool:
    """Return whether variations of a keyword are no keywords for a searched source; see ``About.exact``."""
    return re.fullmatch(search_named(source).about.exact, keyword, re.DOTALL) is not None


def _store_of_list(settings: Settings, url: str) -> BlobStore:
    """Open the store that holds a list. Options such as the endpoint are those of the setting if the list has none."""
    parts, setting = urlsplit(url), urlsplit(settings.store)
    if not parts.query and (parts.scheme, parts.netloc) == (setting.scheme, setting.netloc):
        url = parts._replace(query=setting.query).geturl()
    return store_at(url)


def missing_credential(about: About) -> str:
    """Return the name of the first required credential of a source that is not set; ``""`` if none is missing."""
    environ = environment_here()
    return next((each.variable for each in about.credentials if each.required and not environ.get(each.variable)), "")


def search_named(name: str) -> Search:
    """Return the searched source of that name. The credentials that it reads are masked in all texts from now on.

    Raises:
        KeyError: There is none.
        InvalidRequest: It cannot be imported, or has another name than the one under which it is registered.
    """
    make = SEARCHES.find(name)
    if make is None:
        raise KeyError(name)
    environ = environment_here()
    search: Search = make(environ)
    about = getattr(search, "about", None)
    if not isinstance(about, About):
        raise InvalidRequest(
            f"source {name!r} has no `about`; update the package that registers it, as docs/extending.md shows"
        )
    for credential in about.credentials:
        mask_value(environ.get(credential.variable, ""))
    if about.name != name:  # else slices and rows would hold different names of one source
        raise InvalidRequest(
            f"source {name!r} has the name {about.name!r}; its package must register it under the name that it has"
        )
    return search


def _fetch_policy(settings: Settings) -> FetchPolicy:
    for header in settings.request_headers:
        if _SECRET_HEADER.fullmatch(header.name):
            mask_value(header.value)
            mask_value(header.value.rpartition(" ")[2])  # without "Bearer"
    return FetchPolicy(
        user_agent=settings.user_agent,
        in_flight=settings.in_flight,
        per_host=settings.per_host,
        per_host_rate=settings.per_host_rate,
        seconds=settings.fetch_seconds,
        max_bytes=settings.max_bytes,
        max_redirects=settings.max_redirects,
        private_hosts=settings.private_hosts,
        headers=settings.request_headers,
        allow_bad_tls=settings.allow_bad_tls,
        ignore_opt_out=settings.ignore_opt_out,
        proxy_from_environment=settings.proxy_from_environment,
    )


def _source_date_epoch() -> datetime | None:
    """Return the time that SOURCE_DATE_EPOCH gives, for archives that are to be identical to earlier ones."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise InvalidRequest(f"SOURCE_DATE_EPOCH is {seconds!r}; write seconds since 1970, or unset it") from exc
