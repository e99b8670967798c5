"""What a source that has changed means: a miss that says so, an end to that source, and none to those beside it."""

from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from typing import TypeVar

from pixcore.errors import SourceChanged, one_line
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice

T = TypeVar("T", Candidate | Miss | Future[bytes], Download | Miss)


def noting_changes(
    piece: Slice, stream: Generator[Candidate | Miss | Future[bytes]]
) -> Generator[Candidate | Miss | Future[bytes]]:
    """Yield the slice's stream; where its source has changed, the first position that is lacking becomes a miss.

    Raises:
        SourceChanged: It did, after that miss.
    """
    lacking = piece.start
    with closing(stream):
        try:
            for item in stream:
                if not isinstance(item, Future):
                    lacking = (item.candidate if isinstance(item, Miss) else item).key.position + 1
                yield item
        except SourceChanged as error:
            candidate = Candidate(CandidateKey(piece.source, piece.query, lacking), url="")
            yield Miss(candidate, MissReason.CHANGED, permanent=True, detail=one_line(error))
            raise


def past_changed(streams: Iterable[Generator[T]], *, delivered: bool) -> Generator[T]:
    """Yield the streams' items in turn; one that raises SourceChanged ends, and the next goes on.

    Futures, which are to be waited for, and misses that say that a source has changed deliver nothing.

    Raises:
        SourceChanged: The last that was met, if no stream delivered anything and nothing was ``delivered`` before.
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
