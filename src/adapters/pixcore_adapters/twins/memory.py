"""A twin finder for tests. Images with near hashes are twins, so that a test chooses its twins by their hashes."""

from collections.abc import Sequence

from attrs import define, field, frozen

from pixcore.model.comparison import Comparison, Twin
from pixcore.model.images import Accepted
from pixcore.model.quality import NearRule

_MOST = 8  # candidates that are compared


@frozen
class MemoryTwinFinder:
    """Finds twins by their fingerprints. An image whose file is missing has no twin.

    Attributes:
        rule: Which hashes are near.
    """

    rule: NearRule = field(factory=NearRule)

    def open(self) -> "MemoryTwins":
        """See ``TwinFinder``."""
        return MemoryTwins(self.rule)


@define(eq=False)
class MemoryTwins:
    """The images of one attempt. See ``Twins``."""

    _rule: NearRule
    _images: list[Accepted] = field(init=False, factory=list[Accepted])

    def propose(self, images: Sequence[Accepted]) -> Sequence[Sequence[int]]:
        """See ``Twins``."""
        found = []
        for image in images:
            near = [number for number, other in enumerate(self._images) if self._same(image, other)]
            found.append(sorted(near, key=lambda number: _bits(image, self._images[number])))
            self._images.append(image)
        return found

    def confirm(self, image: Accepted, candidates: Sequence[Accepted]) -> Twin | None:
        """See ``Twins``."""
        for place, other in enumerate(candidates[:_MOST]):
            if self._same(image, other) and image.download.path.exists() and other.download.path.exists():
                return Twin(place, Comparison(same=True, agreement=100 - _bits(image, other)))
        return None

    def close(self) -> None:
        """See ``Twins``."""

    def _same(self, one: Accepted, other: Accepted) -> bool:
        return self._rule.holds(one.fingerprint, other.fingerprint)


def _bits(one: Accepted, other: Accepted) -> int:
    return (one.fingerprint.phash ^ other.fingerprint.phash).bit_count()
