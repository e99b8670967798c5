"""Drop duplicates within a chunk: images with equal bytes, and images whose perceptual hashes are near."""

from collections.abc import Generator, Iterable
from functools import cache
from math import comb

from attrs import define, field

from pixcore.model.decisions import Decided
from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.quality import NearRule

_PARTS, _BITS = 4, 16  # of a phash


def drop_duplicates(
    verdicts: Iterable[Accepted | Rejected], rule: NearRule | None, decided: Decided = Decided()
) -> Generator[Accepted | Rejected]:
    """Reject each accepted image that duplicates an earlier one; keep the order and all other verdicts.

    Exact duplicates have the same sha256. Near-duplicates are those that ``rule`` finds; None finds none. The first of
    two duplicates stays. An image that ``decided`` includes is nobody's near-duplicate.
    """
    exact: dict[str, Accepted] = {}
    kept = _Kept(rule) if rule else None
    for verdict in verdicts:
        if isinstance(verdict, Rejected):
            yield verdict
        elif twin := exact.get(verdict.sha256):
            detail = f"same bytes as {twin.download.candidate.url}"
            yield Rejected(verdict.download, RejectReason.DUPLICATE, detail, verdict, twin)
        elif decided.includes(verdict.sha256):
            exact[verdict.sha256] = verdict
            yield verdict
        elif kept and (twin := kept.near(verdict)):
            bits = (verdict.fingerprint.phash ^ twin.fingerprint.phash).bit_count()
            detail = f"differs from {twin.download.candidate.url} in {bits} of 64 phash bits"
            yield Rejected(verdict.download, RejectReason.NEAR_DUPLICATE, detail, verdict, twin)
        else:
            exact[verdict.sha256] = verdict
            if kept:
                kept.add(verdict)
            yield verdict


@define
class _Kept:
    """The images that were kept and are not flat, which may have near-duplicates.

    Few images are compared with each other. Many are looked up by parts of their phashes, as in
    ``pixcore_adapters.near_search``: if two phashes are within the rule's distance, one of their four parts differs by
    at most its radius. So a further image costs at most about as many steps as there are values within the radii: 428
    for the default rule.
    """

    rule: NearRule
    _images: list[Accepted] = field(init=False, factory=list[Accepted])
    _phashes: list[int] = field(init=False, factory=list[int])
    _parts: tuple[dict[int, list[int]], ...] = field(init=False, default=())  # places of images by the part's value
    _radii: tuple[int, ...] = field(init=False)
    _few: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        # as even as possible; each plus one, they add up to the distance plus one
        self._radii = tuple((self.rule.phash + 1 + place) // _PARTS - 1 for place in range(_PARTS))
        self._few = sum(comb(_BITS, bits) for radius in self._radii for bits in range(radius + 1))

    def add(self, image: Accepted) -> None:
        """Add an image."""
        if image.fingerprint.flat:
            return
        self._images.append(image)
        self._phashes.append(image.fingerprint.phash)
        if self._parts:
            self._index(len(self._images) - 1)
        elif len(self._images) > self._few:
            self._parts = tuple({} for _ in range(_PARTS))
            for place in range(len(self._images)):
                self._index(place)

    def near(self, image: Accepted) -> Accepted | None:
        """Return the first image that is a near-duplicate of this one, or None."""
        if image.fingerprint.flat:
            return None
        # comparing the phashes inline, without calling rule.holds, decides almost all comparisons
        phash, most = image.fingerprint.phash, self.rule.phash
        places: Iterable[int] = self._looked_up(phash) if self._parts else range(len(self._images))
        for place in places:
            if (self._phashes[place] ^ phash).bit_count() <= most:
                twin = self._images[place]
                if self.rule.holds(image.fingerprint, twin.fingerprint):
                    return twin
        return None

    def _index(self, place: int) -> None:
        for part, value in zip(self._parts, _values(self._phashes[place]), strict=True):
            part.setdefault(value, []).append(place)

    def _looked_up(self, phash: int) -> list[int]:
        """Return the places of the images of which a part is within its radius, in order."""
        found = set[int]()
        for part, value, radius in zip(self._parts, _values(phash), self._radii, strict=True):
            for difference in _differences(radius):
                found.update(part.get(value ^ difference, ()))
        return sorted(found)


def _values(phash: int) -> tuple[int, ...]:
    return tuple(phash >> (_BITS * part) & ((1 << _BITS) - 1) for part in range(_PARTS))


@cache
def _differences(radius: int) -> tuple[int, ...]:
    """Return the values of a part with at most ``radius`` bits."""
    return tuple(value for value in range(1 << _BITS) if value.bit_count() <= radius)
