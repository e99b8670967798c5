"""Find placeholders among the images that a dataset stores, by the outcomes of its candidates."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.model.chunks import ChunkRecord
from pixcore.model.images import COPIES
from pixcore.model.outcomes import ACCEPTED
from pixcore.ports.seen_images import url_key
from pixcore.stored.archives import StoredArchives
from pixcore.stored.outcomes import outcome_lines


def placeholders(records: Iterable[ChunkRecord], archives: StoredArchives, limit: int) -> dict[str, int]:
    """Return how many URLs led to the bytes of each image to which at least ``limit`` URLs led, by its sha256.

    Memory holds the URLs of copies, not those of all images. Chunks whose outcomes are missing or damaged count for
    nothing.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As the store and the local disk raise them.
    """
    records = list(records)
    urls: dict[str, set[str]] = {}
    for sha256, url in _led(records, archives, COPIES.__contains__):
        urls.setdefault(sha256, set()).add(url_key(url))
    many = {sha256: keys for sha256, keys in urls.items() if len(keys) >= limit - 1}
    if many:
        for sha256, url in _led(records, archives, ACCEPTED.__eq__):
            if sha256 in many:
                many[sha256].add(url_key(url))
    return {sha256: len(keys) for sha256, keys in many.items() if len(keys) >= limit}


def _led(
    records: Iterable[ChunkRecord], archives: StoredArchives, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Yield the sha256 and the URL of each candidate from the web whose outcome is ``wanted``."""
    for record in records:
        with suppress(InvalidRequest, StoreNotFound):
            for line in outcome_lines(record, archives, b'"sha256": '):
                if wanted(str(line["outcome"])) and "://" in _url(line):
                    yield str(line["sha256"]), _url(line)


def _url(line: Mapping[str, object]) -> str:
    return str(line.get("url", ""))
