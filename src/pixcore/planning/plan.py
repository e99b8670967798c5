"""Plan a dataset: divide it into chunks whose slices do not overlap.

A *lane* is one source's results for one query, of known length. The free parts of a keyword's lanes are joined end to
end and divided among its chunks: contiguously, in order, and in proportion to each chunk's target. The part of a lane
that one keyword takes is not free for the next keyword. So slices never overlap, and a dataset that is extended later
continues where its last chunk ended.

A chunk of a keyword with several searched sources also gets a *reserve* behind its own part: candidates of the others,
so many that it can be filled if one source fails. Reserves lie behind all parts, and are no part of what can be wanted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile

from attrs import evolve, field, frozen
from attrs.validators import ge

from pixcore.errors import InvalidRequest, NoValidImages
from pixcore.model.conversion import Conversion
from pixcore.model.quality import Quality
from pixcore.model.requests import ChunkRequest, Slice

# How many candidates of searches a chunk gets for each wanted image, if there are enough, to make up for misses and
# rejects. An estimate, not a measurement: open web lists lose about a fifth. Of lists, it gets one for each image, and
# takes more when some are lost: a candidate that it does not need would be missing elsewhere.
OVER_FETCH = 1.25


_Key = tuple[str, str, str]  # source, query and licences: they identify a lane


@frozen
class Lane:
    """Positions ``[start, stop)`` of one source's results for one query that no chunk has yet.

    ``snapshot`` and ``licenses`` are as in a ``Slice``, ``columns`` as in a ``ChunkRequest``.
    """

    source: str
    query: str
    start: int = field(validator=ge(0))
    stop: int = field(validator=ge(0))
    snapshot: str = ""
    licenses: str = ""
    columns: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return max(0, self.stop - self.start)


def _lanes(lanes: Iterable[Lane]) -> tuple[Lane, ...]:
    return tuple(lanes)


@frozen
class KeywordRequest:
    """One keyword of a dataset: ``count`` images from ``lanes``, in order. None: as many as the lanes hold.

    Attributes:
        label: As in a ``ChunkRequest``.
        variations: The version of the keyword variations that made the lanes' queries; 0 if none did.

    Raises:
        InvalidRequest: The count is below 1.
    """

    keyword: str
    lanes: tuple[Lane, ...] = field(converter=_lanes)
    count: int | None = None
    label: str = ""
    variations: int = 0

    def __attrs_post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise InvalidRequest(f"a count of {self.count} images is not possible; ask for at least 1")


def _keywords(keywords: Iterable[KeywordRequest]) -> tuple[KeywordRequest, ...]:
    return tuple(keywords)


@frozen
class DatasetRequest:
    """A dataset to plan: its keywords, in chunks of ``chunk_size`` images of one keyword each.

    ``first_index`` is the number of chunks that the dataset has already. ``columns`` are the columns of lists in their
    rows, and ``store_as`` the conversion of its images, as in a ``ChunkRequest``.

    Raises:
        InvalidRequest: The chunk size is below 1.
    """

    dataset: str
    keywords: tuple[KeywordRequest, ...] = field(converter=_keywords)
    chunk_size: int = 500
    first_index: int = 0
    quality: Quality = Quality()
    columns: tuple[tuple[str, str], ...] = ()
    store_as: Conversion | None = None

    def __attrs_post_init__(self) -> None:
        if self.chunk_size < 1:
            raise InvalidRequest(f"a chunk size of {self.chunk_size} is not possible; use at least 1")


@frozen
class _Share:
    """What one keyword takes: ``count`` images from the first ``candidates`` positions of ``lanes``, all non-empty."""

    request: KeywordRequest
    lanes: tuple[Lane, ...]
    count: int
    candidates: int


@frozen
class _Reserve:
    """The positions behind those that the keywords take: ``taken`` has where these begin, by lane."""

    taken: dict[_Key, int]

    def of(self, lanes: Iterable[Lane], slices: Iterable[Slice], target: int) -> Iterator[Slice]:
        """Yield slices of searched sources so that the chunk can be filled if any one of its sources fails.

        Without the candidates of that source, it then has as many as a plan gives for its target, if the first lanes of
        the sources have enough. Their other lanes are variations of the keyword, which give poorer results.
        """
        lengths = Counter[str]()
        for part in slices:
            lengths["" if part.snapshot else part.source] += len(part)
        wanted = int(target * OVER_FETCH)
        lacking = {source: wanted - lengths.total() + lengths[source] for source in lengths if source}
        firsts: dict[str, Lane] = {}
        for lane in lanes:
            if not lane.snapshot:
                firsts.setdefault(lane.source, lane)
        for lane in firsts.values():
            start = max(lane.start, self.taken.get(_key(lane), 0))
            need = max((lacking[source] for source in lacking if source != lane.source), default=0)
            length = min(lane.stop - start, need)
            if length > 0:
                self.taken[_key(lane)] = start + length
                yield Slice(lane.source, lane.query, start, start + length, lane.snapshot, lane.licenses)
                lacking |= {source: lacks - length for source, lacks in lacking.items() if source != lane.source}


def plan(request: DatasetRequest) -> Iterator[ChunkRequest]:
    """Return an iterator over the chunks, keyword by keyword. The same request gives the same chunks.

    The targets of a keyword's chunks add up to its count; all but the last are ``chunk_size``. Each chunk has at least
    as many candidates as its target. Errors are raised by the call, the chunks are made lazily.

    Raises:
        NoValidImages: A keyword's lanes are empty, and the dataset has no chunks yet.
        InvalidRequest: More images are wanted than there are candidates; or a column that holds integers in the
            dataset's chunks holds text in a lane.
    """
    taken: dict[_Key, int] = {}
    shares: list[_Share] = []
    for keyword in request.keywords:
        share = _share(keyword, taken, extending=request.first_index > 0)
        taken |= {_key(part): part.stop for part in _slices(share.lanes, 0, share.candidates)}
        shares.append(share)
    kinds = column_types(request.dataset, request.columns, (share.lanes for share in shares))
    return _chunks(request, shares, kinds, _Reserve(taken))


def column_types(dataset: str, stored: Iterable[tuple[str, str]], lists: Iterable[Iterable[Lane]]) -> dict[str, str]:
    """Return the type of each column: a string unless all lanes and chunks that have the column hold integers in it.

    It is also a string if another lane of the same keyword lacks the column: an integer cannot be missing. A column has
    one type in all archives of a dataset, because loaders require that. Stored archives cannot change.

    Args:
        dataset: The dataset's name, for messages.
        stored: The columns of its chunks.
        lists: The lanes of each keyword.

    Raises:
        InvalidRequest: A column that holds integers in the dataset's chunks holds text in a lane.
    """
    stored = tuple(stored)
    kinds: dict[str, str] = dict(stored)
    for of_keyword in lists:
        lanes = [dict(lane.columns) for lane in of_keyword]
        for column in {column: None for lane in lanes for column in lane}:
            for kind in (lane.get(column, "string") for lane in lanes):
                kinds[column] = kind if kinds.get(column, kind) == kind else "string"
    for column, kind in stored:
        if kind != kinds[column]:
            raise InvalidRequest(
                f"the column {column!r} holds integers in the chunks that dataset {dataset!r} has, but is now"
                " text or missing in some rows; leave it out with --drop-columns, or use another dataset name"
            )
    return kinds


def _share(request: KeywordRequest, taken: Mapping[_Key, int], *, extending: bool) -> _Share:
    free = (evolve(lane, start=max(lane.start, taken.get(_key(lane), 0))) for lane in dict.fromkeys(request.lanes))
    lanes = tuple(lane for lane in free if len(lane))
    capacity = sum(map(len, lanes))
    if not capacity and not extending:
        raise NoValidImages(f"nothing to collect: {_named(request.lanes)} has no candidates; name another source")
    count = capacity if request.count is None else request.count
    if count > capacity:
        more = "more " if extending else ""
        raise InvalidRequest(
            f"{count} {more}images of {request.keyword!r} are wanted, but {_named(request.lanes)} can give at most"
            f" {capacity}; ask for less, or name more sources"
        )
    listed = sum(len(lane) for lane in takewhile(lambda lane: lane.snapshot, lanes))
    return _Share(request, lanes, count, count if count <= listed else min(capacity, int(count * OVER_FETCH)))


def _key(lane: Lane | Slice) -> _Key:
    return lane.source, lane.query, lane.licenses


def _named(lanes: Iterable[Lane]) -> str:
    """Describe lanes for a message: each source, with its query or the number of its queries."""
    by_source: dict[str, dict[str, None]] = {}
    for lane in lanes:
        by_source.setdefault(lane.source, {})[lane.query] = None
    names = (
        f"{source} {next(iter(queries))!r}" if len(queries) == 1 else f"{source} with {len(queries)} queries"
        for source, queries in by_source.items()
    )
    return ", ".join(names) or "no source"


def _chunks(
    request: DatasetRequest, shares: Iterable[_Share], kinds: Mapping[str, str], reserve: _Reserve
) -> Iterator[ChunkRequest]:
    index = request.first_index
    for share in shares:
        columns = {column: kinds[column] for lane in share.lanes for column, _ in lane.columns}
        lists = {
            _key(lane): Slice(lane.source, lane.query, lane.start, lane.stop, lane.snapshot, lane.licenses)
            for lane in share.lanes
            if lane.snapshot
        }  # of several lanes of one list the last, which reaches its end
        for planned in range(0, share.count, request.chunk_size):
            target = min(request.chunk_size, share.count - planned)
            # Divide in proportion to the target, in integers, so that rounding neither loses nor repeats a candidate.
            begin, end = (share.candidates * images // share.count for images in (planned, planned + target))
            slices = list(_slices(share.lanes, begin, end))
            yield ChunkRequest(
                index=index,
                keyword=share.request.keyword,
                target=target,
                slices=_joined([*slices, *reserve.of(share.lanes, slices, target)]),
                dataset=request.dataset,
                label=share.request.label,
                quality=request.quality,
                variations=share.request.variations,
                columns=tuple(columns.items()),
                lists=lists.values(),
                store_as=request.store_as,
                whole=share.request.count is None,
            )
            index += 1


def _slices(lanes: Iterable[Lane], begin: int, end: int) -> Iterator[Slice]:
    """Yield the slices that make up the positions ``[begin, end)`` of the lanes, joined end to end."""
    for lane in lanes:
        start, stop = lane.start + max(begin, 0), min(lane.start + end, lane.stop)
        if start < stop:
            yield Slice(lane.source, lane.query, start, stop, lane.snapshot, lane.licenses)
        begin, end = begin - len(lane), end - len(lane)


def _joined(slices: Iterable[Slice]) -> Iterator[Slice]:
    """Yield the slices, with those of one lane as one that follow each other without a gap."""
    last: Slice | None = None
    for part in slices:
        if last and _key(last) == _key(part) and last.snapshot == part.snapshot and last.stop == part.start:
            last = evolve(last, stop=part.stop)
            continue
        if last:
            yield last
        last = part
    if last:
        yield last
