"""Describe how two copies of a picture differ: cropped, framed, overlaid, grey, enlarged, or with equal pixels."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixcore.model.comparison import Features
from pixcore_adapters.twins.measuring import Figures, Picture
from pixcore_adapters.twins.planes import blurred, inside
from pixcore_adapters.twins.poses import Pose, inverse
from pixcore_adapters.twins.seeing import Middle

_WIDEST = 0.97  # share of a picture that the other one shows, above which it has no frame
_PLAIN = 6  # levels by which a plain ground may vary
_MOSTLY = 0.6  # smallest plain share of a frame; the rest may hold a caption
_STEP, _STEPS = 12, 0.4  # levels between a frame and the picture beside it, and the share of its edge with that step
_GREY, _COLOURED = 5, 10

_ROUNDED = 2  # levels by which decoders differ
_EDGE = 8  # pixels at the edge that resizing twice changes

# The loss of a picture that is scaled down by a factor and enlarged again, over the loss at twice the factor, below
# which the picture counts as enlarged. Measured on 20 photographs: three quarters of those enlarged by 1.37 are below,
# and two thirds of those enlarged by 2. Of photographs that were not enlarged, one in twenty is below beside a copy
# that is smaller by 1.37, and none beside smaller copies.
_LITTLE = 0.12


def features(one: Picture, other: Picture, pose: Pose, found: Figures) -> tuple[Features, Features]:
    """Describe both pictures, aligned by ``pose``; ``found`` are their figures."""
    placed = (one, pose), (other, inverse(pose))
    chroma = [float(np.percentile(np.hypot(each[..., 1] - 128, each[..., 2] - 128), 95)) for each in (one, other)]
    described = []
    for number, (picture, way) in enumerate(placed):
        common = inside(way, len(picture), 0.0)
        shared = float(common.mean())
        described.append(
            Features(
                shared=shared,
                framed=shared < _WIDEST and _is_frame(picture, common),
                overlaid=found.laid_on == number + 1,
                grey=chroma[number] < _GREY and chroma[1 - number] >= _COLOURED,
            )
        )
    return described[0], described[1]


def _is_frame(picture: Picture, common: NDArray[np.bool_]) -> bool:
    """Return whether all outside the common part is mostly of one colour, and ends at the edge of that part."""
    rest = picture[~common]
    ground = np.median(rest, axis=0)
    if (np.abs(rest - ground).max(axis=1) <= _PLAIN).mean() < _MOSTLY:
        return False
    distance = blurred(common.astype(np.float32), 4)
    beside = common & (distance < 0.75)  # noqa: PLR2004 (a seam of about four pixels along straight edges)
    if not beside.any():
        return False
    return bool((np.abs(picture[beside] - ground).max(axis=1) > _STEP).mean() >= _STEPS)


def equal(one: Middle, other: Middle) -> bool:
    """Return whether two pictures have equal pixels in the middle, up to rounding."""
    return (one.width, one.height) == (other.width, other.height) and _near(
        *(np.asarray(each.pixels) for each in (one, other))
    )


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Return whether two pictures of 384 x 384 pixels are equal up to rounding. Then they need no alignment."""
    return _near(one, other)


def _near(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return int((np.maximum(one, other) - np.minimum(one, other)).max()) <= _ROUNDED


def is_enlarged(picture: Middle, ratio: float) -> bool:
    """Return whether a picture has no finer detail than a copy that shows the same with ``ratio`` times fewer pixels.

    The detail of a photograph decreases evenly with its size. That of an enlarged picture ends at the size of the
    other one's pixels.
    """
    factor = math.sqrt(ratio)
    return _lost(picture.pixels, factor) < _LITTLE * _lost(picture.pixels, 2 * factor)


def _lost(picture: Image.Image, factor: float) -> float:
    """Scale a picture down by the factor and enlarge it again; return the mean square of the difference."""
    small = max(1, round(picture.width / factor)), max(1, round(picture.height / factor))
    lanczos = Image.Resampling.LANCZOS
    again = picture.resize(small, lanczos).resize(picture.size, lanczos)
    lost = np.square(np.asarray(picture, np.float32) - np.asarray(again, np.float32))
    return float(lost[_EDGE:-_EDGE, _EDGE:-_EDGE].mean()) if min(lost.shape) > 2 * _EDGE else float(lost.mean())
