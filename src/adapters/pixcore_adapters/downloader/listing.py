"""What a source held when a dataset was planned, fixed in the blob store: positions mean the same for ever.

A listing is JSON lines, named by the sha256 of them all and cut into parts, so that a chunk reads its own piece
without the rest, and no list is too long for memory. A later listing of the same query only grows at its end.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from attrs import frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import StoreConflict
from pixcore.model.requests import Slice
from pixcore.planning.plan import Lane
from pixcore.ports import BlobStore

_PART = 10_000  # lines

# Gives all entries a query has now, beginning with the known ones.
Grow = Callable[[Iterator[Any]], Iterable[Any]]


@frozen
class Listing:
    """What a query holds, set down in a temporary file; ``lane`` is what of it lies behind what is planned already."""

    lane: Lane
    _file: IO[bytes]

    def keep(self, store: BlobStore) -> None:
        """Put it into the store, where the slices of the lane will look for it. Idempotent.

        Raises:
            StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: As the store says.
            WorkspaceFull, TransientError: No room for a temporary file.
        """
        self._file.seek(0)
        with local_disk("writing a listing"):
            # the last part is always short, if need be empty: so its end is never mistaken for a missing part
            for number in range(self.lane.stop // _PART + 1):
                _put(store, _part(self.lane.snapshot, number), islice(self._file, _PART))


@contextmanager
def listed(
    source: str, query: str, grow: Grow, *, store: BlobStore, dataset: str, planned: Iterable[Slice]
) -> Generator[Listing]:
    """Set down what a query holds, for as long as the block lasts; nothing is kept yet. In bounded memory.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable: What is known of the query cannot be read.
        WorkspaceFull, TransientError: No room for a temporary file.
    """
    ours = [piece for piece in planned if (piece.source, piece.query) == (source, query)]
    last = max(ours, key=lambda piece: piece.stop, default=None)
    known = read(store, last.snapshot) if last else iter(())
    with tempfile.TemporaryFile() as file:
        with local_disk("writing a listing"):
            sha256, entries = _set_down((json.dumps(entry).encode() + b"\n" for entry in grow(known)), file)
        snapshot = f"{dataset}/lists/{sha256}" if dataset else f"lists/{sha256}"
        yield Listing(Lane(source, query, start=last.stop if last else 0, stop=entries, snapshot=snapshot), file)


def read(store: BlobStore, snapshot: str, start: int = 0, stop: int | None = None) -> Iterator[Any]:
    """Yield the entries ``[start, stop)`` of a listing that was kept; fewer where it ends before.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable: As the store says.
    """
    position = start
    while stop is None or position < stop:
        number, behind = divmod(position, _PART)
        with store.open(_part(snapshot, number)) as lines:
            for line in islice(lines, behind, None if stop is None else behind + stop - position):
                yield json.loads(line)
                position += 1
        if position < (number + 1) * _PART:  # only the last part is short
            return


def _set_down(lines: Iterable[bytes], file: IO[bytes]) -> tuple[str, int]:
    digest, number = hashlib.sha256(), 0
    for line in lines:
        file.write(line)
        digest.update(line)
        number += 1
    return digest.hexdigest(), number


def _part(snapshot: str, number: int) -> str:
    return f"{snapshot}/{number:06d}.jsonl"


def _put(store: BlobStore, key: str, lines: Iterable[bytes]) -> None:
    with tempfile.NamedTemporaryFile() as file:
        sha256, _ = _set_down(lines, file)
        size = file.tell()
        file.flush()
        try:
            store.put(key, Path(file.name), sha256=sha256, size=size, content_type="application/jsonl", metadata={})
        except StoreConflict:
            if store.head(key).sha256 != sha256:
                raise
