"""The two hashes of an image, both from one small grey picture, in integers: the same bits everywhere.

Of the same 32 x 32 picture the phash has the bits of ``imagehash.phash``. imagehash makes it, and the 9 x 8 picture of
its dhash, from the full picture in another way, so that its hashes of a photograph differ by a few bits.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32  # pixels of the grey picture, across and down

# The lowest 8 of 32 cosines, as whole numbers: sums are exact in 64 bits, so that a picture with symmetries, whose
# terms cancel to nothing, has the same hash on every machine. Rounded this finely, no photograph's bits change.
_WHOLE_COSINES = np.rint(
    (1 << 21) * np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
).astype(np.int64)

_ONE = 1 << 16  # the sum of the weights of one resized pixel


def _lanczos(count: int) -> NDArray[np.int64]:
    """Weights, ``count`` x 32, with which a line of the grey picture is resized, as whole numbers."""
    step = SIDE / count
    distances = (np.arange(SIDE) + 0.5 - (np.arange(count)[:, None] + 0.5) * step) / step
    weights = np.where(np.abs(distances) < 3, np.sinc(distances) * np.sinc(distances / 3), 0.0)  # noqa: PLR2004
    whole: NDArray[np.int64] = np.rint(_ONE * weights / weights.sum(1, keepdims=True)).astype(np.int64)
    whole[np.arange(count), whole.argmax(1)] += _ONE - whole.sum(1)  # what is even stays even
    return whole


# Whole numbers below 2 ** 53 are exact in 64-bit floats, whose products take a tenth of the time.
_COSINES = _WHOLE_COSINES.astype(np.float64)
_ROWS, _COLUMNS = _lanczos(8).astype(np.float64), _lanczos(9).T.astype(np.float64)


def grey_picture(luma: Image.Image) -> NDArray[np.uint8]:
    """Shrink a small picture of mode L to 32 x 32 pixels; both hashes are made from the result.

    Bilinear, because Lanczos takes three times as long and finds no more variants of a photograph.
    """
    return np.asarray(luma.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def phash(grey: NDArray[np.uint8]) -> int:
    """Hash a 32 x 32 picture as ``imagehash.phash`` does; 64 bits, most significant first."""
    low = (_COSINES @ grey.astype(np.float64)).astype(np.int64) @ _WHOLE_COSINES.T
    return _bits(2 * low > np.sort(low, axis=None)[31:33].sum())  # above the median


def dhash(grey: NDArray[np.uint8]) -> int:
    """Hash a 32 x 32 picture nearly as ``imagehash.dhash`` does; 64 bits, most significant first."""
    tiny = np.floor(_ROWS @ grey.astype(np.float64) @ _COLUMNS / (_ONE * _ONE) + 0.5)  # whole levels of grey
    return _bits(tiny[:, 1:] > tiny[:, :-1])


def _bits(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
