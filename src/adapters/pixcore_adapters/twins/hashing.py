"""Compute two hashes of every pose of a picture, for a group of pictures at once.

A pose of a small grey picture, and the sums that a hash compares, are linear maps of its pixels. So one matrix product
gives the sums of all 16 poses for the whole group. The mirrored poses need no product: mirroring changes the sign of
the odd cosines and the order of the cells.

The matrix holds whole numbers of at most 127. The product of pixels and matrix is exact in 32-bit floats, because
128 x 127 x 1,024 is less than 2 ** 24. So the hashes depend neither on the machine nor on how pictures are grouped.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pixcore_adapters.twins.poses import PROPOSED, Pose

SIDE = 32  # pixels of a small grey picture
WAYS = 2 * len(PROPOSED)  # every pose, then every mirrored pose; the first is the picture itself

Hashes = NDArray[np.uint64]
_Floats = NDArray[np.float32]

_LOW = 8  # cosines each way
_DOWN, _ACROSS = 8, 9  # cells, each compared with its right neighbour
_SUMS = _LOW * _LOW + _DOWN * _ACROSS
_MOST = 127

# A product of this many rows and pictures is too small for BLAS libraries to start threads. Their threads, which wait
# in a busy loop, would cost ten times the CPU of these products.
_ROWS, _PICTURES = 8, 32

# Largest difference, in levels of grey, of neighbouring cells that count as equal. So plain areas give the same bits in
# every pose.
_EQUAL = 0.5

_MIRRORED_SIGNS = np.where(np.arange(_LOW) % 2, -1, 1).astype(np.float32)


def hashes(greys: NDArray[np.uint8]) -> tuple[Hashes, Hashes]:
    """Return the phashes and the dhashes of n pictures of ``SIDE`` x ``SIDE`` levels, each n x ``WAYS``."""
    parts = [_hashes(greys[start : start + _PICTURES]) for start in range(0, len(greys), _PICTURES)]
    phashes, dhashes = zip(*parts, strict=True)
    return np.concatenate(phashes), np.concatenate(dhashes)


def _hashes(greys: NDArray[np.uint8]) -> tuple[Hashes, Hashes]:
    matrix, scale = _matrix()
    count = len(greys)
    pixels = np.ascontiguousarray(greys.reshape(count, -1).T, np.float32) - 128
    sums = np.matmul(matrix, pixels).reshape(-1, count).T.reshape(count, len(PROPOSED), _SUMS)
    cosines = sums[..., : _LOW * _LOW].reshape(count, -1, _LOW, _LOW)
    steps = np.diff(sums[..., _LOW * _LOW :].reshape(count, -1, _DOWN, _ACROSS), axis=-1)
    both = np.concatenate([cosines, cosines * _MIRRORED_SIGNS], axis=1).reshape(count, WAYS, -1)
    rising = np.concatenate([steps, -steps[..., ::-1]], axis=1).reshape(count, WAYS, -1) > _EQUAL * scale
    middle = np.partition(both, (31, 32), axis=-1)[..., 31:33].sum(-1, keepdims=True)
    return _packed(2 * both > middle), _packed(rising)


def _packed(bits: NDArray[np.bool_]) -> Hashes:
    return np.packbits(bits, axis=-1).view(np.uint64)[..., 0]


@cache
def _matrix() -> tuple[_Floats, float]:
    """Return the matrix as groups x rows x pixels, and the factor by which it multiplies the mean of a cell."""
    cosines = np.cos(np.pi * np.outer(np.arange(_LOW), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
    cells = np.kron(_shares(_DOWN), _shares(_ACROSS))
    scale = _MOST / float(cells.max())
    sums = np.vstack([_MOST * np.kron(cosines, cosines), scale * cells])
    rows = np.vstack([_posed(sums, pose) for pose in PROPOSED])
    whole = np.rint(rows).clip(-_MOST, _MOST).astype(np.float32)
    return whole.reshape(-1, _ROWS, SIDE * SIDE), scale


def _shares(cells: int) -> NDArray[np.float64]:
    """Return the share of each cell that each of ``SIDE`` pixels covers, cells x pixels; each row adds up to 1."""
    edges = np.arange(cells + 1) * SIDE / cells
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) * cells / SIDE


def _posed(sums: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    """Return the rows that compute these sums of a picture's pose from the pixels of the picture itself.

    A pose samples bilinearly; a pixel outside the picture takes the picture's mean.
    """
    centres = (np.arange(SIDE) + 0.5) / SIDE
    y, x = (each.ravel() for each in np.meshgrid(centres, centres, indexing="ij"))
    across, down = (row[0] * x + row[1] * y + row[2] for row in pose)
    outside = (across <= 0) | (across >= 1) | (down <= 0) | (down >= 1)
    left, above = across * SIDE - 0.5, down * SIDE - 0.5
    taken, weights = [], []
    for row in (np.floor(above), np.floor(above) + 1):
        for column in (np.floor(left), np.floor(left) + 1):
            taken.append(np.clip(row, 0, SIDE - 1) * SIDE + np.clip(column, 0, SIDE - 1))
            weights.append(np.where(outside, 0, (1 - np.abs(left - column)) * (1 - np.abs(above - row))))
    pixels, shares = np.concatenate(taken).astype(np.intp), np.concatenate(weights)
    placed = [np.bincount(pixels, np.tile(row, 4) * shares, SIDE * SIDE) for row in sums]
    means = sums[:, outside].sum(1) / (SIDE * SIDE)
    return np.asarray(np.stack(placed) + means[:, None], np.float64)
