"""Load a picture as a viewer shows it: at the size at which pictures are compared, or its middle."""

from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image

from pixcore_adapters.opening import open_image
from pixcore_adapters.rendering import frames, orientation, render, render_frame

FINE = 384  # pixels of a side at which pictures are compared finely
_MIDDLE = 512  # pixels
_TURNED = 5  # the first EXIF orientation whose width is the stored height


@frozen(eq=False)
class Seen:
    """A picture as a viewer shows it, with all frames. ``width`` and ``height`` are those of one upright frame."""

    pixels: NDArray[np.uint8]  # FINE x FINE x 3: luma, Cb, Cr
    width: int
    height: int
    frames: int


def see(path: Path, formats: tuple[str, ...]) -> Seen:
    """Load a file of any shape at ``FINE`` x ``FINE`` pixels.

    Raises:
        Exception: Whatever Pillow raises for a file that it cannot decode.
    """
    with open_image(path.read_bytes(), formats) as image:
        width, height = image.size[::-1] if orientation(image) >= _TURNED else image.size
        count = frames(image)
        drawn = render(image, FINE)
        smooth = Image.Resampling.BILINEAR if min(drawn.size) > FINE else Image.Resampling.BICUBIC
        return Seen(np.asarray(drawn.resize((FINE, FINE), smooth).convert("YCbCr")), width, height, count)


@frozen(eq=False)
class Middle:
    """The middle of the first frame of a picture, in mode L at its full size, and the size of the whole."""

    pixels: Image.Image
    width: int
    height: int


def see_middle(path: Path, formats: tuple[str, ...]) -> Middle:
    """Load the middle of a file's first frame: 512 x 512 pixels, or all that it has.

    Raises:
        Exception: Whatever Pillow raises for a file that it cannot decode.
    """
    with open_image(path.read_bytes(), formats) as image:
        whole = render_frame(image, min(image.size))
    left, top = (max(0, (side - _MIDDLE) // 2) for side in whole.size)
    box = left, top, min(whole.width, left + _MIDDLE), min(whole.height, top + _MIDDLE)
    return Middle(whole.crop(box).convert("L"), *whole.size)
