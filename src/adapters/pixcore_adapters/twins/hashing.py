"""Two hashes of every pose of a picture, for a group of pictures at once.

A pose of a small grey picture, and the sums that a hash compares, are linear maps of its pixels: one matrix product
gives the sums of all 16 poses for the whole group. The mirrored poses need no product of their own: mirroring changes
the sign of the odd cosines and the order of the cells.

The matrix holds whole numbers of at most 127. The product of pixels and matrix is exact in 32-bit floats, because
128 x 127 x 1,024 is less than 2 ** 24. So the hashes depend neither on the machine nor on how pictures are grouped.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pixcore_adapters.twins.poses import PROPOSED, Pose

SIDE = 32  # pixels of a small grey picture
WAYS = 2 * len(PROPOSED)  # every pose as it is, then every pose mirrored; the first is the picture itself

Hashes = NDArray[np.uint64]
_Matrix = NDArray[np.float32]

_LOW = 8  # cosines each way
_DOWN, _ACROSS = 8, 9  # cells, each compared with its right neighbour
_SUMS = _LOW * _LOW + _DOWN * _ACROSS
_MOST = 127

# Neighbouring cells count as equal up to so many levels of grey: plain areas give the same bits in every pose.
_EQUAL = 0.5

_MIRRORED_SIGNS = np.where(np.arange(_LOW) % 2, -1, 1).astype(np.float32)


def hashes(greys: NDArray[np.uint8]) -> tuple[Hashes, Hashes]:
    """Return the phashes and the dhashes of n pictures of ``SIDE`` x ``SIDE`` levels, each n x ``WAYS``."""
    matrix, scale = _matrix()
    pixels = greys.reshape(len(greys), -1).astype(np.float32) - 128
    sums = (pixels @ matrix).reshape(len(greys), len(PROPOSED), _SUMS)
    cosines = sums[..., : _LOW * _LOW].reshape(len(greys), -1, _LOW, _LOW)
    cells = sums[..., _LOW * _LOW :].reshape(len(greys), -1, _DOWN, _ACROSS) / scale
    both = np.concatenate([cosines, cosines * _MIRRORED_SIGNS], axis=1).reshape(len(greys), WAYS, -1)
    steps = np.diff(cells, axis=-1)
    rising = np.concatenate([steps, -steps[..., ::-1]], axis=1).reshape(len(greys), WAYS, -1) > _EQUAL
    middle = np.partition(both, (31, 32), axis=-1)[..., 31:33].sum(-1, keepdims=True)
    return _packed(2 * both > middle), _packed(rising)


def _packed(bits: NDArray[np.bool_]) -> Hashes:
    return np.packbits(bits, axis=-1).view(np.uint64)[..., 0]


@cache
def _matrix() -> tuple[_Matrix, float]:
    """Return the matrix, pixels x sums, and by how much it multiplies the mean of a cell."""
    cosines = np.cos(np.pi * np.outer(np.arange(_LOW), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
    cells = np.kron(_shares(_DOWN), _shares(_ACROSS))
    scale = _MOST / float(cells.max())
    sums = np.vstack([_MOST * np.kron(cosines, cosines), scale * cells]).astype(np.float32)

    def part(pose: Pose) -> _Matrix:
        if pose[0, 1] or pose[1, 0]:
            return sums @ _sampling(pose)
        down, across = _line(pose[1, 1], pose[1, 2]), _line(pose[0, 0], pose[0, 2])
        outside = 1 - np.outer(down.sum(1), across.sum(1)).ravel()  # these pixels take the picture's mean
        placed = np.vstack(
            [
                _MOST * np.kron(cosines @ down, cosines @ across),
                scale * np.kron(_shares(_DOWN) @ down, _shares(_ACROSS) @ across),
            ]
        )
        return np.asarray(placed + (sums @ outside)[:, None] / outside.size, np.float32)

    return np.rint(np.vstack([part(pose) for pose in PROPOSED])).clip(-_MOST, _MOST).T.copy(), scale


def _shares(cells: int) -> NDArray[np.float64]:
    """Return how much of each cell each of ``SIDE`` pixels covers, cells x pixels; a cell's shares add up to 1."""
    edges = np.arange(cells + 1) * SIDE / cells
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) * cells / SIDE


def _line(scale: float, shift: float) -> NDArray[np.float64]:
    """Return linear sampling along one side as a matrix; rows outside the picture are zero."""
    places = scale * (np.arange(SIDE) + 0.5) / SIDE + shift
    weights = 1 - np.abs((places * SIDE - 0.5).clip(0, SIDE - 1)[:, None] - np.arange(SIDE))
    weights[(places <= 0) | (places >= 1)] = 0
    return weights.clip(0)


def _sampling(pose: Pose) -> _Matrix:
    """Return bilinear sampling at a pose as a matrix; a pixel outside the picture takes the picture's mean."""
    centres = (np.arange(SIDE) + 0.5) / SIDE
    y, x = (each.ravel() for each in np.meshgrid(centres, centres, indexing="ij"))
    across, down = (row[0] * x + row[1] * y + row[2] for row in pose)
    outside = (across <= 0) | (across >= 1) | (down <= 0) | (down >= 1)
    matrix = np.zeros((SIDE * SIDE, SIDE * SIDE), np.float32)
    rows = np.arange(SIDE * SIDE)
    left, above = across * SIDE - 0.5, down * SIDE - 0.5
    for column in (np.floor(left), np.floor(left) + 1):
        for row in (np.floor(above), np.floor(above) + 1):
            weight = (1 - np.abs(left - column)) * (1 - np.abs(above - row))
            taken = np.clip(row, 0, SIDE - 1) * SIDE + np.clip(column, 0, SIDE - 1)
            matrix[rows, taken.astype(np.intp)] += weight
    matrix[outside] = 1 / (SIDE * SIDE)
    return matrix
