"""When two images are the same: within a chunk by bytes and by perceptual hashes, across a dataset by bytes alone.

Those of a dataset that are near are grouped and shown to people, not dropped: of the 5e11 pairs that a million images
make, thousands are near by chance.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Protocol

from attrs import field, frozen

from pixcore.model import Accepted, ChunkKey, Claim, Rejected, RejectReason
from pixcore.quality import Fingerprint, NearRule


def drop_duplicates(verdicts: Iterable[Accepted | Rejected], rule: NearRule | None) -> Generator[Accepted | Rejected]:
    """Turn each accepted image that equals an earlier accepted one into a rejection; keep order and everything else.

    Exact duplicates go by sha256; near ones by ``rule``, or not at all when it is None. The first of two twins stays.
    """
    exact: dict[str, Accepted] = {}
    kept: list[tuple[int, Accepted]] = []
    for verdict in verdicts:
        if isinstance(verdict, Rejected):
            yield verdict
        elif twin := exact.get(verdict.sha256):
            yield Rejected(verdict.download, RejectReason.DUPLICATE, f"same bytes as {twin.download.candidate.url}")
        elif rule and (twin := _near(verdict, kept, rule)):
            bits = (verdict.fingerprint.phash ^ twin.fingerprint.phash).bit_count()
            yield Rejected(
                verdict.download,
                RejectReason.NEAR_DUPLICATE,
                f"{bits} of 64 phash bits from {twin.download.candidate.url}",
            )
        else:
            exact[verdict.sha256] = verdict
            kept.append((verdict.fingerprint.phash, verdict))
            yield verdict


def _near(image: Accepted, kept: Iterable[tuple[int, Accepted]], rule: NearRule) -> Accepted | None:
    """The first of those kept, each with its phash, that the image nearly equals."""
    # the phash alone settles almost all of the hundred thousand comparisons of a chunk, without a call
    phash, most = image.fingerprint.phash, rule.phash
    for other, twin in kept:
        if (other ^ phash).bit_count() <= most and rule.holds(image.fingerprint, twin.fingerprint):
            return twin
    return None


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


@frozen
class NearGroup:
    """Images that are linked by near pairs; any two of them need not be near themselves.

    ``images`` are ordered by chunk, URL and sha256, ``pairs`` by their images in that order, the earlier one first.
    """

    images: tuple[SeenImage, ...]
    pairs: tuple[NearPair, ...]


def near_groups(pairs: Iterable[NearPair]) -> list[NearGroup]:
    """The groups that the pairs of a dataset make, ordered by their first images.

    The same pairs give the same groups, whatever their order and whichever way round each is.
    """
    ordered = sorted((_the_earlier_first(pair) for pair in pairs), key=lambda p: (_place(p.one), _place(p.other)))
    parents: dict[str, str] = {}  # by sha256, which names an image within a dataset; a group's root is its own parent
    for pair in ordered:
        parents[_root(parents, pair.other)] = _root(parents, pair.one)
    grouped: dict[str, list[NearPair]] = {}
    for pair in ordered:  # whose first one has a group's first image, so that the groups are in order as well
        grouped.setdefault(_root(parents, pair.one), []).append(pair)
    return [NearGroup(_images(group), tuple(group)) for group in grouped.values()]


def _the_earlier_first(pair: NearPair) -> NearPair:
    return pair if _place(pair.one) <= _place(pair.other) else NearPair(pair.other, pair.one)


def _place(image: SeenImage) -> tuple[int, str, str]:
    return image.chunk.id, image.url, image.sha256


def _root(parents: dict[str, str], image: SeenImage) -> str:
    root = parents.setdefault(image.sha256, image.sha256)
    while (parent := parents[root]) != root:
        parents[root] = parents[parent]  # so that long ways are walked once
        root = parent
    return root


def _images(pairs: Iterable[NearPair]) -> tuple[SeenImage, ...]:
    images = {image.sha256: image for pair in pairs for image in (pair.one, pair.other)}
    return tuple(sorted(images.values(), key=_place))


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
