"""Downloader: from slices to files in the work directory."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol

from pixcore.model.images import CandidateKey, Download, Miss
from pixcore.model.requests import Slice


def at_leisure() -> None:
    """Have nothing else to do meanwhile."""


class Downloader(Protocol):
    """Gets the bytes of the candidates in slices of sources."""

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = at_leisure,
    ) -> Generator[Download | Miss]:
        """Yield one item a candidate, lazily, in candidate order: the slices in turn, each by rising position.

        Runs ahead of its consumer by a bounded window only. Closing the iterator stops it and leaves no thread,
        socket or partial file behind; what was already yielded stays in ``into`` and belongs to the consumer.
        Candidates in ``skip`` are passed over, so calling again after a failure continues.

        ``waiting`` is called, by whoever asks for the next item, several times a second while that does not come; what
        it raises ends the iteration.

        One bad candidate is a ``Miss``, never an exception. Every ``Download`` is whole: its file has the size that
        it states. Fewer items than the slices are long means that the source had no more.

        Raises:
            SourceUnavailable: The source as a whole cannot be reached; worth calling again with ``skip``.
            SourceChanged: The source answers in a form that cannot be read, and no other slice delivered.
            InvalidRequest: A slice of a source that this downloader does not serve.
            WorkspaceFull: ``into`` has no room left.
        """
        ...
