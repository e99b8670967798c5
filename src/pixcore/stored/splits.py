"""Divide a dataset into splits. An image's bytes alone decide its split, so it is the same in every export."""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import accumulate

from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.ports.seen_images import NearGroup

# The split names that Hugging Face allows.
_NAME = re.compile(r"[A-Za-z0-9_]+")


@frozen
class Splits:
    """Named parts of a dataset and their ratios, such as ``{"train": 9/10, "test": 1/10}``.

    An image's sha256, read as a number in [0, 1), decides its split. So additions to a dataset move no existing image,
    and a change of the ratios moves only the images between the old and the new bounds.

    Raises:
        InvalidRequest: A ratio is not above 0, the ratios do not add up to 1, or a name is not made of ASCII letters,
            digits and ``_``.
    """

    ratios: Mapping[str, Fraction]

    def __attrs_post_init__(self) -> None:
        if invalid := [name for name in self.ratios if not _NAME.fullmatch(name)]:
            raise InvalidRequest(f"the split name {invalid[0]!r} is invalid; use ASCII letters, digits and '_'")
        if empty := [name for name, ratio in self.ratios.items() if ratio <= 0]:
            raise InvalidRequest(f"split {empty[0]} would be empty; give it a ratio above 0, or leave it out")
        if (total := sum(self.ratios.values())) != 1:
            raise InvalidRequest(f"the ratios of the splits add up to {float(total):g}; they must add up to 1")

    @classmethod
    def parse(cls, text: str) -> "Splits":
        """Parse ``train=0.9,test=0.1``. A ratio may also be a fraction, such as ``1/3``.

        Raises:
            InvalidRequest: The text cannot be parsed or names a split twice; or as the class raises it.
        """
        ratios: dict[str, Fraction] = {}
        for part in text.split(","):
            name, _, ratio = (word.strip() for word in part.partition("="))
            if name in ratios:
                raise InvalidRequest(f"split {name!r} is named twice in {text!r}")
            try:
                ratios[name] = Fraction(ratio)
            except (ValueError, ZeroDivisionError) as exc:
                raise InvalidRequest(f"{part!r} is not a split; write splits as in train=0.9,test=0.1") from exc
        return cls(ratios)

    def place(self, sha256: str) -> str:
        """Return the name of the split to which an image with that sha256 (hex) belongs."""
        number = Fraction(int(sha256[:16], 16), 1 << 64)
        bounds = accumulate(self.ratios.values())
        return next(name for name, bound in zip(self.ratios, bounds, strict=True) if number < bound)


def representatives(groups: Iterable[NearGroup]) -> dict[str, str]:
    """Map the sha256 of each image that has near-duplicates to the sha256 that decides its group's split.

    This is the smallest sha256 of the group, so a whole group is in one split. Groups that share an image, because they
    are those of different rules, count as one. Images without near-duplicates are not in the result: their own sha256
    decides.
    """
    # a disjoint-set forest: each root is the smallest sha256 of its set, and its own parent
    parents: dict[str, str] = {}
    for group in groups:
        roots = {_root(parents, image.sha256) for image in group.images}
        parents |= dict.fromkeys(roots, min(roots))
    return {sha256: _root(parents, sha256) for sha256 in parents}


def _root(parents: dict[str, str], sha256: str) -> str:
    root = parents.setdefault(sha256, sha256)
    while (parent := parents[root]) != root:
        parents[root] = parents[parent]  # halves the path, so that later searches are short
        root = parent
    return root
