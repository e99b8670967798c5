"""Datasets: list, delete, rename and copy whole datasets in the status database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from pixcore.model.datasets import Change, CopiedChunk, DatasetSummary


class Datasets(Protocol):
    """What concerns whole datasets in the status database. Each method may raise StatusUnavailable.

    A change of a dataset takes several steps, because its blobs are in a store. It is recorded by ``begin`` before the
    first step and removed by ``end`` after the last one, so that an interrupted change is known and can be finished.
    Until then ``StatusRepo.ensure`` creates no chunk of the datasets that it names.
    """

    def summaries(self) -> Iterator[DatasetSummary]:
        """Yield every dataset by its name, those included that are only being copied. Changes nothing."""
        ...

    def changes(self) -> Sequence[Change]:
        """Return the changes that have begun and not ended, by the names of their datasets."""
        ...

    def begin(self, change: Change) -> Change:
        """Record a change; return it with the ids that it reserves for ``chunks`` chunks. Atomic and idempotent.

        If the same change has begun already, that one is returned. A deletion also replaces a copy to its dataset that
        has not ended. It makes the pending chunks of the dataset failed, so that no worker claims them.

        Raises:
            InvalidRequest: The dataset, or that to copy, does not exist; the new name is taken; a worker holds a chunk
                of a dataset that is deleted or renamed; or another change of one of the datasets has not ended.
                Nothing was recorded.
        """
        ...

    def move(self, change: Change, attempts: Mapping[int, int], base: str) -> None:
        """Give all rows of a renamed dataset its new name, in one transaction.

        Chunks keep their ids. Slices name the listings, and results the archives, below the new name. ``attempts`` has
        the number of the last attempt at each chunk, by id, whose blobs are there already. ``base`` is the URL of the
        dataset's blobs there, without a final ``/``.

        Raises:
            PlanOutdated: A chunk has another attempt by now: copy its blobs again. Nothing was changed.
            InvalidRequest: A worker holds a chunk. Nothing was changed.
        """
        ...

    def add(self, change: Change, chunks: Iterable[CopiedChunk]) -> None:
        """Create the completed chunks of a copy with its images and decisions, and end the change: all or nothing.

        Raises:
            InvalidRequest: The change has been given up, or the dataset has chunks by now.
        """
        ...

    def remove(self, change: Change) -> None:
        """Remove all rows of a dataset that is deleted: chunks, attempts, lists, images and decisions. Idempotent.

        If it is interrupted, some rows may be left, and the next call removes them.

        Raises:
            InvalidRequest: A worker holds a chunk; that chunk stays.
        """
        ...

    def end(self, change: Change) -> None:
        """Remove the record of a change, and what is left of a renamed dataset's images. Idempotent."""
        ...
