"""The composition root: settings become adapters here and nowhere else."""

import os
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from pixcore import (
    Archiver,
    BlobStore,
    ChunkPipeline,
    Datasets,
    Decisions,
    InvalidRequest,
    LeaseTerms,
    PixcoreError,
    SeenImages,
    Slice,
    StatusRepo,
    Validator,
)
from pixcore.chunk.dependencies import no_filter
from pixcore.chunk.events import Observer, combined
from pixcore.chunk.workspace import sweep
from pixcore.filters.rule import Filter, PictureFilter
from pixcore.model.quality import TwinRule
from pixcore.ports import Previewer
from pixcore.stored.archives import StoredArchives
from pixcore.stored.identity import identity_of
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.sources.search import About
from pixcore_adapters.outputs.export.layout import ExportRequest, Layout
from pixcore_runners.assembly import imaging, sources, status_databases
from pixcore_runners.assembly.file_systems import require_local_file
from pixcore_runners.assembly.fitness import find_fault
from pixcore_runners.assembly.stores import store_at
from pixcore_runners.observing.traces import configured_traces
from pixcore_runners.registry.table import needing
from pixcore_runners.registry.tables import ARCHIVERS, FILTERS, LAYOUTS
from pixcore_runners.settings import Settings


@frozen
class Assembly:
    """The adapters that the settings name."""

    settings: Settings
    store: BlobStore
    status: StatusRepo
    seen: SeenImages
    decisions: Decisions
    datasets: Datasets

    @property
    def archives(self) -> StoredArchives:
        """The archives in the store, for reading them back."""
        return StoredArchives(self.store, Archivers(), Path(self.settings.work))

    def listing(
        self, source: str, dataset: str, planned: Iterable[Slice], options: ListOptions
    ) -> AbstractContextManager[Listing]:
        """List a source such as ``folder:DIR``. The lane of the listing begins behind the slices ``planned``.

        Raises:
            InvalidRequest: There is no such source, or it cannot be read.
            SourceUnavailable, SourceChanged, StoreDenied, StoreNotFound, StoreUnavailable: As its adapter says.
        """
        return sources.listing(source, dataset, planned, options=options, settings=self.settings, store=self.store)

    def capacity(self, source: str, licenses: Sequence[str]) -> int:
        """Return how many results a searched source gives a query at most. Sends no request.

        Raises:
            InvalidRequest: The source cannot be limited to these licences, or a setting or package that it needs is
                missing.
        """
        return sources.capacity(source, licenses, self.settings)

    def about(self, source: str) -> About:
        """Return what is known of a searched source. Sends no request."""
        return sources.search_named(source).about

    def is_exact(self, source: str, keyword: str) -> bool:
        """Return whether a keyword names a set of a searched source, so that variations of it are no keywords."""
        return sources.is_exact(source, keyword)

    def preload(self, names: Iterable[str], rules: Collection[TwinRule]) -> None:
        """Import what chunks with these sources and rules need, so that processes that are forked next share it."""
        sources.preload(names)
        if not {TwinRule.DROP, TwinRule.REPORT}.isdisjoint(rules):
            # numpy's library would start threads with its import, which a fork does not copy; none is needed
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            imaging.twin_finder(self.settings).preload()

    def require_dataset(self, dataset: str) -> None:
        """Refuse a dataset whose archives belong to another store than the one that the settings name.

        Raises:
            InvalidRequest: It belongs to another store.
            StoreDenied, StoreUnavailable, StatusUnavailable: As the ports raise them.
        """
        others = set(self.status.stores(dataset)) - {""}
        if others and identity_of(self.store) not in others:
            raise InvalidRequest(
                f"dataset {dataset!r} belongs to another store than {self.settings.store}; name the store that it was"
                " planned with, or another dataset"
            )

    def require_queue(self, runner: str) -> None:
        """Refuse a queue that holds chunks of another store than the one that the settings name.

        Raises:
            InvalidRequest: It does.
            StoreDenied, StoreUnavailable, StatusUnavailable: As the ports raise them.
        """
        if others := self.status.elsewhere(self.settings.queue_at(runner), identity_of(self.store)):
            raise InvalidRequest(
                f"unfinished chunks in the queue {self.settings.queue!r} belong to another store than"
                f" {self.settings.store}, those of: {', '.join(others)}; name that store, use another queue, or cancel"
                " these datasets"
            )

    def find_fault(self, validator: Validator, work: int, store: int) -> PixcoreError | None:
        """Return what does not work of this machine or the services; see ``fitness.find_fault``."""
        return find_fault(
            Path(self.settings.work), validator, self.status, self.seen, self.store, room=work, store_room=store
        )

    @contextmanager
    def pipeline(
        self,
        observer: Observer,
        stop: Callable[[], bool] = lambda: False,
        interrupts: tuple[type[BaseException], ...] = (),
        validator: Validator | None = None,
    ) -> Generator[ChunkPipeline]:
        """Give the block a pipeline for this process, and remove what killed processes left in the work directory.

        Args:
            observer: Receives the events, as do those of metrics and traces if these are configured.
            stop: Once it returns true, running chunks are given back.
            interrupts: See ``ChunkPipeline``.
            validator: Is used instead of a new one, and stays open when the block ends.

        Raises:
            InvalidRequest: Unknown kind of archive, or a work or metrics directory that cannot be used.
            StoreDenied, StoreUnavailable: The identity of the store cannot be read.
        """
        work = Path(self.settings.work)
        sweep(work)
        with ExitStack() as closed_at_end:
            judge = validator or imaging.validator(self.settings, closed_at_end)
            yield ChunkPipeline(
                downloader=sources.downloader(self.settings, self.store),
                validator=judge,
                archiver=_archiver(self.settings.archive),
                store=self.store,
                status=self.status,
                work=work,
                seen=self.seen,
                twins=imaging.twin_finder(self.settings),
                converter=imaging.converter(self.settings, closed_at_end),
                previewer=judge if isinstance(judge, Previewer) else None,
                decisions=self.decisions,
                filters=_filter,
                archivers=Archivers(),
                listed=partial(sources.listed, store=self.store),
                observer=_observed(self.settings, observer, interrupts, closed_at_end),
                stop=stop,
                terms=LeaseTerms(ttl=self.settings.lease_ttl, deadline=self.settings.chunk_deadline),
                interrupts=interrupts,
                probe=partial(self.find_fault, judge),
                store_identity=identity_of(self.store),
            )


def assemble(settings: Settings, *, create: bool = False) -> Assembly:
    """Connect to what the settings name, and upgrade the schema of the status database.

    If there is no status database, it is created if ``create`` is true. Otherwise an empty one in memory is used in its
    place, so that commands that only read create nothing.

    Raises:
        InvalidRequest: An unknown scheme or a malformed URL.
        StatusUnavailable: The status database cannot be reached.
    """
    store = store_at(settings.store, create=settings.create_container)
    status, seen, decisions, datasets = status_databases.connect(settings, create=create)
    return Assembly(settings, store, status, seen, decisions, datasets)


def private_settings(settings: Settings) -> Sequence[str]:
    """Return which of the settings ``store`` and ``status`` name something in this process's memory."""
    return [name for name in ("store", "status") if urlsplit(getattr(settings, name)).scheme == "memory"]


def require_shared(settings: Settings) -> None:
    """Refuse a store or a status database that workers on several machines cannot share.

    Raises:
        InvalidRequest: The store or the status database is in memory, or an SQLite file is on a network file system.
    """
    if private := private_settings(settings):
        name = private[0]
        raise InvalidRequest(
            f"{name} {getattr(settings, name)} exists in one process only; name one that all workers can reach"
        )
    require_local_file(settings)


def assemble_for_worker(settings: Settings) -> Assembly:
    """Connect to what the settings name, for one of many workers: create nothing and upgrade nothing.

    Raises:
        InvalidRequest: As for ``assemble``; also if the store or the status database is in memory, or the status
            database does not exist or has another version.
        StatusUnavailable: The status database cannot be reached.
    """
    require_shared(settings)
    status_databases.check(settings)
    return assemble(settings, create=True)


class Archivers(Sequence[Archiver]):
    """An archiver for every kind of archive. Plug-ins are searched on first use, because that reads all packages."""

    @cached_property
    def _made(self) -> tuple[Archiver, ...]:
        return tuple(map(_archiver, ARCHIVERS))

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - an index or a slice
        return self._made[place]

    def __len__(self) -> int:
        return len(self._made)


def layout(name: str) -> Callable[[ExportRequest], Layout]:
    """Return what makes the layout of that name of ``LAYOUTS`` for an export.

    Raises:
        InvalidRequest: There is none, or a package that it needs is not installed.
    """
    if (make := LAYOUTS.find(name)) is None:
        raise InvalidRequest(f"unknown layout {name!r}; use one of: {', '.join(LAYOUTS)}")
    return make


def _filter(name: str) -> Filter | PictureFilter:
    if (make := FILTERS.find(name)) is None:
        return no_filter(name)
    made: Filter | PictureFilter = make()
    return made


def _archiver(kind: str) -> Archiver:
    if (make := ARCHIVERS.find(kind)) is None:
        raise InvalidRequest(f"unknown kind of archive {kind!r}; use one of: {', '.join(ARCHIVERS)}")
    archiver: Archiver = make()
    return archiver


def _observed(
    settings: Settings, observer: Observer, interrupts: tuple[type[BaseException], ...], closed_at_end: ExitStack
) -> Observer:
    """Add the observers of metrics and of traces, if these are configured."""
    observers = [observer]
    if settings.metrics_dir:
        with needing("metrics"):
            from pixcore_runners.observing.metrics import Metrics  # noqa: PLC0415 - an extra
        observers.append(closed_at_end.enter_context(closing(Metrics(settings.metrics_dir))))
    if traces := configured_traces():
        observers.append(closed_at_end.enter_context(closing(traces)))
    return combined(*observers, interrupts=interrupts) if observers[1:] else observer
