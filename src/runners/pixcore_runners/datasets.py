"""From what a user asks for to the chunks of a dataset: planned once, extended when more is wanted."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice

from attrs import evolve, frozen

from pixcore import (
    BlobStore,
    Chunk,
    ChunkRecord,
    ChunkRequest,
    DatasetRequest,
    InvalidRequest,
    Slice,
    StatusRepo,
    StoreNotFound,
    plan,
)
from pixcore.model import dataset_name
from pixcore_adapters.downloader.listing import Listing
from pixcore_runners.sources import title

_BATCH = 1000

# Lists a source behind the slices that are planned already: (source, dataset, planned) -> its listing.
ListingOf = Callable[[str, str, Iterable[Slice]], AbstractContextManager[Listing]]


@frozen
class Wanted:
    """What the command line asks for. ``sources`` as they are written there, such as ``folder:./photos``."""

    sources: Sequence[str]
    chunk_size: int
    keyword: str = ""
    dataset: str = ""
    count: int | None = None

    def named(self) -> "Wanted":
        """Fill in the names left out: the keyword is called as the first source, the dataset as its keyword.

        Raises:
            InvalidRequest: No source, an unknown one, or a name that cannot be used.
        """
        titles = [title(source) for source in self.sources]
        if not titles:
            raise InvalidRequest("no source is given; name one, such as --source folder:./photos")
        keyword = self.keyword.strip() or titles[0]
        slug = re.sub(r"[^\w.-]+", "-", keyword).strip("-._")[:100]
        return evolve(self, keyword=keyword, dataset=dataset_name(self.dataset or slug or "dataset"))


@frozen
class Proposal:
    """The chunks that a dataset still lacks, not written down yet, and the listings that their slices refer to."""

    requests: Iterator[ChunkRequest]
    _listings: Sequence[Listing]

    def write_down(self, status: StatusRepo, store: BlobStore) -> Iterator[Chunk]:
        """Keep the listings, then make the chunks, in batches; yield them under their ids."""
        for listing in self._listings:
            listing.keep(store)
        while batch := list(islice(self.requests, _BATCH)):
            yield from status.ensure(batch)


@contextmanager
def proposed(wanted: Wanted, status: StatusRepo, listing_of: ListingOf) -> Generator[Proposal]:
    """The chunks that the dataset still lacks for what is wanted; none when it is planned that far already.

    Every source is read once, and nothing is written.

    Raises:
        InvalidRequest, NoValidImages: As ``pixcore.plan`` says, and for sources that cannot be listed, or whose earlier
            listing is in another store.
    """
    chunks, planned = 0, 0
    furthest: dict[tuple[str, str], Slice] = {}
    for record in status.find(wanted.dataset):
        request = record.chunk.request
        chunks += 1
        planned += request.target if request.keyword == wanted.keyword else 0
        furthest |= {(piece.source, piece.query): piece for piece in request.slices}
    whole = DatasetRequest(wanted.dataset, wanted.keyword, wanted.count, wanted.chunk_size, first_index=chunks)
    if wanted.count is not None and planned >= wanted.count:
        yield Proposal(iter(()), ())
        return
    with ExitStack() as opened:
        try:
            listings = [
                opened.enter_context(listing_of(source, wanted.dataset, furthest.values())) for source in wanted.sources
            ]
        except StoreNotFound as exc:
            raise InvalidRequest(
                f"dataset {wanted.dataset!r} was planned with another store ({exc}); name that one, or another dataset"
            ) from exc
        lanes = tuple(dict.fromkeys(listing.lane for listing in listings))
        missing = None if wanted.count is None else wanted.count - planned
        yield Proposal(plan(evolve(whole, count=missing), lanes), listings)


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
