"""Which of two images of the same picture a dataset keeps."""

from pixcore.model.comparison import Comparison, Features
from pixcore.model.images import Accepted

# A difference of pixels or of bytes below this ratio decides nothing: sizes are rounded, and so are shares.
_CLEARLY = 1.05


def second_is_better(first: Accepted, second: Accepted, found: Comparison) -> bool:
    """Return whether the second image should stay instead of the first; ``found.one`` are the first's features.

    In this order: more pixels of the picture itself, where a border does not count and an enlarged copy has no more
    than the other; nothing laid over it, no border, not enlarged; in colour; equal pixels in fewer bytes, because a
    file that was saved again without loss is larger than what it was made of; less compressed. Else the first stays.
    The rule is antisymmetric: with the roles exchanged, the same image wins, unless nothing distinguishes the two.
    """
    pixels = _pixels(first, found.one, found.other, second), _pixels(second, found.other, found.one, first)
    if (clear := _clearly(*pixels)) is not None:
        return clear
    flaws = _flaws(found.one), _flaws(found.other)
    if flaws[0] != flaws[1]:
        return flaws[1] < flaws[0]
    sizes = first.download.size, second.download.size
    if found.equal:
        return _clearly(sizes[1], sizes[0]) or False
    return (
        _clearly(
            *(size / max(1, image.width * image.height) for size, image in zip(sizes, (first, second), strict=True))
        )
        or False
    )


def _pixels(image: Accepted, own: Features, others: Features, other: Accepted) -> float:
    """Return how many pixels of the picture itself an image has."""
    pixels = image.width * image.height * (own.shared if own.framed else 1.0)
    most = other.width * other.height * (others.shared if others.framed else 1.0)
    return min(pixels, most) if own.enlarged else pixels


def _flaws(features: Features) -> tuple[int, bool]:
    """Return how many flaws of its own an image has, then whether it lost its colours."""
    return features.overlaid + features.framed + features.enlarged, features.grey


def _clearly(first: float, second: float) -> bool | None:
    """Return whether the second is clearly larger; None where neither is."""
    if second > _CLEARLY * first:
        return True
    return False if first > _CLEARLY * second else None
