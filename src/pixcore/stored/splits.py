"""Which part of a dataset an image is for, decided by its bytes alone, so that it is the same in every export."""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import accumulate

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.stored.near_groups import NearGroup

# as Hugging Face allows them
_NAME = re.compile(r"[A-Za-z0-9_]+")


@frozen
class Splits:
    """Named parts that make up a dataset: ``{"train": 9/10, "test": 1/10}``.

    An image belongs where its sha256, taken for a number in [0, 1), falls. So what was added to a dataset moves nothing
    that was there, and other ratios move only the images between two bounds.

    Raises:
        InvalidRequest: The ratios are not above 0 or do not make 1, or a name is no word of ASCII letters, digits and
            ``_``.
    """

    ratios: Mapping[str, Fraction]

    def __attrs_post_init__(self) -> None:
        if unfit := [name for name in self.ratios if not _NAME.fullmatch(name)]:
            raise InvalidRequest(f"a split cannot be called {unfit[0]!r}; take ASCII letters, digits and '_'")
        if empty := [name for name, ratio in self.ratios.items() if ratio <= 0]:
            raise InvalidRequest(f"split {empty[0]} would be empty; give it a ratio above 0, or leave it out")
        if (total := sum(self.ratios.values())) != 1:
            raise InvalidRequest(f"the ratios of the splits make {float(total):g} together; let them make 1")

    @classmethod
    def parse(cls, text: str) -> "Splits":
        """Read ``train=0.9,test=0.1``; a ratio may also be a fraction, such as ``1/3``.

        Raises:
            InvalidRequest: It cannot be read, or names a split twice; or as the class says.
        """
        ratios: dict[str, Fraction] = {}
        for part in text.split(","):
            name, _, ratio = (word.strip() for word in part.partition("="))
            if name in ratios:
                raise InvalidRequest(f"split {name!r} is named twice in {text!r}")
            try:
                ratios[name] = Fraction(ratio)
            except (ValueError, ZeroDivisionError) as exc:
                raise InvalidRequest(f"{part!r} is no split; write them as in train=0.9,test=0.1") from exc
        return cls(ratios)

    def place(self, sha256: str) -> str:
        """The name of the split that an image of that sha256 (hex) belongs to."""
        number = Fraction(int(sha256[:16], 16), 1 << 64)
        bounds = accumulate(self.ratios.values())
        return next(name for name, bound in zip(self.ratios, bounds, strict=True) if number < bound)


def representatives(groups: Iterable[NearGroup]) -> dict[str, str]:
    """For each image that has near-duplicates, by sha256: the image that its group is placed by, so in one split.

    It is the one with the least sha256; an image without near-duplicates stands for itself and is not in here.
    """
    found: dict[str, str] = {}
    for group in groups:
        hashes = [image.sha256 for image in group.images]
        found |= dict.fromkeys(hashes, min(hashes))
    return found
