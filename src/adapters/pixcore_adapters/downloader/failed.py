"""Handle a source that fails: record a miss, end that source, and continue with the others."""

from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from typing import TypeVar

from pixcore.errors import SourceChanged, SourceUnavailable, one_line
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.fetch.pages import PageAnswer

_FAILED = frozenset({MissReason.CHANGED, MissReason.UNAVAILABLE})

T = TypeVar("T", Candidate | Miss | Future[PageAnswer], Download | Miss)


def mark_failed(
    slice_: Slice, stream: Generator[Candidate | Miss | Future[PageAnswer]]
) -> Generator[Candidate | Miss | Future[PageAnswer]]:
    """Yield the slice's stream. If its source fails, also yield a miss for the first position not yielded yet.

    The miss says why candidates are lacking if the other sources suffice and so no error is raised.

    Raises:
        SourceChanged, SourceUnavailable: The source has failed; raised after that miss.
    """
    next_position = slice_.start
    with closing(stream):
        try:
            for item in stream:
                if not isinstance(item, Future):
                    next_position = (item.candidate if isinstance(item, Miss) else item).key.position + 1
                yield item
        except (SourceChanged, SourceUnavailable) as error:
            candidate = Candidate(CandidateKey(slice_.source, slice_.query, next_position), address="")
            changed = isinstance(error, SourceChanged)
            reason = MissReason.CHANGED if changed else MissReason.UNAVAILABLE
            yield Miss(candidate, reason, permanent=changed, detail=one_line(error))
            raise


def skip_failed(streams: Iterable[Generator[T]], *, delivered: bool) -> Generator[T]:
    """Yield the items of one stream after another. A stream whose source fails ends; the next one follows.

    Futures and misses for a source that failed do not count as delivered. ``delivered`` says whether an earlier call
    already delivered something.

    Raises:
        SourceUnavailable: The first one caught, after all other streams: a later call may deliver what is missing.
        SourceChanged: The last one caught, if nothing was delivered.
    """
    changed: SourceChanged | None = None
    unavailable: SourceUnavailable | None = None
    for stream in streams:
        try:
            with closing(stream):
                for item in stream:
                    delivered = delivered or _delivers(item)
                    yield item
        except SourceChanged as error:
            changed = error
        except SourceUnavailable as error:
            unavailable = unavailable or error
    if unavailable:
        raise unavailable
    if changed and not delivered:
        raise changed


def _delivers(item: object) -> bool:
    return not (isinstance(item, Future) or (isinstance(item, Miss) and item.reason in _FAILED))
