"""Square planes of pixels: warp, shrink and blur them."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixcore_adapters.twins.poses import Pose

Plane = NDArray[np.float32]  # n x n, one channel


@cache
def grid(side: int) -> tuple[Plane, Plane]:
    """Return x and y of each pixel's centre, each ``side`` x ``side``."""
    centres = ((np.arange(side) + 0.5) / side).astype(np.float32)
    x = np.tile(centres, (side, 1))
    return x, x.T


def warp(plane: Plane, pose: Pose) -> Plane:
    """Sample a square plane where the pose sends each pixel, bilinearly; zero outside."""
    side = len(plane)
    (a, b, c), (d, e, f) = pose.tolist()
    placed = Image.fromarray(np.ascontiguousarray(plane, np.float32)).transform(
        (side, side), Image.Transform.AFFINE, (a, b, c * side, d, e, f * side), Image.Resampling.BILINEAR
    )
    return np.asarray(placed, np.float32)


def inside(pose: Pose, side: int, margin: float) -> NDArray[np.bool_]:
    """Mark the pixels that the pose sends into the other picture, at least ``margin`` pixels from its edge."""
    x, y = grid(side)
    (a, b, c), (d, e, f) = pose.tolist()
    across, down = a * x + b * y + c, d * x + e * y + f
    edge = margin / side
    common: NDArray[np.bool_] = (across > edge) & (across < 1 - edge) & (down > edge) & (down < 1 - edge)
    return common


def shrunk(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Shrink a square picture by means over blocks. ``side`` must divide the side of the picture."""
    step = len(picture) // side
    if step == 1:
        return picture
    blocks = picture.reshape(side, step, side, step, *picture.shape[2:])
    return np.asarray(blocks.mean((1, 3), dtype=np.float32), np.float32)


def blurred(plane: Plane, radius: int) -> Plane:
    """Return the mean over a box of ``2 * radius + 1`` pixels, with the plane mirrored at its edges."""
    width = 2 * radius + 1
    for axis in (0, 1):
        padding = [(radius + 1, radius) if axis == each else (0, 0) for each in (0, 1)]
        sums = np.cumsum(np.pad(plane, padding, mode="reflect"), axis, dtype=np.float64)
        plane = np.asarray((sums[width:] - sums[:-width] if axis == 0 else sums[:, width:] - sums[:, :-width]) / width)
    return plane.astype(np.float32)
