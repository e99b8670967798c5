"""Delete and copy the blobs of whole datasets, several at a time."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice

from attrs import frozen

from pixcore.chunk.fetching import copy_blob
from pixcore.chunk.publish import status_of
from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.errors import InvalidRequest, StoreConflict, StoreNotFound
from pixcore.model.archives import Blob
from pixcore.model.datasets import Change, ChangeKind
from pixcore.ports import BlobStore
from pixcore.ports.datasets import Datasets
from pixcore.stored.belonging import blobs_of, is_card

_BATCH = 1000  # blobs; bounds memory


@frozen
class Mover:
    """Deletes and copies blobs of a store.

    Attributes:
        store: The store.
        identity: That of the status database; see ``blobs_of``.
        done: Called after each blob.
        policy: How often a request is tried.
        sleep: Waits that many seconds between tries.
        at_once: How many blobs are copied or deleted at the same time.
    """

    store: BlobStore
    identity: str
    done: Callable[[], None] = lambda: None
    policy: RetryPolicy = Policies().upload
    sleep: Callable[[float], None] = time.sleep
    at_once: int = 8

    def own(self, dataset: str) -> Iterator[Blob]:
        """Yield the blobs that pixcore wrote for a dataset, by rising key."""
        return (blob for blob, is_own in blobs_of(dataset, self.store, self.identity) if is_own)

    def foreign(self, dataset: str) -> list[str]:
        """Return the keys of the blobs below a dataset's name that pixcore did not write for it."""
        return [blob.key for blob, is_own in blobs_of(dataset, self.store, self.identity) if not is_own]

    def delete(self, blobs: Iterable[Blob]) -> int:
        """Delete blobs; return how many. Idempotent.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.delete`` raises them.
        """
        return self._each(blobs, self._delete)

    def delete_copied(self, blobs: Iterable[Blob], dataset: str, to: str) -> int:
        """Delete the blobs of a dataset that have equal copies below ``to``, and its card; return how many. Idempotent.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.delete`` raises them.
        """

        def delete(blob: Blob) -> bool:
            copy = self.find(renamed(blob.key, dataset, to))
            return (is_card(blob.key) or (copy is not None and _is_equal(copy, blob))) and self._delete(blob)

        return self._each(blobs, delete)

    def copy(self, blobs: Iterable[Blob], dataset: str, to: str) -> int:
        """Store each blob of a dataset below the name ``to`` too, with its metadata; return how many. Idempotent.

        A copy that an earlier call left, and that differs by now, is replaced. The server copies if the store has a
        method ``prepare_copy``.

        Raises:
            StoreConflict: A blob that pixcore did not write is at the place; it stays.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As the store and the local disk
                raise them.
        """
        return self._each(blobs, lambda blob: self._copy(blob, renamed(blob.key, dataset, to)))

    def find(self, key: str) -> Blob | None:
        """Return the blob of that key; None if there is none."""
        with suppress(StoreNotFound):
            return self.again(self.store.head, key)
        return None

    def _delete(self, blob: Blob) -> bool:
        self.again(self.store.delete, blob.key)
        return True

    def _copy(self, blob: Blob, key: str) -> bool:
        existing = self.find(key)
        if existing and _is_equal(existing, blob):
            return False
        if existing and status_of(existing) not in ("", self.identity):
            raise StoreConflict(f"{existing.url} was not written by pixcore; move it away, or choose another name")
        if existing:
            self.again(self.store.delete, key)
        copying: Callable[[str, str], Callable[[], Blob]] | None = getattr(self.store, "prepare_copy", None)
        copy = self.again(copying, blob.key, key) if copying else partial(copy_blob, self.store, blob.key, key)
        try:
            self.again(copy)
        except StoreConflict:  # the response to an earlier try was lost
            stored = self.find(key)
            if not (stored and _is_equal(stored, blob)):
                raise
        return True

    def _each(self, blobs: Iterable[Blob], handle: Callable[[Blob], bool]) -> int:
        def one(blob: Blob) -> bool:
            handled = handle(blob)
            self.done()
            return handled

        count, remaining = 0, iter(blobs)
        with ThreadPoolExecutor(self.at_once) as pool:
            while batch := list(islice(remaining, _BATCH)):
                count += sum(pool.map(one, batch))
        return count

    @property
    def again(self) -> Callable[..., Blob]:
        """A function that calls another one with its arguments, several times if a retry may help."""
        return retrying(self.policy, self.sleep)


def begin(change: Change, datasets: Datasets, mover: Mover) -> Change:
    """Begin a change that makes a dataset of a new name, or go on with it.

    Refuse a name below which the store holds blobs.

    Raises:
        InvalidRequest: The store does, or as ``Datasets.begin`` raises it.
        StoreNotFound, StoreDenied, StoreUnavailable, StatusUnavailable: As the ports raise them.
    """
    goes_on = any(change.is_same(other) for other in datasets.changes())
    begun, name = datasets.begin(change), change.other if change.kind is ChangeKind.RENAME else change.dataset
    if not goes_on and (blob := next(iter(mover.store.list(name)), None)):
        datasets.end(begun)
        raise InvalidRequest(f"the store has blobs below {name}/, such as {blob.key}; choose another name")
    return begun


def renamed(key: str, dataset: str, to: str) -> str:
    """Return the key of a dataset's blob below the name ``to``."""
    return f"{to}/{key.removeprefix(f'{dataset}/')}"


def _is_equal(one: Blob, other: Blob) -> bool:
    """Return whether two blobs have the same bytes."""
    return (one.size, one.sha256) == (other.size, other.sha256)
