"""Count the lines of text in a picture: dark on light or light on dark, horizontal, on an even ground."""

import numpy as np
from numpy.typing import NDArray

_GROUND = 0.5  # share of the pixels within 24 levels of the most frequent level, or it is no page
_NEAR = 24
_INK = 48  # levels from the ground
_EMPTY = 0.01  # share of ink in a row between two lines
_STROKES = 12  # changes between ink and ground along a row of text
_LEAST, _MOST = 3, 60  # pixels of the height of a line


def text_lines(levels: NDArray[np.uint8], counts: NDArray[np.int64]) -> int:
    """Count the lines of text in a picture of grey; ``counts`` is the histogram of the same picture, made smaller.

    A line is a band of rows with many changes between ink and ground, between rows with nearly no ink. Photographs
    have no even ground and end the search at once.
    """
    ground = int(counts.argmax())
    if counts[max(0, ground - _NEAR) : ground + _NEAR + 1].sum() < _GROUND * counts.sum():
        return 0
    ink = np.abs(levels.astype(np.int16) - ground) > _INK
    changes = (ink[:, 1:] != ink[:, :-1]).sum(1)
    filled = ink.mean(1) > _EMPTY
    edges = np.flatnonzero(np.diff(np.concatenate(([False], filled, [False]))))
    bands = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return sum(
        _LEAST <= end - start <= _MOST and int(np.median(changes[start:end])) >= _STROKES for start, end in bands
    )
