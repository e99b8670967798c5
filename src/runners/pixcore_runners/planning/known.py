"""What a new plan must know of a dataset's chunks and of how far they have claimed their lists."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pixcore import ChunkRecord, Slice, Status
from pixcore.chunk.unfilled import is_unfilled
from pixcore.model.planned import Planned, merged_columns
from pixcore.model.positions import Allocation
from pixcore.model.quality import Quality, TwinRule

if TYPE_CHECKING:
    from pixcore.model.conversion import Conversion

_List = tuple[str, str, str]  # source, query and licences


class Known:
    """Sums over the chunks that exist, whatever their order, and over the allocations of their lists."""

    def __init__(self, records: Iterable[ChunkRecord], allocations: Iterable[Allocation]) -> None:
        self.chunks = 0
        self.images: dict[str, int] = {}  # planned images by keyword
        self.variations: dict[str, int] = {}  # version of the variations by keyword
        self.columns: dict[str, str] = {}  # types of the columns of lists
        self.stored_as: set[Conversion | None] = set()
        self.qualities: set[Quality] = set()
        self.largest = 0  # target of a chunk
        self.divided = False  # a keyword has several chunks
        self.by_hashes = False  # an older plan drops by hashes, and keeps to that
        self.furthest: dict[_List, Slice] = {}  # last slice of each list or search
        self.returned: list[Allocation] = []  # lists of which chunks gave candidates back
        self.lengths: dict[_List, int] = {}
        self._short: set[str] = set()
        self._unfinished: set[str] = set()
        for record in records:
            self._add(record)
        for allocation in allocations:
            self._add_list(allocation)

    @classmethod
    def of_keyword(cls, keyword: str, planned: Planned, allocations: Iterable[Allocation]) -> "Known":
        """Return what is known of one keyword's chunks by their sums, without what became of them."""
        known = cls((), ())
        known.chunks = planned.chunks
        known.images[keyword] = planned.images
        if planned.variations:
            known.variations[keyword] = planned.variations
        known.by_hashes = planned.by_hashes
        known.stored_as |= set(planned.stored_as)
        known._add_columns(planned.columns)
        for part in planned.furthest:
            known._reach(part)
        for allocation in allocations:
            known._add_list(allocation)
        return known

    @property
    def starved(self) -> set[str]:
        """The keywords whose chunks have all ended, some of them with fewer images than wanted."""
        return self._short - self._unfinished

    def _add(self, record: ChunkRecord) -> None:
        request = record.chunk.request
        self.chunks += 1
        self.stored_as.add(request.store_as)
        self.qualities |= {request.quality, record.followed}
        self.largest = max(self.largest, request.target)
        self.divided |= request.keyword in self.images
        self.by_hashes |= request.quality.twins is TwinRule.HASHES
        self.images[request.keyword] = self.images.get(request.keyword, 0) + request.target
        self._add_columns(request.columns)
        if request.variations:
            self.variations[request.keyword] = request.variations
        for slice_ in record.chunk.slices:
            self._reach(slice_)
        if record.status in (Status.PENDING, Status.PROCESSING):
            self._unfinished.add(request.keyword)
        elif is_unfilled(record):
            self._short.add(request.keyword)

    def _add_list(self, claimed: Allocation) -> None:
        self._add_columns(claimed.columns)
        self.lengths[claimed.source, claimed.query, claimed.licenses] = claimed.stop
        if claimed.returned:
            self.returned.append(claimed)
        if claimed.next:
            self._reach(Slice(claimed.source, claimed.query, 0, claimed.next, claimed.snapshot, claimed.licenses))

    def _add_columns(self, columns: Iterable[tuple[str, str]]) -> None:
        self.columns = dict(merged_columns(self.columns.items(), columns))

    def _reach(self, slice_: Slice) -> None:
        lane = slice_.source, slice_.query, slice_.licenses
        if lane not in self.furthest or self.furthest[lane].stop <= slice_.stop:
            self.furthest[lane] = slice_
