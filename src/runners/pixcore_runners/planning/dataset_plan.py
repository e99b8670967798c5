"""From what a user asks for to the chunks of a dataset: planned once, extended when more is wanted."""

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from typing import Protocol

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
from pixcore.model.requests import dataset_name
from pixcore.planning.variations import NEWEST, queries
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.listing import Listing
from pixcore_runners.settings import Settings
from pixcore_runners.settings.source_names import CONTACTABLE, LISTED, parse, title

_BATCH = 1000


class Catalogue(Protocol):
    """What the sources hold, as far as planning needs to know."""

    def listing(self, source: str, dataset: str, planned: Iterable[Slice]) -> AbstractContextManager[Listing]:
        """List a source such as ``folder:DIR`` behind the slices that are planned already."""
        ...

    def capacity(self, source: str, licenses: Sequence[str]) -> int:
        """How many results a source that is searched by keyword gives a query at most."""
        ...


@frozen
class WantedKeyword:
    """One keyword: ``count`` images of it from ``sources``, written as by ``pixcore_runners.settings.source_names``.

    ``licenses`` are slugs such as ``by-sa``; none for any licence. ``count`` None means all that the sources hold.

    Raises:
        InvalidRequest: A count below 1.
    """

    sources: Sequence[str]
    keyword: str = ""
    count: int | None = None
    label: str = ""
    licenses: Sequence[str] = ()

    def __attrs_post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InvalidRequest(f"a count of {self.count} images is not possible; ask for at least 1")


@frozen
class Wanted:
    """What a dataset is to hold."""

    keywords: Sequence[WantedKeyword]
    chunk_size: int
    dataset: str = ""
    quality: Quality = field(factory=Quality)

    @property
    def sources(self) -> list[str]:
        """Every source of any keyword, once."""
        return list(dict.fromkeys(source for keyword in self.keywords for source in keyword.sources))

    def named(self) -> "Wanted":
        """Fill in the names left out: a keyword is called as its first source, the dataset as its first keyword.

        Raises:
            InvalidRequest: No source, an unknown one, no keyword to search for, or a name that cannot be used.
        """
        keywords = [_named(keyword) for keyword in self.keywords]
        slug = re.sub(r"[^\w.-]+", "-", keywords[0].keyword).strip("-._")[:100]
        return evolve(self, keywords=keywords, dataset=dataset_name(self.dataset or slug or "dataset"))


def _named(wanted: WantedKeyword) -> WantedKeyword:
    if not wanted.sources:
        raise InvalidRequest("no source is given; name one, such as --source openverse or --source folder:./photos")
    names = [parse(source)[0] for source in wanted.sources]
    if keyword := wanted.keyword.strip():
        return evolve(wanted, keyword=keyword)
    if searched := [name for name in names if name not in LISTED]:
        raise InvalidRequest(
            f"{searched[0]} needs a keyword to search for, such as 'red panda'; or name a folder or a list with"
            " --source"
        )
    return evolve(wanted, keyword=title(wanted.sources[0]))


@frozen
class Proposal:
    """The chunks that a dataset still lacks, not written down yet, and the listings that their slices refer to."""

    requests: Iterator[ChunkRequest]
    _listings: Sequence[Listing]

    def write_down(self, status: StatusRepo, store: BlobStore, beside: int | None = None) -> Iterator[Chunk]:
        """Keep the listings, then make the chunks, in batches; yield them under their ids.

        ``beside`` is as for ``StatusRepo.ensure``.
        """
        for listing in self._listings:
            listing.keep(store)
        while batch := list(islice(self.requests, _BATCH)):
            yield from status.ensure(batch, beside=beside)


@contextmanager
def proposed(wanted: Wanted, status: StatusRepo, catalogue: Catalogue) -> Generator[Proposal]:
    """The chunks that the dataset still lacks for what is wanted; none when it is planned that far already.

    Every listed source is read once, and nothing is written.

    Raises:
        InvalidRequest, NoValidImages: As ``pixcore.plan`` says, and for sources that cannot be listed, whose earlier
            listing is in another store, or that cannot keep to the licences.
    """
    known = _Known(record.chunk.request for record in status.find(wanted.dataset))
    with _proposed(wanted, known, known.chunks, catalogue) as proposal:
        yield proposal


@contextmanager
def proposed_chunk(
    number: int, wanted: Wanted, known: Iterable[ChunkRequest], catalogue: Catalogue
) -> Generator[Proposal]:
    """One chunk that its caller numbers, of as many images as wanted, behind the ``known`` ones of its keyword.

    Raises:
        InvalidRequest, NoValidImages: As for ``proposed``.
    """
    others = _Known(known)
    (keyword,) = wanted.keywords
    more = evolve(keyword, count=wanted.chunk_size + others.images.get(keyword.keyword, 0))
    with _proposed(evolve(wanted, keywords=[more]), others, number, catalogue) as proposal:
        yield proposal


@contextmanager
def _proposed(wanted: Wanted, known: "_Known", first_index: int, catalogue: Catalogue) -> Generator[Proposal]:
    with ExitStack() as opened:
        lanes = _Lanes(wanted.dataset, known, catalogue, opened)
        try:
            lacking = [lack for keyword in wanted.keywords if (lack := _lacking(keyword, known, lanes))]
        except StoreNotFound as exc:
            raise InvalidRequest(
                f"dataset {wanted.dataset!r} was planned with another store ({exc}); name that one, or another dataset"
            ) from exc
        request = DatasetRequest(wanted.dataset, lacking, wanted.chunk_size, first_index, wanted.quality)
        yield Proposal(plan(request), list(lanes.listings.values()))


class _Known:
    """What chunks have taken already, in whichever order they were made."""

    def __init__(self, requests: Iterable[ChunkRequest]) -> None:
        self.chunks = 0
        self.images: dict[str, int] = {}  # planned, by keyword
        self.variations: dict[str, int] = {}  # their version, by keyword
        self.furthest: dict[tuple[str, str, str], Slice] = {}  # by source, query and licences
        for request in requests:
            self.chunks += 1
            self.images[request.keyword] = self.images.get(request.keyword, 0) + request.target
            if request.variations:
                self.variations[request.keyword] = request.variations
            for piece in request.slices:
                self._reach((piece.source, piece.query, piece.licenses), piece)

    def _reach(self, lane: tuple[str, str, str], piece: Slice) -> None:
        if lane not in self.furthest or self.furthest[lane].stop < piece.stop:
            self.furthest[lane] = piece


@frozen
class _Lanes:
    """The lanes of the sources, behind what is known; each listing is opened once, until ``opened`` closes."""

    dataset: str
    known: _Known
    catalogue: Catalogue
    opened: ExitStack
    listings: dict[str, Listing] = field(factory=dict)

    def listed(self, source: str) -> Lane:
        """The lane of a source such as ``folder:DIR``."""
        if source not in self.listings:
            listing = self.catalogue.listing(source, self.dataset, self.known.furthest.values())
            self.listings[source] = self.opened.enter_context(listing)
        return self.listings[source].lane

    def searched(self, source: str, query: str, licenses: Sequence[str]) -> Lane:
        """The lane of a source that is searched."""
        limited = ",".join(sorted(set(licenses)))
        last = self.known.furthest.get((source, query, limited))
        capacity = self.catalogue.capacity(source, licenses)
        return Lane(source, query, last.stop if last else 0, capacity, licenses=limited)


def _lacking(wanted: WantedKeyword, known: _Known, lanes: _Lanes) -> KeywordRequest | None:
    missing = None if wanted.count is None else wanted.count - known.images.get(wanted.keyword, 0)
    if missing is not None and missing <= 0:
        return None
    listed = {source for source in wanted.sources if parse(source)[0] in LISTED}
    searched = [source for source in wanted.sources if source not in listed]
    if listed and wanted.licenses:
        raise InvalidRequest(f"{min(listed)} does not tell licences; leave it out, or ask without --license")
    if not searched:
        return KeywordRequest(wanted.keyword, map(lanes.listed, wanted.sources), missing, wanted.label)
    version = known.variations.get(wanted.keyword, NEWEST)
    first, *others = queries(wanted.keyword, version)
    found = [
        lanes.listed(source) if source in listed else lanes.searched(source, first, wanted.licenses)
        for source in wanted.sources
    ]
    found += (lanes.searched(source, query, wanted.licenses) for query in others for source in searched)
    if missing is None:
        raise InvalidRequest(
            f"how many images of {wanted.keyword!r} are wanted? add --count N, at most {sum(map(len, found))} here"
        )
    return KeywordRequest(wanted.keyword, found, missing, wanted.label, version)


def answering(settings: Settings) -> tuple[str, ...]:
    """The sources of the settings, without those that answer only a user agent with an address, if it has none."""
    reachable = FetchPolicy(user_agent=settings.user_agent).contact
    return tuple(source for source in settings.source if reachable or source not in CONTACTABLE)


def known_dataset(dataset: str, status: StatusRepo) -> list[ChunkRecord]:
    """The chunks of a dataset by rising index.

    Raises:
        InvalidRequest: There is no such dataset.
    """
    records = list(status.find(dataset))
    if not records:
        names = ", ".join(name for name in status.summary() if name) or "none yet; is it the right one, see --status?"
        raise InvalidRequest(f"no dataset {dataset!r} in the status database, which knows {names}")
    return records
