"""The two hashes of imagehash without its libraries: the same bits of the same grey picture, from numpy alone."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LANCZOS = Image.Resampling.LANCZOS

# The lowest 8 of 32 cosines, as whole numbers: sums are exact in 64 bits, so that a picture with symmetries, whose
# terms cancel to nothing, has the same hash on every machine. Rounded this finely, no photograph's bits change.
_COSINES = np.rint((1 << 21) * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)).astype(np.int64)


_POWERS = np.arange(256.0) ** np.array([[0], [1], [2]])  # of each level of grey


def phash(grey: Image.Image) -> int:
    """Hash an image of mode L as ``imagehash.phash`` does; 64 bits, most significant first."""
    pixels = np.asarray(grey.resize((32, 32), _LANCZOS), np.int64)
    low = _COSINES @ pixels @ _COSINES.T
    return _bits(2 * low > np.partition(low.ravel(), (31, 32))[31:33].sum())  # above the median


def dhash(grey: Image.Image) -> int:
    """Hash an image of mode L as ``imagehash.dhash`` does; 64 bits, most significant first."""
    pixels = np.asarray(grey.resize((9, 8), _LANCZOS))
    return _bits(pixels[:, 1:] > pixels[:, :-1])


def contrast(grey: Image.Image) -> float:
    """Give the standard deviation of an image of mode L, in its 256 levels of grey."""
    pixels, levels, squares = (_POWERS @ grey.histogram()).tolist()  # sums over all pixels
    mean = levels / pixels
    return math.sqrt(max(0.0, squares / pixels - mean**2))


def _bits(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
