"""Source: what the web downloader asks for candidates. Internal to it, and no sixth port."""

from collections.abc import Generator
from typing import Protocol

from pixcore.model import Candidate, Miss, Slice


class Source(Protocol):
    """One place on the web, or one kind of list, that proposes candidates."""

    def candidates(self, piece: Slice) -> Generator[Candidate | Miss]:
        """Yield the slice's candidates by rising position, lazily; a Miss for one that can never be fetched.

        Raises:
            SourceUnavailable: It cannot be reached; worth asking again.
            SourceChanged: It answers in a form that cannot be read.
        """
        ...
