"""Measure a picture: sharpness, colours and text on a large one, everything else on a small one."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixcore.model.measures import Measures
from pixcore_adapters.validator.text_lines import text_lines

_EVERY = 8  # rows and columns, of which the first is looked at
_WINDOW = 16  # pixels along it
_EDGE = 32  # levels between the darkest and the lightest pixel of a window with an edge
_SHARPEST = 0.9  # quantile of the windows with an edge: a sharp face before a blurred ground is sharp
_GRID = 80  # rows or columns of the sample of colours, whichever are fewer, up to twice as many

_POWERS = np.arange(256) ** np.array([[0], [1], [2]])  # of each level of grey


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grid of the pixels of a picture, rows x columns x bands, without its fourth band.

    Colourfulness needs no more: it is made of means and variances, and those of a sample are those of the whole.
    """
    every = max(1, min(pixels.shape[:2]) // _GRID)
    return pixels[::every, ::every, :3]


def deviation(counts: NDArray[np.int64]) -> float:
    """Return the standard deviation of the levels of a histogram."""
    pixels, levels, squares = map(int, _POWERS @ counts)  # sums over all pixels
    return math.sqrt(pixels * squares - levels**2) / pixels


def measure(
    levels: NDArray[np.uint8], sample: NDArray[np.uint8], small: Image.Image, size: tuple[int, int]
) -> Measures:
    """Measure a picture from its levels of grey, a sample of its colours, and the same picture made small, in mode L.

    ``size`` is that of the whole image.
    """
    counts = np.array(small.histogram())
    darkest, lightest = _levels(counts, (0.05, 0.99))
    return Measures(
        sharpness=_sharpness(levels),
        darkest=darkest,
        lightest=lightest,
        contrast=round(10 * deviation(counts)),
        information=_information(counts),
        colourfulness=_colourfulness(sample) if sample.shape[2] > 1 else 0,
        aspect=1000 * max(size) // min(size),
        text_lines=text_lines(levels, counts),
    )


def _sharpness(levels: NDArray[np.uint8]) -> int:
    """Divide the largest step from pixel to pixel by the range, in each window with an edge; return the quantile."""
    # The first axis is the place in the window: numpy then compares one pixel of all windows with the next at once.
    height, width = (side // _WINDOW * _WINDOW for side in levels.shape)
    across = levels[::_EVERY, :width].reshape(-(-levels.shape[0] // _EVERY), -1, _WINDOW).transpose(2, 0, 1)
    down = levels[:height, ::_EVERY].reshape(-1, _WINDOW, -(-levels.shape[1] // _EVERY)).transpose(1, 0, 2)
    windows = np.concatenate((across.reshape(_WINDOW, -1), down.reshape(_WINDOW, -1)), axis=1)
    ranges = windows.max(0) - windows.min(0)
    one, other = windows[1:], windows[:-1]
    steps = (np.maximum(one, other) - np.minimum(one, other)).max(0)
    has_edge = ranges >= _EDGE
    steepness = steps[has_edge] / ranges[has_edge].astype(np.float32)
    if not len(steepness):
        return 0
    place = round(_SHARPEST * (len(steepness) - 1))
    return round(1000 * float(np.partition(steepness, place)[place]))  # np.quantile takes as long as all the rest


def _levels(counts: NDArray[np.int64], shares: Sequence[float]) -> list[int]:
    """Return the levels below which these shares of the pixels lie."""
    below = np.cumsum(counts)
    levels: list[int] = np.searchsorted(below, np.multiply(shares, below[-1])).tolist()
    return levels


def _information(counts: NDArray[np.int64]) -> int:
    shares = counts[counts > 0] / counts.sum()
    return round(1000 * abs(float(-(shares * np.log2(shares)).sum())))


def _colourfulness(sample: NDArray[np.uint8]) -> int:
    """Sum whole numbers, which is exact in every type here, and shorter types take less time."""
    red, green, blue = np.ascontiguousarray(sample.transpose(2, 0, 1)).astype(np.int16)
    pixels = int(red.size)
    squared_means, variances = 0, 0  # both times the squared number of pixels
    for opponent in (2 * (red - green), red + green - 2 * blue):  # both doubled
        values = opponent.ravel().astype(np.float64)
        total, squares = int(values.sum()), int(values @ values)
        squared_means += total**2
        variances += pixels * squares - total**2
    return round(10 * (math.sqrt(variances) + 0.3 * math.sqrt(squared_means)) / (2 * pixels))
