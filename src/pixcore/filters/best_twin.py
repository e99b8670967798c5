"""Which of two images of the same picture a dataset keeps."""

import math

from pixcore.model.comparison import Comparison, Features
from pixcore.model.images import Accepted

# Pixels and bytes count in steps of this ratio: less decides nothing, because sizes are rounded. Steps instead of a
# tolerance, so that of many copies none drives out a better one through others between them.
_STEP = math.log(1.05)

_FRAME = 0.95  # share of its pixels that a framed picture counts, so that an imprecise edge gives it no more


def second_is_better(first: Accepted, second: Accepted, found: Comparison) -> bool:
    """Return whether the second image should stay instead of the first; ``found.one`` are the first's features.

    In this order: more pixels of the picture itself, where a border does not count and an enlarged copy has no more
    than the other; nothing laid over it, no border, not enlarged; in colour; equal pixels in fewer bytes, because a
    file that was saved again without loss is larger than what it was made of; more bytes a pixel, which means less
    compressed. Else the first stays. Of two images, the same one is better with the roles exchanged.
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
    """Return what is compared: the greater is better."""
    flaws = features.overlaid + features.framed + features.enlarged
    size = image.download.size
    return _steps(pixels), -flaws, not features.grey, -_steps(size) if equal else _steps(size / pixels)


def _steps(value: float) -> int:
    return math.floor(math.log(max(value, 1e-9)) / _STEP)
