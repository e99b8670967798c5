"""Handle a source that has changed: record a miss, end that source, and continue with the others."""

from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from typing import TypeVar

from pixcore.errors import SourceChanged, one_line
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice

T = TypeVar("T", Candidate | Miss | Future[bytes], Download | Miss)


def mark_changed(
    slice_: Slice, stream: Generator[Candidate | Miss | Future[bytes]]
) -> Generator[Candidate | Miss | Future[bytes]]:
    """Yield the slice's stream. If its source has changed, also yield a miss for the first position not yielded yet.

    Raises:
        SourceChanged: The source has changed; raised after that miss.
    """
    next_position = slice_.start
    with closing(stream):
        try:
            for item in stream:
                if not isinstance(item, Future):
                    next_position = (item.candidate if isinstance(item, Miss) else item).key.position + 1
                yield item
        except SourceChanged as error:
            candidate = Candidate(CandidateKey(slice_.source, slice_.query, next_position), address="")
            yield Miss(candidate, MissReason.CHANGED, permanent=True, detail=one_line(error))
            raise


def skip_changed(streams: Iterable[Generator[T]], *, delivered: bool) -> Generator[T]:
    """Yield the items of one stream after another. A stream that raises SourceChanged ends; the next one follows.

    Futures and misses with the reason ``CHANGED`` do not count as delivered. ``delivered`` says whether an earlier call
    already delivered something.

    Raises:
        SourceChanged: The last one caught, if nothing was delivered.
    """
    changed: SourceChanged | None = None
    for stream in streams:
        try:
            with closing(stream):
                for item in stream:
                    delivered = delivered or _delivers(item)
                    yield item
        except SourceChanged as error:
            changed = error
    if changed and not delivered:
        raise changed


def _delivers(item: object) -> bool:
    return not (isinstance(item, Future) or (isinstance(item, Miss) and item.reason == MissReason.CHANGED))
