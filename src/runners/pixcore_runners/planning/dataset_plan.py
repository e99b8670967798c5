"""Plan the chunks of a dataset that a user specifies. A later, larger specification adds chunks to the plan."""

import re
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
    Quality,
    Slice,
    StatusRepo,
    StoreNotFound,
    plan,
)
from pixcore.model.conversion import Conversion
from pixcore.model.positions import Allocation
from pixcore.model.quality import TwinRule
from pixcore.model.requests import dataset_name
from pixcore.planning.variations import NEWEST, queries
from pixcore.stored.identity import identify
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.listing import Listing
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_runners.planning.storing import require_same
from pixcore_runners.settings import Settings
from pixcore_runners.settings.source_names import CONTACTABLE, LISTED, parse, title

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


@frozen
class KeywordSpec:
    """One keyword of a dataset as a user specifies it.

    Attributes:
        sources: As ``pixcore_runners.settings.source_names`` parses them.
        keyword: What to search for, and what the images show.
        count: How many images; None means all that the sources hold.
        label: The label of the images.
        licenses: Slugs such as ``by-sa``; none means any licence.
        lists: How to read its lists and folders.

    Raises:
        InvalidRequest: A count below 1.
    """

    sources: Sequence[str]
    keyword: str = ""
    count: int | None = None
    label: str = ""
    licenses: Sequence[str] = ()
    lists: ListOptions = _AS_FOUND

    def __attrs_post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InvalidRequest(f"count cannot be {self.count}; ask for at least 1 image")


@frozen
class DatasetSpec:
    """A dataset as a user specifies it: its keywords, the size of its chunks, and how its images are stored."""

    keywords: Sequence[KeywordSpec]
    chunk_size: int
    dataset: str = ""
    quality: Quality = field(factory=Quality)
    store_as: Conversion | None = None

    @property
    def sources(self) -> list[str]:
        """The sources of all keywords, each once."""
        return list(dict.fromkeys(source for keyword in self.keywords for source in keyword.sources))

    def with_names(self) -> "DatasetSpec":
        """Return the spec with the missing names filled in.

        An unnamed keyword takes the name of its first source, an unnamed dataset that of its first keyword.

        Raises:
            InvalidRequest: No source, an unknown source, no keyword to search for, or an invalid name.
        """
        keywords = [_named(keyword) for keyword in self.keywords]
        slug = re.sub(r"[^\w.-]+", "-", keywords[0].keyword).strip("-._")[:100]
        return evolve(self, keywords=keywords, dataset=dataset_name(self.dataset or slug or "dataset"))


def _named(spec: KeywordSpec) -> KeywordSpec:
    if not spec.sources:
        raise InvalidRequest("no source is given; add one, such as --source openverse or --source folder:./photos")
    names = [parse(source)[0] for source in spec.sources]
    if keyword := spec.keyword.strip():
        return evolve(spec, keyword=keyword)
    if searched := [name for name in names if name not in LISTED]:
        raise InvalidRequest(
            f"{searched[0]} needs a keyword to search for, such as 'red panda'; to collect a folder or a list, name it"
            " with --source"
        )
    return evolve(spec, keyword=title(spec.sources[0]))


@frozen
class Plan:
    """The chunks that a dataset still lacks, not saved yet, and the listings that their slices refer to."""

    requests: Iterator[ChunkRequest]
    _listings: Sequence[Listing]

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


@contextmanager
def plan_missing(spec: DatasetSpec, status: StatusRepo, catalogue: Catalogue) -> Generator[Plan]:
    """Give the block the chunks that the dataset still lacks; none if its plan already fulfils the spec.

    Reads every listed source once, and writes nothing.

    Raises:
        InvalidRequest, NoValidImages: As for ``pixcore.plan``; also if a source cannot be listed, its earlier listing
            is in another store, or it cannot be limited to the licences.
    """
    existing = _Known((record.chunk for record in status.find(spec.dataset)), status.allocations(spec.dataset, ""))
    with _plan(spec, existing, existing.chunks, catalogue) as missing:
        yield missing


@contextmanager
def plan_numbered_chunk(
    number: int, spec: DatasetSpec, known: Iterable[Chunk], allocations: Iterable[Allocation], catalogue: Catalogue
) -> Generator[Plan]:
    """Give the block one chunk of ``spec.chunk_size`` images, with a number of its caller.

    Its slices begin behind those of ``known``, the chunks of its keyword, and behind the ``allocations`` of its lists.

    Raises:
        InvalidRequest, NoValidImages: As for ``plan_missing``.
    """
    others = _Known(known, allocations)
    (keyword,) = spec.keywords
    more = evolve(keyword, count=spec.chunk_size + others.images.get(keyword.keyword, 0))
    with _plan(evolve(spec, keywords=[more]), others, number, catalogue) as missing:
        yield missing


@contextmanager
def _plan(spec: DatasetSpec, known: "_Known", first_index: int, catalogue: Catalogue) -> Generator[Plan]:
    require_same(spec.dataset, spec.store_as, known.stored_as)
    with ExitStack() as opened:
        lanes = _Lanes(spec.dataset, known, catalogue, opened)
        try:
            lacking = [missing for keyword in spec.keywords if (missing := _lacking(keyword, known, lanes))]
        except StoreNotFound as exc:
            raise InvalidRequest(
                f"dataset {spec.dataset!r} was planned with another store ({exc}); name that store, or another dataset"
            ) from exc
        quality = evolve(spec.quality, twins=TwinRule.HASHES) if known.by_hashes else spec.quality
        request = DatasetRequest(
            spec.dataset, lacking, spec.chunk_size, first_index, quality, tuple(known.columns.items()), spec.store_as
        )
        yield Plan(plan(request), list(lanes.listings.values()))


class _Known:
    """Sums over the chunks that exist, whatever their order, and how far they have claimed their lists."""

    def __init__(self, chunks: Iterable[Chunk], allocations: Iterable[Allocation]) -> None:
        self.chunks = 0
        self.images: dict[str, int] = {}  # planned images by keyword
        self.variations: dict[str, int] = {}  # version of the variations by keyword
        self.columns: dict[str, str] = {}  # types of the columns of lists
        self.stored_as: set[Conversion | None] = set()
        self.by_hashes = False  # an older plan drops by hashes, and keeps to that
        self.furthest: dict[tuple[str, str, str], Slice] = {}  # last slice by source, query and licences
        for chunk in chunks:
            request = chunk.request
            self.chunks += 1
            self.stored_as.add(request.store_as)
            self.by_hashes |= request.quality.twins is TwinRule.HASHES
            self.images[request.keyword] = self.images.get(request.keyword, 0) + request.target
            for column, kind in request.columns:
                self.columns[column] = kind if self.columns.get(column, kind) == kind else "string"
            if request.variations:
                self.variations[request.keyword] = request.variations
            for slice_ in chunk.slices:
                self._reach(slice_)
        self.returned: list[Allocation] = []  # lists of which chunks gave candidates back
        for claimed in allocations:
            if claimed.returned:
                self.returned.append(claimed)
            if claimed.next:
                part = Slice(claimed.source, claimed.query, 0, claimed.next, claimed.snapshot, claimed.licenses)
                self._reach(part)

    def _reach(self, slice_: Slice) -> None:
        lane = slice_.source, slice_.query, slice_.licenses
        if lane not in self.furthest or self.furthest[lane].stop <= slice_.stop:
            self.furthest[lane] = slice_


@frozen
class _Lanes:
    """The lanes of the sources, behind the known slices. Each listing is opened once, and closed by ``opened``."""

    dataset: str
    known: _Known
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

    def searched(self, source: str, query: str, licenses: Sequence[str]) -> Lane:
        """Return the lane of a searched source."""
        limited = ",".join(sorted(set(licenses)))
        last = self.known.furthest.get((source, query, limited))
        capacity = self.catalogue.capacity(source, licenses)
        return Lane(source, query, last.stop if last else 0, capacity, licenses=limited)


def _lacking(spec: KeywordSpec, known: _Known, lanes: _Lanes) -> KeywordRequest | None:
    """Return a request for the images that the keyword still lacks, or None if it lacks none."""
    missing = None if spec.count is None else spec.count - known.images.get(spec.keyword, 0)
    if missing is not None and missing <= 0:
        return None
    options = evolve(spec.lists, licenses=spec.licenses)
    listed = {source for source in spec.sources if parse(source)[0] in LISTED}
    searched = [source for source in spec.sources if source not in listed]
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
    found += (lanes.searched(source, query, spec.licenses) for query in others for source in searched)
    if missing is None:
        raise InvalidRequest(
            f"the number of images of {spec.keyword!r} is missing; add --count N, at most {sum(map(len, found))} here"
        )
    return KeywordRequest(spec.keyword, found, missing, spec.label, version)


def usable_sources(settings: Settings) -> tuple[str, ...]:
    """Return the sources of the settings, without those that require a contact address if the user agent has none."""
    reachable = FetchPolicy(user_agent=settings.user_agent).contact
    return tuple(source for source in settings.source if reachable or source not in CONTACTABLE)


def dataset_records(dataset: str, status: StatusRepo) -> list[ChunkRecord]:
    """Return the records of a dataset's chunks, in order of their index.

    Raises:
        InvalidRequest: There is no such dataset.
    """
    records = list(status.find(dataset))
    if not records:
        names = (
            ", ".join(name for name in status.summary() if name) or "none; if that is the wrong database, set --status"
        )
        raise InvalidRequest(f"no dataset {dataset!r} in the status database; it holds: {names}")
    return records
