"""What the chunks of one keyword were planned with: sums, so that the next chunk is planned without reading them."""

from collections.abc import Iterable
from functools import reduce

from attrs import frozen

from pixcore.model.conversion import Conversion
from pixcore.model.quality import TwinRule
from pixcore.model.requests import ChunkRequest, Slice


@frozen
class Planned:
    """Sums over the requests of a keyword's chunks in one dataset.

    Attributes:
        chunks: Their number.
        images: The sum of their targets.
        variations: The version of the keyword variations that made their queries; 0 if none did.
        columns: The types of the columns of their lists: ``"string"`` if two chunks differ.
        stored_as: The conversions of their images, each once; None for images that are stored as they are.
        by_hashes: Whether one of them drops copies by hashes alone, as older plans do.
        furthest: For each list or search that their slices are of, the slice that ends last.
    """

    chunks: int = 0
    images: int = 0
    variations: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    stored_as: tuple[Conversion | None, ...] = ()
    by_hashes: bool = False
    furthest: tuple[Slice, ...] = ()

    def with_chunk(self, request: ChunkRequest) -> "Planned":
        """Return the sums with one more chunk."""
        return Planned(
            chunks=self.chunks + 1,
            images=self.images + request.target,
            variations=request.variations or self.variations,
            columns=merged_columns(self.columns, request.columns),
            stored_as=tuple(dict.fromkeys((*self.stored_as, request.store_as))),
            by_hashes=self.by_hashes or request.quality.twins is TwinRule.HASHES,
            furthest=furthest((*self.furthest, *request.slices)),
        )

    def with_chunks(self, requests: Iterable[ChunkRequest]) -> "Planned":
        """Return the sums with more chunks."""
        return reduce(Planned.with_chunk, requests, self)


def merged_columns(known: Iterable[tuple[str, str]], more: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the type of each column: a string unless it has another type wherever it occurs."""
    kinds = dict(known)
    for column, kind in more:
        kinds[column] = kind if kinds.get(column, kind) == kind else "string"
    return tuple(kinds.items())


def furthest(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    """Return for each list or search the slice that ends last; of two that end alike, the later one."""
    last: dict[tuple[str, str, str], Slice] = {}
    for part in slices:
        lane = part.source, part.query, part.licenses
        if lane not in last or last[lane].stop <= part.stop:
            last[lane] = part
    return tuple(last.values())
