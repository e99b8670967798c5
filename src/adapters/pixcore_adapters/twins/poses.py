"""Affine poses of one picture in another. Coordinates are shares of the width and height, 0 to 1.

A pose is a 2 x 3 matrix that sends each point of one picture to the point of the other that shows the same detail.
"""

import math

import numpy as np
from numpy.typing import NDArray

Pose = NDArray[np.float64]  # 2 x 3

IDENTITY: Pose = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def cropped(left: float, top: float, right: float, bottom: float) -> Pose:
    """Return the pose of a picture in its crop by these shares; negative shares are a border."""
    return np.array([[1 - left - right, 0.0, left], [0.0, 1 - top - bottom, top]])


def turned(degrees: float) -> Pose:
    """Return a rotation about the centre of a square picture."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    pose = np.array([[cosine, -sine, 0.5 * (1 - cosine + sine)], [sine, cosine, 0.5 * (1 - cosine - sine)]])
    return pose.astype(np.float64)


_SIDE, _CORNER = 0.08, 0.08

# The usual poses of copies. A copy is found if its pose is near one of them: within about half of the step to the next.
# Larger borders are found in the other direction, as crops of the picture that has the border.
PROPOSED: tuple[Pose, ...] = (
    IDENTITY,
    *(cropped(share, share, share, share) for share in (0.03, 0.06, 0.1, 0.14)),
    cropped(-0.035, -0.035, -0.035, -0.035),
    cropped(_SIDE, 0, 0, 0),
    cropped(0, _SIDE, 0, 0),
    cropped(0, 0, _SIDE, 0),
    cropped(0, 0, 0, _SIDE),
    cropped(_CORNER, _CORNER, 0, 0),
    cropped(_CORNER, 0, 0, _CORNER),
    cropped(0, _CORNER, _CORNER, 0),
    cropped(0, 0, _CORNER, _CORNER),
    turned(-2),
    turned(2),
)

PARTS = slice(6, 10)  # those of ``PROPOSED`` that leave out a strip at one side


def inverse(pose: Pose) -> Pose:
    """Return the pose of the other picture in the one."""
    return np.asarray(np.linalg.inv(_square(pose))[:2], np.float64)


def after(first: Pose, then: Pose) -> Pose:
    """Return the pose that applies ``first``, then ``then``."""
    return (_square(then) @ _square(first))[:2]


def mirrored(pose: Pose) -> Pose:
    """Return the pose between the mirror images of both pictures, given the pose between the pictures."""
    flip: Pose = np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    return after(after(flip, pose), flip)


def distance(pose: Pose) -> float:
    """Return the largest difference of an entry from the identity."""
    return float(np.abs(pose - IDENTITY).max())


def _square(pose: Pose) -> Pose:
    return np.vstack([pose, [0.0, 0.0, 1.0]])
