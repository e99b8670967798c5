"""Listings: the entries of a source at planning time, kept in the blob store, so that positions never change.

A listing is JSON lines. Its name is the sha256 of all lines. It is stored in parts, so that a chunk reads only the
parts of its slice and memory is bounded. A later listing of the same query only appends entries.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

from attrs import field, frozen

from pixcore.chunk.workspace import local_disk, temporary_file
from pixcore.errors import StoreConflict, StoreDenied, StoreNotFound
from pixcore.model.requests import Slice
from pixcore.planning.plan import Lane
from pixcore.ports import BlobStore

_PART = 10_000  # lines

Grow = Callable[[Iterator[Any]], Iterable[Any]]
"""Takes the entries listed before. Returns all present entries, beginning with those, in order."""


@frozen
class Listing:
    """The entries of a query, in a temporary file.

    Attributes:
        lane: Covers the entries after the slices already planned.
        summary: How the source was read, as JSON can hold it; empty if there is nothing to say.
        below: The path of a folder below the current one; empty for others.
    """

    lane: Lane
    _file: IO[bytes]
    summary: Mapping[str, Any] = field(factory=dict[str, Any])
    below: str = ""

    def keep(self, store: BlobStore) -> None:
        """Store the listing under the key that the lane's slices name. Idempotent; parts that are stored are not sent.

        Raises:
            StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: See ``BlobStore.put``.
            WorkspaceFull, TransientError: A temporary file cannot be written.
        """
        self._file.seek(0)
        with local_disk("writing a listing", temporary=True):
            # the last part is always shorter than the others, maybe empty: readers recognise the end by that
            last = self.lane.stop // _PART
            stored = _sha256_of(store, _part_key(self.lane.snapshot, last)) is not None  # it is stored after the others
            for number in range(last + 1):
                _put_part(store, _part_key(self.lane.snapshot, number), islice(self._file, _PART), maybe_stored=stored)
            if self.below:
                with suppress(StoreConflict):  # the same folder was listed from another one
                    line = json.dumps({"below": self.below}).encode() + b"\n"
                    _put_part(store, _place_key(self.lane.snapshot, self.lane.query), [line])


@contextmanager
def new_listing(
    source: str,
    query: str,
    grow: Grow,
    *,
    store: BlobStore,
    dataset: str,
    planned: Iterable[Slice],
    licenses: str = "",
    below: str = "",
    read_as: Callable[[], tuple[tuple[tuple[str, str], ...], Mapping[str, Any]]] = lambda: ((), {}),
) -> Generator[Listing]:
    """List a query's entries into a temporary file, which exists until the block ends. Uses bounded memory.

    Stores nothing; call ``Listing.keep`` for that. The last slice ``planned`` of the query, limited to the same
    ``licenses``, names the earlier listing. ``read_as`` is called after the last entry; it returns the columns of the
    entries, as for a ``Lane``, and the summary.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable: The earlier listing cannot be read.
        WorkspaceFull, TransientError: The temporary file cannot be written.
    """
    lane = (source, query, licenses)
    ours = [slice_ for slice_ in planned if (slice_.source, slice_.query, slice_.licenses) == lane]
    last = max(ours, key=lambda slice_: slice_.stop, default=None)
    known = read(store, last.snapshot) if last else iter(())
    with temporary_file() as file:
        with local_disk("writing a listing", temporary=True):
            sha256, entries = _write_lines((json.dumps(entry).encode() + b"\n" for entry in grow(known)), file)
            file.flush()
        snapshot = f"{dataset}/lists/{sha256}" if dataset else f"lists/{sha256}"
        columns, summary = read_as()
        start = last.stop if last else 0
        yield Listing(Lane(source, query, start, entries, snapshot, licenses, columns), file, summary, below)


def read(store: BlobStore, snapshot: str, start: int = 0, stop: int | None = None) -> Iterator[Any]:
    """Yield the entries ``[start, stop)`` of a stored listing in order; fewer if it is shorter than ``stop``.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable: See ``BlobStore.open``.
    """
    position = start
    while stop is None or position < stop:
        number, first_line = divmod(position, _PART)
        with store.open(_part_key(snapshot, number)) as lines:
            for line in islice(lines, first_line, None if stop is None else first_line + stop - position):
                yield json.loads(line)
                position += 1
        if position < (number + 1) * _PART:  # only the last part is short
            return


def path_below(store: BlobStore, part: Slice) -> str:
    """Return the path of a folder below the one that was the current one when it was listed; ``""`` if it has none.

    Raises:
        StoreDenied, StoreUnavailable: See ``BlobStore.open``.
    """
    try:
        with closing(store.open(_place_key(part.snapshot, part.query))) as blob:
            return str(json.loads(blob.readline())["below"])
    except StoreNotFound:
        return ""


def _place_key(snapshot: str, query: str) -> str:
    # two folders may hold the same names
    return f"{snapshot}/{hashlib.sha256(os.fsencode(query)).hexdigest()[:16]}.json"


def _write_lines(lines: Iterable[bytes], file: IO[bytes]) -> tuple[str, int]:
    """Write the lines. Return their sha256 (hex) and their number."""
    digest, count = hashlib.sha256(), 0
    for line in lines:
        file.write(line)
        digest.update(line)
        count += 1
    return digest.hexdigest(), count


def _part_key(snapshot: str, number: int) -> str:
    return f"{snapshot}/{number:06d}.jsonl"


def _sha256_of(store: BlobStore, key: str) -> str | None:
    """Return the sha256 of a blob; None if there is none, or if it must not be read: who may write it may store it."""
    try:
        return store.head(key).sha256
    except (StoreNotFound, StoreDenied):
        return None


def _put_part(store: BlobStore, key: str, lines: Iterable[bytes], *, maybe_stored: bool = False) -> None:
    with tempfile.NamedTemporaryFile() as file:
        sha256, _ = _write_lines(lines, file)
        if maybe_stored and _sha256_of(store, key) == sha256:
            return
        size = file.tell()
        file.flush()
        try:
            store.put(key, Path(file.name), sha256=sha256, size=size, content_type="application/jsonl", metadata={})
        except StoreConflict:
            if store.head(key).sha256 != sha256:
                raise
