"""Measure a picture: sharpness on a large one, everything else on a small one."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pixcore.model.measures import Measures
from pixcore_adapters.validator.text_lines import text_lines

_EVERY = 8  # rows and columns, of which the first is looked at
_WINDOW = 16  # pixels along it
_EDGE = 32  # levels between the darkest and the lightest pixel of a window with an edge
_SHARPEST = 0.9  # quantile of the windows with an edge: a sharp face before a blurred ground is sharp


def band(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the band of a picture, rows x columns x bands, that is nearly its luma: green, or the only one."""
    return pixels[..., min(1, pixels.shape[-1] - 1)]


def measure(levels: NDArray[np.uint8], small: Image.Image, size: tuple[int, int]) -> Measures:
    """Measure a picture of one band, and the same picture made small; ``size`` is that of the whole image."""
    grey = small.convert("L")
    counts = np.array(grey.histogram())
    return Measures(
        sharpness=_sharpness(levels),
        darkest=_level(counts, 0.05),
        lightest=_level(counts, 0.99),
        contrast=round(10 * float(np.asarray(grey).std())),
        information=_information(counts),
        colourfulness=0 if small.mode == "L" else _colourfulness(np.asarray(small)),
        aspect=1000 * max(size) // min(size),
        text_lines=text_lines(levels, counts),
    )


def _sharpness(levels: NDArray[np.uint8]) -> int:
    across = _steepness(np.ascontiguousarray(levels[::_EVERY].T))
    down = _steepness(np.ascontiguousarray(levels[:, ::_EVERY]))
    steepness = np.concatenate((across, down))
    return round(1000 * float(np.quantile(steepness, _SHARPEST))) if len(steepness) else 0


def _steepness(lines: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the largest step from pixel to pixel as a share of the range, for each window that has an edge.

    A line is a column of ``lines``: numpy is fastest where windows do not lie along the last axis.
    """
    windows = lines[: len(lines) // _WINDOW * _WINDOW].reshape(-1, _WINDOW, lines.shape[1])
    if not windows.size:
        return np.empty(0, np.float32)
    ranges = windows.max(1) - windows.min(1)
    one, other = windows[:, 1:], windows[:, :-1]
    steps = (np.maximum(one, other) - np.minimum(one, other)).max(1)
    has_edge = ranges >= _EDGE
    steepness: NDArray[np.float32] = steps[has_edge] / ranges[has_edge].astype(np.float32)
    return steepness


def _level(counts: NDArray[np.int64], share: float) -> int:
    """Return the level below which this share of the pixels lies."""
    return int(np.searchsorted(np.cumsum(counts), share * counts.sum()))


def _information(counts: NDArray[np.int64]) -> int:
    shares = counts[counts > 0] / counts.sum()
    return round(1000 * abs(float(-(shares * np.log2(shares)).sum())))


def _colourfulness(colours: NDArray[np.uint8]) -> int:
    red, green, blue = (colours[..., band].astype(np.float32) for band in range(3))
    one, other = red - green, (red + green) / 2 - blue
    spread = math.hypot(float(one.std()), float(other.std()))
    return round(10 * (spread + 0.3 * math.hypot(float(one.mean()), float(other.mean()))))
