"""Find the affine pose of one picture in another, from coarse to fine.

The search refines the pose until the other picture, warped by it, matches the first one up to brightness and contrast.
Pixels that do not match have a low weight, so that a caption or a watermark changes neither the pose nor the brightness
and the contrast. This is an iteratively reweighted, inverse compositional Lucas-Kanade search.
"""

import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pixcore_adapters.twins.measuring import likeness
from pixcore_adapters.twins.planes import Plane, blurred, grid, inside, shrunk, warp
from pixcore_adapters.twins.poses import IDENTITY, PROPOSED, Pose, after, cropped, inverse, mirrored

_COARSE = 32  # pixels of a side
_DESCRIBED = 16
_DETAIL = 12  # shortest descriptor; the picture is flat below it
_FAR = 0.3, 0.12, 0.28  # how much scale, shear and shift may differ from the identity
_MOST = np.array([[_FAR[0], _FAR[1], _FAR[2]], [_FAR[1], _FAR[0], _FAR[2]]])
_LEAST_OVERLAP = 0.45
_LIKE = 0.35  # likeness at the coarse side below which two pictures are not compared further
_SURE = 0.93  # likeness above which no other start is tried

_BORDERS = (cropped(-0.035, -0.035, -0.035, -0.035), cropped(0.033, 0.033, 0.033, 0.033))


@frozen(eq=False)
class Alignment:
    """The pose of one picture in another. ``mirrored`` means that the pose is that of the picture's mirror image."""

    pose: Pose
    mirrored: bool


@frozen(eq=False)
class Described:
    """The luma of a picture and its descriptors: one row for each proposed pose, then one for each mirrored pose."""

    luma: Plane
    rows: NDArray[np.float32]


def described(luma: Plane) -> Described:
    """Describe every proposed pose of a picture of 128 x 128 levels. Each row has length 1, or 0 if it is flat."""
    fine = blurred(shrunk(luma, 64), 1)
    rows = []
    for plane in (fine, fine[:, ::-1]):
        mean = plane.mean()
        for pose in PROPOSED:
            placed = np.where(inside(pose, 64, 0.5), warp(plane, pose), mean)
            small = shrunk(placed, _DESCRIBED)
            detail = (small - blurred(small, _DESCRIBED // 4)).ravel()
            length = float(np.sqrt(detail @ detail))
            rows.append(detail / length if length > _DETAIL else np.zeros_like(detail))
    return Described(luma, np.asarray(rows, np.float32))


def aligned(one: Described, other: Described, *, overlays: bool) -> Alignment | None:
    """Return the pose of ``one`` in ``other``, or None if they have too little in common.

    ``overlays``: brightness and contrast are those of the pixels that match, because something may be laid over one of
    the pictures. Else they are those of all pixels: the lines of a drawing do not match before it is aligned, but its
    contrast is theirs.
    """
    best, best_likeness = None, _LIKE
    small = {False: shrunk(one.luma, _COARSE)}
    small[True] = small[False][:, ::-1]
    target = shrunk(other.luma, _COARSE)
    tried: list[Alignment] = []
    for start in _starts(one, other):
        if any(start.mirrored == each.mirrored and np.allclose(start.pose, each.pose) for each in tried):
            continue
        tried.append(start)
        plane = small[start.mirrored]
        refined = _refined(blurred(plane, 1), blurred(target, 1), start.pose, 6, overlays=overlays)
        for pose in (refined, start.pose):
            if pose is not None and (found := likeness(plane, target, pose)) > best_likeness:
                best, best_likeness = Alignment(pose, start.mirrored), found
        if best_likeness > _SURE:
            break
    return best


def refined(one: Plane, other: Plane, pose: Pose, steps: Sequence[tuple[int, int]], *, overlays: bool) -> Pose | None:
    """Refine a pose at each (side, iterations) of ``steps``. Return None if the search fails.

    The sides ascend; ``iterations`` is the maximum at that side. ``overlays`` is that of ``aligned``.
    """
    for side, iterations in steps:
        found = _refined(
            blurred(shrunk(one, side), 1), blurred(shrunk(other, side), 1), pose, iterations, overlays=overlays
        )
        if found is None:
            return None
        pose = found
    return pose


def _starts(one: Described, other: Described) -> list[Alignment]:
    """Return the poses from which to start: the two likeliest proposed poses, the identity and two borders."""
    forward = one.rows @ other.rows[0]  # poses of ``one`` against ``other`` as it is
    backward = other.rows @ one.rows[0]
    likely = np.argsort(-np.concatenate([forward, backward]), kind="stable")[:2].tolist()
    count = len(PROPOSED)
    starts = []
    for place in likely:
        way, flipped = place % (2 * count), place % (2 * count) >= count
        pose = PROPOSED[way % count]
        if place < 2 * count:
            pose = inverse(pose)
        elif flipped:
            pose = mirrored(pose)  # from ``one`` in the mirrored ``other`` to the mirrored ``one`` in ``other``
        starts.append(Alignment(pose, flipped))
    first = starts[0].mirrored
    return [*starts, Alignment(IDENTITY, first), *(Alignment(border, first) for border in _BORDERS)]


def _refined(one: Plane, other: Plane, pose: Pose, iterations: int, *, overlays: bool) -> Pose | None:
    side = len(one)
    down, across = np.gradient(one)
    x, y = grid(side)
    slopes = np.stack([across * x, across * y, across, down * x, down * y, down], -1).reshape(-1, 6) * side
    wanted = one.ravel()
    weights: Plane = np.ones_like(wanted)
    for _ in range(iterations):
        common = inside(pose, side, 0.5).ravel()
        if common.sum() < _LEAST_OVERLAP * side * side:
            return None
        placed = warp(other, pose).ravel()
        for _ in range(1 + overlays):  # the weights follow from the difference, and the difference from the weights
            error = _difference(placed, wanted, weights * common if overlays else common.astype(np.float32))
            spread = 1.5 * float(np.median(np.abs(error[common]))) + 1.5
            weights = np.asarray(1 / (1 + (error / spread) ** 2), np.float32)
        weighted = slopes * (common * weights)[:, None]
        normal = weighted.T @ slopes
        normal[np.diag_indices(6)] = 1.002 * np.diag(normal) + 1e-3 * np.trace(normal) / 6
        try:
            step = np.linalg.solve(normal, weighted.T @ error)
        except np.linalg.LinAlgError:
            return None
        change = IDENTITY + np.clip(step, -0.08, 0.08).reshape(2, 3)
        pose = after(inverse(change), pose)
        if (np.abs(pose - IDENTITY) > _MOST).any():
            return None
        if np.abs(step).max() < 0.15 / side:
            break
    return pose


def _difference(placed: Plane, wanted: Plane, weights: Plane) -> Plane:
    """Return the difference of two planes, after the first is given the weighted mean and contrast of the second."""
    total = float(weights.sum()) + 1e-6
    centred = [plane - float(weights @ plane) / total for plane in (placed, wanted)]
    varied, reference = (math.sqrt(float(weights @ (plane * plane)) / total) for plane in centred)
    return centred[0] * min(3.0, max(0.3, reference / (varied + 1e-3))) - centred[1]
