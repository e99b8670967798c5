"""SeenImages: the dataset-wide memory of images. Equal bytes are kept once; near pairs are reported, never dropped.

A hash alone must not drop an image of another chunk: a million images make 5e11 pairs, and thousands of those are near
by chance.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from attrs import field, frozen

from pixcore.model.chunks import ChunkKey, Claim
from pixcore.model.images import Accepted
from pixcore.model.quality import Fingerprint, NearRule


def _as_in_the_row(url: str) -> str:
    # a file name that is not UTF-8 has lone surrogates, which no database takes
    return url.encode("utf-8", "backslashreplace").decode()


@frozen
class SeenImage:
    """An image that a chunk of a dataset has; ``url`` is written as in the image's row."""

    chunk: ChunkKey
    sha256: str
    url: str = field(converter=_as_in_the_row)
    fingerprint: Fingerprint


@frozen
class NearPair:
    """Two images of one dataset that are near-duplicates."""

    one: SeenImage
    other: SeenImage

    @property
    def phash(self) -> int:
        """In how many of 64 bits the phashes differ."""
        return (self.one.fingerprint.phash ^ self.other.fingerprint.phash).bit_count()

    @property
    def dhash(self) -> int:
        """In how many of 64 bits the dhashes differ."""
        return (self.one.fingerprint.dhash ^ self.other.fingerprint.dhash).bit_count()


class SeenImages(Protocol):
    """The dataset-wide memory of images: who has which bytes, and which of them nearly look alike.

    A hold belongs to the attempt of a chunk that took it. It ends with that attempt, unless it completed: a chunk
    that failed, was released or claimed anew holds nothing, so that a rerun never rejects its own images.
    """

    def hold(self, claim: Claim, images: Sequence[Accepted]) -> list[ChunkKey | None]:
        """Take the images for the claim's attempt; for each, None when it holds it now, else the chunk that does.

        An image is remembered by its sha256, with its URL and fingerprint. Idempotent for one attempt. Atomic for each
        image: of two chunks that ask at once, one gets it. Chunks outside any dataset share nothing.

        Raises:
            StatusUnavailable: The memory cannot be reached.
        """
        ...

    def release(self, claim: Claim) -> None:
        """Give up everything that the claim's attempt holds. Idempotent."""
        ...

    def near(self, dataset: str, rule: NearRule) -> Iterator[NearPair]:
        """The near-duplicates among what the dataset's completed chunks hold, within a chunk and across them.

        All of them, each pair once, in no particular order. Changes nothing. A chunk that is completed or opened
        again meanwhile may or may not count.

        Raises:
            StatusUnavailable: The memory cannot be reached.
        """
        ...
