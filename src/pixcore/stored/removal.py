"""Delete and rename whole datasets. What is interrupted is finished by the next call."""

from contextlib import suppress

from attrs import frozen

from pixcore.errors import PlanOutdated, StoreConflict, StoreDenied
from pixcore.model.datasets import Change, ChangeKind
from pixcore.ports import StatusRepo
from pixcore.ports.datasets import Datasets
from pixcore.stored.belonging import is_card
from pixcore.stored.moving import Mover, begin, renamed

_TRIES = 3  # of moving rows while chunks change


@frozen
class Removed:
    """How many blobs were deleted, and the keys of those below the dataset's name that pixcore did not write."""

    blobs: int
    left: tuple[str, ...]


def delete_dataset(dataset: str, *, mover: Mover, datasets: Datasets) -> Removed:
    """Delete the blobs of a dataset, then its rows.

    The first step makes its pending chunks failed, so that no worker claims one. If the store refuses to delete the
    first blob, the dataset stays, with these chunks failed.

    Raises:
        InvalidRequest: There is no such dataset, a worker holds a chunk of it, or another change has not ended.
        StoreDenied: The store cannot delete.
        StoreNotFound, StoreUnavailable, StatusUnavailable: As the ports raise them.
    """
    change = datasets.begin(Change(ChangeKind.DELETE, dataset))
    first = next(mover.own(dataset), None)
    if first:
        try:
            mover.delete([first])
        except StoreDenied:
            datasets.end(change)
            raise
    blobs = mover.delete(mover.own(dataset)) + (first is not None)
    datasets.remove(change)
    # those that a worker stored although its lease had expired
    blobs += mover.delete(mover.own(dataset))
    left = mover.foreign(dataset)
    datasets.end(change)
    return Removed(blobs, tuple(left))


def rename_dataset(dataset: str, to: str, *, mover: Mover, status: StatusRepo, datasets: Datasets) -> Removed:
    """Copy the blobs of a dataset below its new name, rename its rows in one transaction, then delete the old blobs.

    So the dataset is whole under its old name until that transaction, and whole under its new name from then on. The
    card is not copied: write it again afterwards. The old blobs are deleted only if they are equal to the new ones.

    Raises:
        InvalidRequest: There is no such dataset, the new name is taken, a worker holds a chunk, or another change has
            not ended.
        PlanOutdated: Its chunks kept changing.
        StoreConflict: A blob that pixcore did not write is at the place of a new one.
        StoreNotFound, StoreDenied, StoreUnavailable, StatusUnavailable, WorkspaceFull, TransientError: As the ports
            raise them.
    """
    change = begin(Change(ChangeKind.RENAME, dataset, to), datasets, mover)
    if next(status.find(dataset), None):
        try:
            _require_deletable(change, mover)
            _move(change, mover, status, datasets)
        except (StoreConflict, StoreDenied):
            _give_up(change, mover, datasets)
            raise
    blobs = mover.delete_copied(mover.own(dataset), dataset, to)
    left = [blob.key for blob in mover.store.list(dataset)]
    datasets.end(change)
    return Removed(blobs, tuple(left))


def _move(change: Change, mover: Mover, status: StatusRepo, datasets: Datasets) -> None:
    dataset, to = change.dataset, change.other
    for tries_left in reversed(range(_TRIES)):
        attempts = {record.chunk.id: record.attempt for record in status.find(dataset)}
        mover.copy((blob for blob in mover.own(dataset) if not is_card(blob.key)), dataset, to)
        try:
            datasets.move(change, attempts, _base(mover, to))
        except PlanOutdated:
            if not tries_left:
                raise
        else:
            return


def _require_deletable(change: Change, mover: Mover) -> None:
    """Copy one blob and delete the copy: a store that cannot delete would keep the old blobs, and must refuse now.

    Raises:
        StoreDenied: The store cannot delete, or cannot store.
    """
    dataset, to = change.dataset, change.other
    if blob := next((blob for blob in mover.own(dataset) if not is_card(blob.key)), None):
        mover.copy([blob], dataset, to)
        copy = mover.find(renamed(blob.key, dataset, to))
        mover.delete([copy] if copy else [])


def _base(mover: Mover, dataset: str) -> str:
    """Return the URL of the folder of a dataset's blobs; ``""`` if there are none."""
    for blob in mover.store.list(dataset):
        return blob.url.removesuffix(f"/{blob.key.removeprefix(f'{dataset}/')}")
    return ""


def _give_up(change: Change, mover: Mover, datasets: Datasets) -> None:
    """Remove the copies of a dataset that cannot be renamed, if possible, so that it may get another name."""
    with suppress(StoreDenied):
        mover.delete(mover.own(change.other))
    datasets.end(change)
