"""Find the twin of one image among a few candidates by comparing their files. Runs in the child process."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from attrs import define, evolve, field

from pixcore.model.comparison import Comparison, Twin
from pixcore_adapters.twins.comparing import Look, Prepared, coarse_look, fine_look
from pixcore_adapters.twins.features import alike, equal, is_enlarged
from pixcore_adapters.twins.seeing import Middle, see, see_middle

_KEPT = 256  # pictures that are cached, at most 1.5 MB each
_FINE_LOOKS = 2  # of one image
_ENLARGED = 1.1  # ratio of the pixels of what both show, from which the larger copy may be an enlarged one


@define(eq=False)
class Finder:
    """Compares files. Caches the loaded pictures by path, so a path must always name the same file.

    Attributes:
        formats: Pillow's names of the formats that may be opened.
    """

    formats: tuple[str, ...]
    _loaded: OrderedDict[Path, Prepared | None] = field(factory=OrderedDict[Path, "Prepared | None"])
    _middle: Callable[[Path], Middle] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._middle = lru_cache(_KEPT)(partial(see_middle, formats=self.formats))

    def find(self, image: Path, candidates: Sequence[Path]) -> Twin | None:
        """Return the likeliest candidate that is the same picture, or None.

        A candidate that is equal at 384 pixels a side is a twin without further comparison. Else align all candidates
        with the image at 128 pixels a side, and compare the two likeliest at 384. A file that cannot be read has no
        twin.
        """
        one = self._load(image)
        if one is None:
            return None
        others: list[tuple[int, Prepared]] = []
        for place, candidate in enumerate(candidates):
            other = self._load(candidate)
            # of animations and documents with the same cover, only those with as many frames can be copies
            if other and other.frames == one.frames:
                if alike(one.fine, other.fine):
                    return Twin(place, self._in_full(Comparison(True, 100), image, candidate))
                others.append((place, other))
        looks: list[tuple[int, Prepared, Look]] = []
        for place, other in others:
            if (look := coarse_look(one, other)) and look.promising:
                looks.append((place, other, look))
        looks.sort(key=lambda each: -each[2].figures.likeness)
        for place, other, look in looks[:_FINE_LOOKS]:
            comparison = fine_look(one, other, look)
            if comparison.same:
                return Twin(place, self._in_full(comparison, image, candidates[place]))
        return None

    def _load(self, path: Path) -> Prepared | None:
        if path in self._loaded:
            self._loaded.move_to_end(path)
            return self._loaded[path]
        try:
            seen = see(path, self.formats)
            picture = Prepared(seen.pixels, (seen.width, seen.height), seen.frames)
        except Exception:  # noqa: BLE001 (Pillow raises OSError, SyntaxError and more; the file may also be gone)
            picture = None
        self._loaded[path] = picture
        if len(self._loaded) > _KEPT:
            self._loaded.popitem(last=False)
        return picture

    def _in_full(self, comparison: Comparison, image: Path, other: Path) -> Comparison:
        """Add the features that need the full pictures: whether they are equal, or one is the other enlarged."""
        try:
            one, two = self._middle(image), self._middle(other)
        except Exception:  # noqa: BLE001 (as in _load; the comparison so far stays valid)
            return comparison
        # A crop has fewer pixels, but not of the part that both show.
        ratio = one.width * one.height * comparison.one.shared / (two.width * two.height * comparison.other.shared)
        if ratio > _ENLARGED:
            return evolve(comparison, one=evolve(comparison.one, enlarged=is_enlarged(one, ratio)))
        if ratio < 1 / _ENLARGED:
            return evolve(comparison, other=evolve(comparison.other, enlarged=is_enlarged(two, 1 / ratio)))
        return evolve(comparison, equal=not comparison.mirrored and equal(one, two))
