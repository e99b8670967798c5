"""Downloader: fetch the candidates of slices into files of the work directory."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol

from pixcore.model.images import Candidate, CandidateKey, Download, Miss
from pixcore.model.requests import Slice


def do_nothing() -> None:
    """Do nothing: the default of ``Downloader.download``'s callback ``waiting``."""


def held_nowhere(_candidate: Candidate) -> str:
    """Return ``""``: the default of ``Downloader.download``'s callback ``held``."""
    return ""


class Downloader(Protocol):
    """Fetches the bytes of the candidates in slices of sources."""

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = do_nothing,
        held: Callable[[Candidate], str] = held_nowhere,
    ) -> Generator[Download | Miss]:
        """Yield one item for each candidate, lazily, in candidate order: slice by slice, each by rising position.

        Fetches ahead of its consumer by a bounded window only. When the iterator is closed, no thread, socket or
        partial file stays behind; the files of items already yielded stay in ``into`` and belong to the consumer.
        Candidates in ``skip`` are left out, so that a second call continues after a failure.

        Calls ``waiting`` several times a second while the consumer waits for the next item, in the consumer's thread.
        An exception of ``waiting`` ends the iteration.

        Calls ``held`` with each candidate whose ``checksum`` is stated, in the consumer's thread, before it is fetched.
        A text says which chunk has these bytes already: the candidate is then a permanent miss with the reason ``SEEN``
        and this detail. A downloader whose candidates cost nothing to fetch need not call it.

        One bad candidate is a ``Miss``, never an exception. Every ``Download`` is complete: its file has the size that
        it states. Fewer items than the slices have positions means that the source had no more candidates.

        Raises:
            SourceUnavailable: The source as a whole cannot be reached. Another call with ``skip`` may help.
            SourceChanged: The source's responses cannot be read, and no other slice delivered a candidate.
            InvalidRequest: This downloader does not serve the source of a slice.
            WorkspaceFull: The disk of ``into`` is full.
        """
        ...
