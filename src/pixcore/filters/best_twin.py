"""Which of two images of the same picture a dataset keeps."""

import math

from pixcore.model.comparison import Comparison, Features
from pixcore.model.images import Accepted, Rejected, RejectReason

# Pixels and bytes are compared in steps of this ratio, because sizes are rounded and small differences mean nothing.
# Steps give a transitive order, which a tolerance would not: the best of many copies stays, whatever their order.
_STEP = math.log(1.05)

_FRAME = 0.95  # factor for the pixels of a framed picture, so that an imprecise edge gives it no advantage


def worse(image: Accepted, better: Accepted, found: Comparison) -> Rejected:
    """Return the rejection of an image whose twin stays; ``found.one`` are the image's features."""
    return Rejected(image.download, RejectReason.NEAR_DUPLICATE, found.sentence(), image, better)


def second_is_better(first: Accepted, second: Accepted, found: Comparison) -> bool:
    """Return whether the second image should stay instead of the first; ``found.one`` are the first's features.

    The first of these criteria in which the images differ decides:

    1. More pixels of the picture itself. A border does not count, and an enlarged copy has no more than the other.
    2. Fewer flaws: something laid over it, a border, enlarged.
    3. In colour.
    4. If their pixels are equal, fewer bytes: saving a file again without loss makes it larger. Else more bytes a
       pixel: the image is less compressed.

    If no criterion decides, the first stays. With the roles exchanged, the same image is better.
    """
    pixels = _pixels(first, found.one), _pixels(second, found.other)
    keys = (
        _key(first, min(pixels) if found.one.enlarged else pixels[0], found.one, equal=found.equal),
        _key(second, min(pixels) if found.other.enlarged else pixels[1], found.other, equal=found.equal),
    )
    return keys[1] > keys[0]


def _pixels(image: Accepted, features: Features) -> float:
    """Return how many pixels of the picture itself an image has."""
    return image.width * image.height * (_FRAME * features.shared if features.framed else 1.0)


def _key(image: Accepted, pixels: float, features: Features, *, equal: bool) -> tuple[int, int, bool, int]:
    """Return the sort key of an image: the greater key is the better image."""
    flaws = features.overlaid + features.framed + features.enlarged
    size = image.download.size
    return _steps(pixels), -flaws, not features.grey, -_steps(size) if equal else _steps(size / pixels)


def _steps(value: float) -> int:
    return math.floor(math.log(max(value, 1e-9)) / _STEP)
