"""Plan the chunks of a dataset that a user specifies. A later, larger specification adds chunks to the plan."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from typing import Any, Protocol

from attrs import evolve, field, frozen

from pixcore import (
    BlobStore,
    Chunk,
    ChunkRecord,
    ChunkRequest,
    DatasetRequest,
    InvalidRequest,
    KeywordRequest,
    Lane,
    Slice,
    StatusRepo,
    StoreNotFound,
    plan,
)
from pixcore.chunk.unfilled import reopen_all
from pixcore.model.planned import Planned
from pixcore.model.positions import Allocation
from pixcore.model.quality import TwinRule
from pixcore.planning.plan import column_types
from pixcore.planning.variations import NEWEST, queries
from pixcore.stored.identity import identify
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_runners.planning.changed_rules import changed_rules
from pixcore_runners.planning.known import Known
from pixcore_runners.planning.spec import DatasetSpec, KeywordSpec
from pixcore_runners.planning.storing import require_same
from pixcore_runners.settings import Settings
from pixcore_runners.settings.source_names import CONTACTABLE, LISTED, parse

_BATCH = 1000
_AS_FOUND = ListOptions()


class Catalogue(Protocol):
    """What planning needs to know about the sources."""

    def listing(
        self, source: str, dataset: str, planned: Iterable[Slice], options: ListOptions
    ) -> AbstractContextManager[Listing]:
        """List a source such as ``folder:DIR``. The lane of the listing begins behind the slices ``planned``."""
        ...

    def capacity(self, source: str, licenses: Sequence[str]) -> int:
        """Return how many results a searched source gives a query at most."""
        ...

    def is_exact(self, source: str, keyword: str) -> bool:
        """Return whether variations of a keyword are no keywords for a searched source."""
        ...


@frozen
class Plan:
    """The chunks that a dataset still lacks, not saved yet, and the listings that their slices refer to.

    ``changes`` says, in sentences, which rules of the spec existing chunks do not follow.
    """

    requests: Iterator[ChunkRequest]
    dataset: str
    _listings: Sequence[Listing]
    changes: Sequence[str]
    _grown: Mapping[str, Sequence[Slice]]  # by keyword: lists that may fill chunks that ran out of candidates

    @property
    def summaries(self) -> list[Mapping[str, Any]]:
        """How each list was read; see ``Listing.summary``."""
        return [listing.summary for listing in self._listings if listing.summary]

    def save(self, status: StatusRepo, store: BlobStore, beside: int | None = None) -> Iterator[Chunk]:
        """Store the listings, then create the chunks, in batches; yield the chunks with their ids.

        ``beside`` is as for ``StatusRepo.ensure``.
        """
        for listing in self._listings:
            listing.keep(store)
        while batch := list(islice(self.requests, _BATCH)):
            yield from status.ensure(batch, beside=beside, store=identify(store))

    def refill(self, status: StatusRepo) -> int:
        """Reopen the chunks that ran out of candidates and whose lists have grown; return their number.

        Call it after ``save``, which stores the listings.
        """
        for keyword, parts in self._grown.items():
            status.extend(self.dataset, keyword, parts)
        return sum(reopen_all(self.dataset, keyword, status) for keyword in self._grown)


@contextmanager
def plan_missing(spec: DatasetSpec, status: StatusRepo, catalogue: Catalogue) -> Generator[Plan]:
    """Give the block the chunks that the dataset still lacks; none if its plan already fulfils the spec.

    Reads every listed source once, and writes nothing.

    Raises:
        InvalidRequest, NoValidImages: As for ``pixcore.plan``; also if a source cannot be listed, its earlier listing
            is in another store, or it cannot be limited to the licences.
    """
    existing = Known(status.find(spec.dataset), status.allocations(spec.dataset, ""))
    with _plan(spec, existing, existing.chunks, catalogue) as missing:
        yield missing


@contextmanager
def plan_numbered_chunk(
    number: int,
    spec: DatasetSpec,
    known: Planned,
    allocations: Iterable[Allocation],
    catalogue: Catalogue,
) -> Generator[Plan]:
    """Give the block one chunk of ``spec.chunk_size`` images, with a number of its caller.

    Its slices begin behind those of ``known``, the chunks of its keyword, and behind the ``allocations`` of its lists.

    Raises:
        InvalidRequest, NoValidImages: As for ``plan_missing``.
    """
    (keyword,) = spec.keywords
    others = Known.of_keyword(keyword.keyword, known, allocations)
    more = evolve(keyword, count=spec.chunk_size + known.images)
    with _plan(evolve(spec, keywords=[more]), others, number, catalogue) as missing:
        yield missing


@contextmanager
def _plan(spec: DatasetSpec, known: Known, first_index: int, catalogue: Catalogue) -> Generator[Plan]:
    require_same(spec.dataset, spec.store_as, known.stored_as)
    with ExitStack() as opened:
        lanes = _Lanes(spec.dataset, known, catalogue, opened)
        try:
            lacking = [missing for keyword in spec.keywords if (missing := _lacking(keyword, known, lanes))]
            starved = known.starved - {request.keyword for request in lacking}
            grown = {one.keyword: _grown(one, known, lanes) for one in spec.keywords if one.keyword in starved}
        except StoreNotFound as exc:
            raise InvalidRequest(
                f"dataset {spec.dataset!r} was planned with another store ({exc}); name that store, or another dataset"
            ) from exc
        quality = evolve(spec.quality, twins=TwinRule.HASHES) if known.by_hashes else spec.quality
        request = DatasetRequest(
            spec.dataset, lacking, spec.chunk_size, first_index, quality, tuple(known.columns.items()), spec.store_as
        )
        named = spec.file or spec.dataset
        changes = changed_rules(quality, spec.chunk_size, known.qualities, known.largest, named, divided=known.divided)
        yield Plan(plan(request), spec.dataset, list(lanes.listings.values()), tuple(changes), grown)


@frozen
class _Lanes:
    """The lanes of the sources, behind the known slices. Each listing is opened once, and closed by ``opened``."""

    dataset: str
    known: Known
    catalogue: Catalogue
    opened: ExitStack
    listings: dict[tuple[str, ListOptions], Listing] = field(factory=dict)

    def listed(self, source: str, options: ListOptions) -> list[Lane]:
        """Return the lanes of a source such as ``folder:DIR``: what chunks gave back, then what none ever had."""
        if (source, options) not in self.listings:
            listing = self.catalogue.listing(source, self.dataset, self.known.furthest.values(), options)
            self.listings[source, options] = self.opened.enter_context(listing)
        lane = self.listings[source, options].lane
        returned = (
            evolve(lane, start=start, stop=stop)
            for claimed in self.known.returned
            if (claimed.source, claimed.query, claimed.licenses) == (lane.source, lane.query, lane.licenses)
            for start, stop in claimed.returned
        )
        return [*returned, lane]

    def searched(self, source: str, keyword: str, licenses: Sequence[str]) -> Lane:
        """Return the lane of a searched source: of its own query, or else of the keyword."""
        source, query = parse(source)
        query = query or keyword
        limited = ",".join(sorted(set(licenses)))
        last = self.known.furthest.get((source, query, limited))
        capacity = self.catalogue.capacity(source, licenses)
        return Lane(source, query, last.stop if last else 0, capacity, licenses=limited)


def _grown(spec: KeywordSpec, known: Known, lanes: _Lanes) -> list[Slice]:
    """Return the lists of a keyword that are longer than its chunks know, each as a slice of all its positions.

    Raises:
        InvalidRequest: A column of a list has changed its type.
    """
    options = evolve(spec.lists, licenses=spec.licenses)
    found = [lanes.listed(source, options)[-1] for source in spec.sources if parse(source)[0] in LISTED]
    column_types(lanes.dataset, known.columns.items(), [found])
    return [
        Slice(lane.source, lane.query, 0, lane.stop, lane.snapshot, lane.licenses)
        for lane in found
        if lane.stop > known.lengths.get((lane.source, lane.query, lane.licenses), lane.stop)
    ]


def _lacking(spec: KeywordSpec, known: Known, lanes: _Lanes) -> KeywordRequest | None:
    """Return a request for the images that the keyword still lacks, or None if it lacks none."""
    missing = None if spec.count is None else spec.count - known.images.get(spec.keyword, 0)
    if missing is not None and missing <= 0:
        return None
    options = evolve(spec.lists, licenses=spec.licenses)
    listed = {source for source in spec.sources if parse(source)[0] in LISTED}
    searched = [source for source in spec.sources if source not in listed]
    by_keyword = [source for source in searched if not parse(source)[1]]
    if spec.licenses and (folders := {source for source in listed if parse(source)[0] == "folder"}):
        raise InvalidRequest(f"{min(folders)} gives no licences; leave it out, or leave out --license")
    if not searched:
        found = [lane for source in spec.sources for lane in lanes.listed(source, options)]
        return KeywordRequest(spec.keyword, found, missing, spec.label)
    version = known.variations.get(spec.keyword, NEWEST)
    first, *others = queries(spec.keyword, version)
    found = [
        lane
        for source in spec.sources
        for lane in (
            lanes.listed(source, options) if source in listed else [lanes.searched(source, first, spec.licenses)]
        )
    ]
    varied = [source for source in by_keyword if not lanes.catalogue.is_exact(source, spec.keyword)]
    found += (lanes.searched(source, query, spec.licenses) for query in others for source in varied)
    if missing is None:
        raise InvalidRequest(
            f"the number of images of {spec.keyword!r:.100} is missing; add --count N, at most"
            f" {sum(map(len, found))} here"
        )
    return KeywordRequest(spec.keyword, found, missing, spec.label, version)


def most_results(spec: DatasetSpec, catalogue: Catalogue) -> dict[str, int]:
    """Return how many results each searched source can give for the keywords, with their variations."""
    most: dict[str, int] = {}
    for keyword in spec.keywords:
        for source, query in map(parse, dict.fromkeys(keyword.sources)):
            if source not in LISTED:
                one = query or catalogue.is_exact(source, keyword.keyword)
                asked = 1 if one else len(queries(keyword.keyword))
                most[source] = most.get(source, 0) + asked * catalogue.capacity(source, keyword.licenses)
    return most


def usable_sources(settings: Settings) -> tuple[str, ...]:
    """Return the sources of the settings, without those that require a contact address if the user agent has none."""
    reachable = FetchPolicy(user_agent=settings.user_agent).contact
    return tuple(source for source in settings.source if reachable or source not in CONTACTABLE)


def dataset_records(dataset: str, status: StatusRepo) -> list[ChunkRecord]:
    """Return the records of a dataset's chunks, in order of their index.

    Raises:
        InvalidRequest: There is no such dataset.
    """
    require_chunks(dataset, status)
    return list(status.find(dataset))


def require_chunks(dataset: str, status: StatusRepo) -> None:
    """Raise an error if the dataset has no chunk.

    Raises:
        InvalidRequest: There is no such dataset.
    """
    if next(status.find(dataset), None) is None:
        names = (
            ", ".join(name for name in status.summary() if name)
            or "none; go to the folder in which it was collected, or name its status database with --status"
        )
        raise InvalidRequest(f"no dataset {dataset!r} in the status database; it holds: {names}")
