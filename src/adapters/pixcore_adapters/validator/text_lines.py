"""Count the lines of text in a picture: dark on light or light on dark, horizontal, on an even ground."""

import numpy as np
from numpy.typing import NDArray

_GROUND = 0.5  # share of the pixels within 24 levels of the most frequent level, or it is no page
_NEAR = 24
_INK = 48  # levels from the ground
_EMPTY = 0.01  # share of ink in a row between two lines
_STROKES = 12  # changes between ink and ground along a row of text
_SAMPLED = 4  # rows, of which the first is tried before all are
_BLANK = 0.1  # share of these without any ink: the space between lines
_LEAST, _MOST = 3, 60  # pixels of the height of a line


def text_lines(levels: NDArray[np.uint8], counts: NDArray[np.int64]) -> int:
    """Count the lines of text in a picture of grey; ``counts`` is the histogram of the same picture, made smaller.

    A line is a band of rows with many changes between ink and ground, between rows with nearly no ink. Photographs
    have no even ground and end the search at once.
    """
    ground = int(counts.argmax())
    if counts[max(0, ground - _NEAR) : ground + _NEAR + 1].sum() < _GROUND * counts.sum():
        return 0
    low, high = max(0, ground - _INK), min(255, ground + _INK)
    tried = _changes(levels[::_SAMPLED], low, high)
    if not (tried >= _STROKES).any() or np.count_nonzero(tried == 0) < _BLANK * len(tried):
        return 0
    changes = _changes(levels, low, high)
    filled = _counted(_ink(levels, low, high)) > _EMPTY * levels.shape[1]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], filled, [False]))))
    bands = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return sum(
        _LEAST <= end - start <= _MOST and int(np.median(changes[start:end])) >= _STROKES for start, end in bands
    )


def _changes(levels: NDArray[np.uint8], low: int, high: int) -> NDArray[np.intp]:
    """Count the changes between ink and ground along each row."""
    ink = _ink(levels, low, high)
    return _counted(ink[:, 1:] != ink[:, :-1])


def _ink(levels: NDArray[np.uint8], low: int, high: int) -> NDArray[np.bool_]:
    """Mark the pixels below ``low`` or above ``high``, by one comparison: lower ones wrap around to high levels."""
    return levels - np.uint8(low) > high - low


def _counted(marks: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Count the marks in each row. ``np.count_nonzero`` takes several times as long."""
    counts: NDArray[np.intp] = np.bitwise_count(np.packbits(marks, axis=1)).sum(axis=1, dtype=np.intp)
    return counts
