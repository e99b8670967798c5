"""SeenImages: remember the images of a whole dataset, so that equal bytes are kept once and near pairs are reported.

Near pairs across chunks are never dropped, because hashes alone cannot decide that: a million images make 5e11 pairs,
and thousands of those are near by chance.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from pixcore.model.chunks import ChunkKey, Claim
from pixcore.model.images import Accepted
from pixcore.model.quality import Fingerprint, NearRule


def _without_surrogates(url: str) -> str:
    # A file name that is not UTF-8 has lone surrogates, which databases refuse. Rows escape them in the same way.
    return url.encode("utf-8", "backslashreplace").decode()


def url_key(url: str) -> str:
    """Return the key by which URLs are told apart when they are counted: 32 hex digits."""
    return hashlib.sha256(_without_surrogates(url).encode()).hexdigest()[:32]


@frozen
class SeenImage:
    """An image of a chunk of a dataset. ``url`` is written as in the image's row."""

    chunk: ChunkKey
    sha256: str
    url: str = field(converter=_without_surrogates)
    fingerprint: Fingerprint


@frozen
class NearPair:
    """Two images of one dataset that are near-duplicates."""

    one: SeenImage
    other: SeenImage

    @property
    def phash(self) -> int:
        """The number of bits, of 64, in which the phashes differ."""
        return (self.one.fingerprint.phash ^ self.other.fingerprint.phash).bit_count()

    @property
    def dhash(self) -> int:
        """The number of bits, of 64, in which the dhashes differ."""
        return (self.one.fingerprint.dhash ^ self.other.fingerprint.dhash).bit_count()


# Pairs of one group that are listed: a thousand images with equal hashes make half a million.
LISTED_PAIRS = 1000


@frozen
class NearGroup:
    """Images that are linked by near pairs. Two images of a group need not be a near pair themselves.

    Attributes:
        images: All of them, ordered by chunk, URL and sha256.
        pairs: The nearest pairs, at most ``LISTED_PAIRS``, ordered by their images, of which the earlier is first.
        count: The number of all pairs.
    """

    images: tuple[SeenImage, ...]
    pairs: tuple[NearPair, ...]
    count: int

    @property
    def unlisted(self) -> int:
        """The number of pairs that are not listed."""
        return self.count - len(self.pairs)


class SeenImages(Protocol):
    """Remembers which chunk of a dataset has which bytes, and which images are near-duplicates.

    A hold belongs to one attempt at a chunk. It ends when that attempt ends, unless the attempt completed the chunk. So
    a chunk that failed, was released or claimed again holds nothing, and a rerun never rejects its own images.
    """

    def hold(self, claim: Claim, images: Sequence[Accepted]) -> list[ChunkKey | None]:
        """Hold the images for the claim's attempt. Return, for each, None if it holds it now, else the chunk that does.

        An image is identified by its sha256; its URL and fingerprint are stored with it. Idempotent for one attempt.
        Atomic for each image: of two chunks that call at once, one holds it. Chunks without a dataset share nothing.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        ...

    def stated(self, claim: Claim, checksum: str) -> ChunkKey | None:
        """Return which other chunk of the dataset holds an image whose candidate states this checksum; None if none.

        ``checksum`` is as in a ``Candidate``. An image whose candidate states another kind of checksum is not found.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        ...

    def keep(self, claim: Claim, since: int) -> None:
        """Pass the holds of the chunk's attempts from ``since`` on to the claim's attempt. Idempotent.

        For an attempt that begins with the images of an earlier one. An image that another chunk holds by now stays
        with that chunk.
        """
        ...

    def release(self, claim: Claim, images: Sequence[Accepted] | None = None) -> None:
        """End the holds of the claim's attempt on these images, by default on all. Idempotent."""
        ...

    def led(self, dataset: str, urls: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
        """Record which URLs of a dataset led to bytes that it has already. Return all URLs that are known to, then.

        URLs are given and returned as ``url_key``; bytes are given by their sha256. The URL of the image that a chunk
        holds is one of them. A record ends with its dataset. Idempotent. Costs nothing for images that are new.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        ...

    def holders(self, dataset: str, images: Collection[str]) -> dict[str, ChunkKey]:
        """Return which completed chunk of a dataset holds each of these images, by sha256; without the others.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        ...

    def near(self, dataset: str, rule: NearRule) -> Iterator[NearGroup]:
        """Yield the groups of near-duplicates among the images that the dataset's completed chunks hold.

        The groups are ordered by their first images. Memory grows with the images, not with the pairs. Changes nothing.
        A chunk that is completed or opened again meanwhile may or may not count.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        ...
