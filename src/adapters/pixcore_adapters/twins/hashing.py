"""Compute two hashes of every pose of a picture, for a group of pictures at once.

The sums that the hashes compare are linear maps of the pixels of a small grey picture. A pose that only crops and
scales moves rows and columns independently of each other, so its sums are the product ``rows x picture x columns`` of
narrow matrices. Rotated pictures are drawn first. The mirrored poses need no product: mirroring changes the sign of the
odd cosines and the order of the cells.

All factors are whole numbers, so small that every sum is exact: below 2 ** 24 in 32-bit and 2 ** 53 in 64-bit floats.
So the hashes depend neither on the machine nor on how pictures are grouped.
"""

from functools import cache

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pixcore_adapters.twins.poses import IDENTITY, PROPOSED, Pose

SIDE = 32  # pixels of a small grey picture
WAYS = 2 * len(PROPOSED)  # every pose, then every mirrored pose; the first is the picture itself

Hashes = NDArray[np.uint64]
_Line = tuple[float, float]  # how a pose moves the rows, or the columns: the scale and the shift
_Floats = NDArray[np.float32]
_Doubles = NDArray[np.float64]

_STRAIGHT = [pose for pose in PROPOSED if not pose[0, 1] and not pose[1, 0]]
_TURNED = [pose for pose in PROPOSED if pose[0, 1] or pose[1, 0]]

_LOW = 8  # cosines each way
_DOWN, _ACROSS = 8, 9  # cells, each compared with its right neighbour
_COSINE = 1 << 10  # the factor of a cosine of 1, each way
_CELL = 1 << 12  # the sum of the factors of a cell, each way
_WEIGHT = 1 << 8  # the sum of the weights of a drawn pixel

_GROUP = 16  # pictures whose sums stay in the caches

# Largest difference, in levels of grey, of neighbouring cells that count as equal. So plain areas give the same bits in
# every pose.
_EQUAL = 0.5

_CENTRES = (np.arange(SIDE) + 0.5) / SIDE
_MIRRORED_SIGNS = np.where(np.arange(_LOW) % 2, -1, 1)


def hashes(greys: NDArray[np.uint8]) -> tuple[Hashes, Hashes]:
    """Return the phashes and the dhashes of n pictures of ``SIDE`` x ``SIDE`` levels, each n x ``WAYS``."""
    parts = [_hashes(greys[start : start + _GROUP]) for start in range(0, len(greys), _GROUP)]
    phashes, dhashes = zip(*parts, strict=True)
    return np.concatenate(phashes), np.concatenate(dhashes)


def _hashes(greys: NDArray[np.uint8]) -> tuple[Hashes, Hashes]:
    pixels = greys.astype(np.float32) - 128
    means = np.rint(pixels.mean((1, 2), dtype=np.float64))
    turned = _sums(_drawn(pixels, means), np.repeat(means, len(_TURNED)), _upright())
    count = len(greys)
    sums = np.concatenate([_sums(pixels, means, _straight()), turned.reshape(count, -1, *turned.shape[2:])], axis=1)
    cosines, cells = sums[..., :_LOW, :_LOW], sums[..., _LOW:, _LOW:]
    steps = cells[..., 1:] - cells[..., :-1]
    both = np.concatenate([cosines, cosines * _MIRRORED_SIGNS], axis=1).reshape(count, WAYS, -1)
    rising = np.concatenate([steps, -steps[..., ::-1]], axis=1).reshape(count, WAYS, -1) > _EQUAL * _CELL * _CELL
    middle = np.sort(both, axis=-1)[..., 31:33].sum(-1, keepdims=True)  # takes a seventh of the time of np.partition
    return _packed(2 * both > middle), _packed(rising)


def _packed(bits: NDArray[np.bool_]) -> Hashes:
    return np.packbits(bits, axis=-1).view(np.uint64)[..., 0]


# -- straight poses ----------------------------------------------------------------------------------------------------


@frozen(eq=False)
class _Lines:
    """The factors that turn the pixels of a picture into the sums of straight poses.

    Attributes:
        rows: The factors of the rows, for cosines and then for cells. Poses that move the rows equally share them.
        ways: Which of them each pose has.
        columns: The factors of the columns of each pose, for cosines and then for cells.
        outside: The factors of the mean, which a pose has instead of the pixels outside the picture.
    """

    rows: _Floats  # ways x (_LOW + _DOWN) x SIDE
    ways: list[int]
    columns: _Doubles  # poses x SIDE x (_LOW + _ACROSS)
    outside: _Doubles  # poses x (_LOW + _DOWN) x (_LOW + _ACROSS)


def _sums(pixels: _Floats, means: _Doubles, lines: _Lines) -> _Doubles:
    """Return the sums of each pose: pictures x poses x (_LOW + _DOWN) x (_LOW + _ACROSS).

    The cosines are the first ``_LOW`` each way, the cells are the others each way. The rest is of no use, but one
    product of all takes less time than two.
    """
    moved = np.matmul(lines.rows, pixels[:, None]).astype(np.float64)
    return np.asarray(np.matmul(moved[:, lines.ways], lines.columns) + means[:, None, None, None] * lines.outside)


@cache
def _straight() -> _Lines:
    return _lines(_STRAIGHT)


@cache
def _upright() -> _Lines:
    return _lines([IDENTITY])


def _lines(poses: list[Pose]) -> _Lines:
    cosines = _COSINE * np.cos(np.pi * np.outer(np.arange(_LOW), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
    rows, columns = (np.vstack([cosines, _CELL * _shares(cells)]) for cells in (_DOWN, _ACROSS))
    down, across = ([(float(pose[axis, axis]), float(pose[axis, 2])) for pose in poses] for axis in (1, 0))
    distinct = list(dict.fromkeys(down))
    taken = [_taken(*line) for line in distinct]
    outside = [
        np.outer(rows.sum(1), columns.sum(1)) - np.outer(rows @ _taken(*y).sum(1), columns @ _taken(*x).sum(1))
        for y, x in zip(down, across, strict=True)
    ]
    return _Lines(
        np.stack([np.rint(rows @ each) for each in taken]).astype(np.float32),
        [distinct.index(line) for line in down],
        np.stack([np.rint(columns @ _taken(*line)).T for line in across]),
        np.rint(np.stack(outside)),
    )


def _shares(cells: int) -> _Doubles:
    """Return the share of each cell that each of ``SIDE`` pixels covers, cells x pixels; each row adds up to 1."""
    edges = np.arange(cells + 1) * SIDE / cells
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) * cells / SIDE


def _taken(scale: float, shift: float) -> _Doubles:
    """Return the share that each pixel of a line has in each pixel of a pose, bilinear; none outside the picture."""
    places = scale * _CENTRES + shift
    first = np.floor(places * SIDE - 0.5)
    shares = np.zeros((SIDE, SIDE))
    for pixel in (first, first + 1):
        weights = np.where((places > 0) & (places < 1), 1 - np.abs(places * SIDE - 0.5 - pixel), 0)
        np.add.at(shares, (np.arange(SIDE), pixel.clip(0, SIDE - 1).astype(np.intp)), weights)
    return shares


# -- rotations ---------------------------------------------------------------------------------------------------------


def _drawn(pixels: _Floats, means: _Doubles) -> _Floats:
    """Return each picture in all rotated poses, in whole levels, (pictures x poses) x down x across."""
    taken, weights, outside = _corners()
    flat = pixels.reshape(len(pixels), -1)
    levels = np.einsum("ncp,cp->np", flat.take(taken, axis=1), weights) + outside * np.float32(means[:, None])
    return np.asarray(np.rint(levels / _WEIGHT).reshape(-1, SIDE, SIDE), np.float32)


@cache
def _corners() -> tuple[NDArray[np.intp], _Floats, _Floats]:
    """Return the four pixels around each pixel of the rotated poses, their weights, and the weight of the mean."""
    y, x = (each.ravel() for each in np.meshgrid(_CENTRES, _CENTRES, indexing="ij"))
    across, down = np.concatenate([pose @ np.stack([x, y, np.ones_like(x)]) for pose in _TURNED], axis=1)
    inside = (across > 0) & (across < 1) & (down > 0) & (down < 1)
    left, above = across * SIDE - 0.5, down * SIDE - 0.5
    taken, weights = [], []
    for row in (np.floor(above), np.floor(above) + 1):
        for column in (np.floor(left), np.floor(left) + 1):
            taken.append(row.clip(0, SIDE - 1) * SIDE + column.clip(0, SIDE - 1))
            weights.append(inside * (1 - np.abs(left - column)) * (1 - np.abs(above - row)))
    whole = np.rint(_WEIGHT * np.stack(weights)).astype(np.float32)
    return np.stack(taken).astype(np.intp), whole, _WEIGHT - whole.sum(0)
