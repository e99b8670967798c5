"""The one place where settings become adapters. Technologies are imported when they are asked for."""
# ruff: noqa: PLC0415 - so that nobody waits for an SDK that is not in use

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from attrs import frozen

from pixcore import (
    Archiver,
    BlobStore,
    ChunkPipeline,
    Downloader,
    InvalidRequest,
    LeaseTerms,
    SeenImages,
    Slice,
    StatusRepo,
    Validator,
)
from pixcore.chunk.events import Observer, everyone
from pixcore.chunk.workspace import sweep
from pixcore.stored.archives import Shards
from pixcore_adapters.downloader.by_source import BySource
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.folder import FolderDownloader
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.downloader.sources.search import Search
from pixcore_adapters.outputs.export import Layout
from pixcore_runners.plugins import ARCHIVERS, BLOB_STORES, SOURCES, Extended, offered, plugin
from pixcore_runners.settings import Settings, environment_here
from pixcore_runners.settings.source_names import CONTACTABLE, parse

if TYPE_CHECKING:
    from pixcore_adapters.validator.pillow import PillowValidator

LAYOUTS = ("imagefolder", "webdataset", "parquet")


@frozen
class Assembly:
    """The adapters that the settings name."""

    settings: Settings
    store: BlobStore
    status: StatusRepo
    seen: SeenImages

    @property
    def shards(self) -> Shards:
        """What is stored, to be read back."""
        return Shards(self.store, archivers(), Path(self.settings.work))

    def listing(self, source: str, dataset: str, planned: Iterable[Slice]) -> AbstractContextManager[Listing]:
        """What a source, as the user writes it, holds; its lane is what lies behind the slices ``planned``.

        Raises:
            InvalidRequest: There is no such source, or it cannot be read.
            SourceUnavailable, SourceChanged, StoreDenied, StoreNotFound, StoreUnavailable: As its adapter says.
        """
        name, argument = parse(source)
        if name == "folder":
            folder = Path(argument).expanduser()
            return FolderDownloader(self.store, self.settings.max_bytes).listing(folder, dataset, planned)
        from pixcore_adapters.downloader.urls import Urls

        return Urls(self.store, _fetch_policy(self.settings)).listing(argument, dataset, planned)

    def capacity(self, source: str, licenses: Sequence[str]) -> int:
        """How many results a source that is searched by keyword gives a query at most; asks nobody.

        Raises:
            InvalidRequest: It cannot keep to the licences, or cannot be asked as pixcore is set up.
        """
        search = _search(source)
        if source in CONTACTABLE and not _fetch_policy(self.settings).contact:
            raise InvalidRequest(
                f"{source} answers only those who say how to reach them; set user_agent, such as"
                " PIXCORE_USER_AGENT='pixcore (ann@example.org)'"
            )
        if unknown := [slug for slug in licenses if slug not in search.licenses]:
            able = ", ".join(search.name for search in _searches() if search.licenses.issuperset(licenses))
            raise InvalidRequest(
                f"{source} cannot be limited to the licence {unknown[0]}; leave it out, or use one that can:"
                f" {able or 'there is none'}"
            )
        search.url("", "", 0)  # a missing package is found now, not by a worker
        return search.limit

    @contextmanager
    def pipeline(
        self,
        observer: Observer,
        stop: Callable[[], bool] = lambda: False,
        interrupts: tuple[type[BaseException], ...] = (),
        validator: Validator | None = None,
    ) -> Generator[ChunkPipeline]:
        """A pipeline for this process; its decoders end with the block. Sweeps what a killed process left behind.

        A ``validator`` that is given is used, and stays open.
        Once ``stop`` is true, running chunks are given back. The pipeline's observer tells yours, and the metrics.

        Raises:
            InvalidRequest: Unknown archive kind, or a work or metrics directory that cannot be used.
        """
        work = Path(self.settings.work)
        sweep(work)
        with ExitStack() as ending:
            yield ChunkPipeline(
                downloader=_downloader(self.settings, self.store),
                validator=validator or _validator(self.settings, ending),
                archiver=_archiver(self.settings.archive),
                store=self.store,
                status=self.status,
                work=work,
                seen=self.seen,
                observer=_counted(self.settings, observer, interrupts, ending),
                stop=stop,
                terms=LeaseTerms(ttl=self.settings.lease_ttl, deadline=self.settings.chunk_deadline),
                interrupts=interrupts,
            )


def assemble(settings: Settings, *, make: bool = False) -> Assembly:
    """Connect what the settings name; a status database that is there is brought up to date.

    Where there is none, it is made if ``make``; else an empty one in memory stands in for it, so that whoever only
    looks leaves nothing behind.

    Raises:
        InvalidRequest: An unknown scheme or a malformed URL.
        StatusUnavailable: The status database cannot be reached.
    """
    store = _store(settings)
    status, seen = _status(settings, make)
    return Assembly(settings, store, status, seen)


def private_settings(settings: Settings) -> Sequence[str]:
    """The names of those that only this process sees: a store or a status database in its memory."""
    return [name for name in ("store", "status") if urlsplit(getattr(settings, name)).scheme == "memory"]


def require_shared(settings: Settings) -> None:
    """Refuse what other processes cannot see.

    Raises:
        InvalidRequest: The store or the status database is in memory.
    """
    if private := private_settings(settings):
        name = private[0]
        raise InvalidRequest(
            f"{name} {getattr(settings, name)} is seen by one process only; name one that all workers can reach"
        )


def assembled_for_work(settings: Settings) -> Assembly:
    """Connect what the settings name for a worker, one of many: it makes nothing and upgrades nothing.

    Raises:
        InvalidRequest: As for ``assemble``; also what other processes cannot see, and a status database that is not
            made yet or in another version.
        StatusUnavailable: The status database cannot be reached.
    """
    require_shared(settings)
    from pixcore_adapters.status_repo.database import engine_at
    from pixcore_adapters.status_repo.upgrade import check

    check(engine_at(settings.status))
    return assemble(settings, make=True)


def _store(settings: Settings) -> BlobStore:
    url = settings.store
    match urlsplit(url).scheme:
        case "file":
            from pixcore_adapters.blob_store.local import LocalBlobStore

            return LocalBlobStore(_path(url))
        case "memory":
            from pixcore_adapters.blob_store.memory import MemoryBlobStore

            return MemoryBlobStore()
        case "azure":
            with needing("azure"):
                from pixcore_adapters.blob_store.azure.store import AzureBlobStore
            parts = urlsplit(url)
            azure = AzureBlobStore.from_environment(parts.netloc, unquote(parts.path).strip("/"), environment_here())
            if settings.create_container:
                azure.create()
            return azure
        case "s3":
            with needing("s3"):
                from pixcore_adapters.blob_store.s3.store import S3BlobStore
            s3 = S3BlobStore.at(url)
            if settings.create_container:
                s3.create()
            return s3
        case scheme:
            return _foreign_store(scheme, settings)


def _foreign_store(scheme: str, settings: Settings) -> BlobStore:
    make = plugin(BLOB_STORES, scheme)
    if make is None:
        known = "file:FOLDER, azure://CONTAINER/PREFIX, s3://BUCKET/PREFIX or memory://"
        others = "".join(f", or {name}:" for name in offered(BLOB_STORES))
        raise InvalidRequest(f"unknown store {settings.store!r}; use {known}{others}")
    store: BlobStore = make(settings.store, environment_here())
    if settings.create_container and (create := getattr(store, "create", None)):
        create()
    return store


@contextmanager
def needing(extra: str) -> Generator[None]:
    """What the block imports comes with that extra.

    Raises:
        InvalidRequest: It is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        raise InvalidRequest(f"{exc.name} is not installed; pip install 'pixcore[{extra}]'") from exc


def _status(settings: Settings, make: bool) -> tuple[StatusRepo, SeenImages]:
    match urlsplit(settings.status).scheme:
        case "sqlite" | "postgresql+psycopg":
            return _sql(settings, make)
        case "memory":
            return _memory(settings)
        case _:
            raise InvalidRequest(
                f"unknown status database {settings.status!r}; use sqlite:///FILE, postgresql+psycopg://USER@HOST/DB or"
                " memory://"
            )


def _sql(settings: Settings, make: bool) -> tuple[StatusRepo, SeenImages]:
    from pixcore_adapters.status_repo.database import file_of
    from pixcore_adapters.status_repo.sql import SqlStatusRepo
    from pixcore_adapters.status_repo.sql_seen_images import SqlSeenImages
    from pixcore_adapters.status_repo.upgrade import is_set_up, migrate

    status = SqlStatusRepo(settings.status, settings.max_failures)
    if not (make or is_set_up(status.engine)):
        return _memory(settings)
    if status.engine.dialect.name == "sqlite":
        _make_folder(file_of(status.engine).parent)
    migrate(status.engine)
    return status, SqlSeenImages(status.engine)


def _memory(settings: Settings) -> tuple[StatusRepo, SeenImages]:
    from pixcore_adapters.seen_images.memory import MemorySeenImages
    from pixcore_adapters.status_repo.memory import MemoryStatusRepo

    status = MemoryStatusRepo(max_failures=settings.max_failures)
    return status, MemorySeenImages(status)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidRequest(
            f"the status database's folder {folder} cannot be made ({exc.strerror}); name another with --status"
        ) from exc


def _downloader(settings: Settings, store: BlobStore) -> Downloader:
    from pixcore_adapters.downloader.sources.paged import PagedSource
    from pixcore_adapters.downloader.urls import Urls
    from pixcore_adapters.downloader.web import WebDownloader

    policy = _fetch_policy(settings)
    searched = {search.name: PagedSource(search, settings.keep_pages) for search in _searches()}
    web = WebDownloader(
        Extended(
            {"urls": Urls(store, policy), **searched}, lambda name: PagedSource(_search(name), settings.keep_pages)
        ),
        policy,
        _moment(),
    )
    folder = FolderDownloader(store, settings.max_bytes)
    # what nobody knows is for the web to refuse
    return BySource(Extended({"folder": folder, **dict.fromkeys(web.sources, web)}, lambda _: web))


def _searches() -> Sequence[Search]:
    from pixcore_adapters.downloader.sources.commons import Commons
    from pixcore_adapters.downloader.sources.icrawler import Baidu, Bing, Google
    from pixcore_adapters.downloader.sources.openverse import Openverse

    return (Openverse(), Commons(), Bing(), Google(), Baidu())


def _search(name: str) -> Search:
    """A source that is searched, pixcore's own or a plugin's.

    Raises:
        KeyError: There is none of that name.
        InvalidRequest: As for ``plugin``.
    """
    if own := next((search for search in _searches() if search.name == name), None):
        return own
    make = plugin(SOURCES, name)
    if make is None:
        raise KeyError(name)
    search: Search = make(environment_here())
    if search.name != name:  # slices and rows would call one source by two names
        raise InvalidRequest(f"source {name!r} calls itself {search.name!r}; its package is to use one name")
    return search


def _fetch_policy(settings: Settings) -> FetchPolicy:
    return FetchPolicy(
        user_agent=settings.user_agent,
        in_flight=settings.in_flight,
        per_host=settings.per_host,
        per_host_rate=settings.per_host_rate,
        seconds=settings.fetch_seconds,
        max_bytes=settings.max_bytes,
        private_hosts=settings.private_hosts,
        ignore_opt_out=settings.ignore_opt_out,
        proxy_from_environment=settings.proxy_from_environment,
    )


def _moment() -> datetime | None:
    """What SOURCE_DATE_EPOCH says, for whoever wants to make the same archives again."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise InvalidRequest(f"SOURCE_DATE_EPOCH is {seconds!r}; write seconds since 1970, or unset it") from exc


def _counted(
    settings: Settings, observer: Observer, interrupts: tuple[type[BaseException], ...], ending: ExitStack
) -> Observer:
    if settings.metrics_dir is None:
        return observer
    with needing("metrics"):
        from pixcore_runners.observing.metrics import Metrics
    metrics = ending.enter_context(closing(Metrics(settings.metrics_dir)))
    return everyone(observer, metrics, interrupts=interrupts)


def _archiver(kind: str) -> Archiver:
    match kind:
        case "zip":
            from pixcore_adapters.archiver.zip import ZipArchiver

            return ZipArchiver()
        case "tar":
            from pixcore_adapters.archiver.tar import TarArchiver

            return TarArchiver()
        case _:
            make = plugin(ARCHIVERS, kind)
            if make is None:
                raise InvalidRequest(f"unknown archive kind {kind!r}; use {' or '.join(_kinds())}")
            archiver: Archiver = make()
            return archiver


def _kinds() -> Iterable[str]:
    return dict.fromkeys(("zip", "tar", *offered(ARCHIVERS)))


def layout(name: str, *, by_label: bool) -> Layout:
    """One of ``LAYOUTS``; ``by_label`` gives a folder to each label where images are files.

    Raises:
        InvalidRequest: A package that it needs is not installed.
    """
    match name:
        case "parquet":
            with needing("parquet"):
                from pixcore_adapters.outputs.export.parquet import parquet
            return parquet
        case "webdataset":
            from pixcore_adapters.outputs.export.webdataset import webdataset

            return webdataset
        case _:
            from pixcore_adapters.outputs.export.imagefolder import ImageFolder

            return ImageFolder(by_label=by_label)


def archivers() -> tuple[Archiver, ...]:
    """Every kind of archive."""
    return tuple(map(_archiver, _kinds()))


@contextmanager
def validating(settings: Settings, *, at_once: bool = False) -> Generator[Validator]:
    """The validator; its decoders end with the block and start when they are needed; the first even ``at_once``."""
    with ExitStack() as ending:
        validator = _validator(settings, ending)
        if at_once:
            validator.start()
        yield validator


def _validator(settings: Settings, ending: ExitStack) -> "PillowValidator":
    from pixcore_adapters.validator.picture import Limits
    from pixcore_adapters.validator.pillow import PillowValidator

    limits = Limits(
        max_bytes=settings.max_bytes,
        max_pixels=settings.max_pixels,
    )
    share = max(1, (os.cpu_count() or 1) // settings.workers)  # each of the chunks in progress has its own children
    return ending.enter_context(PillowValidator(limits, seconds=settings.decode_seconds, workers=share))


def _path(url: str) -> Path:
    """The folder that ``file:relative``, ``file:/absolute`` or ``file:///absolute`` names."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise InvalidRequest(f"store {url!r} names no folder of this machine; write file:./out or file:///data/out")
    return Path(unquote(parts.path)).expanduser()
