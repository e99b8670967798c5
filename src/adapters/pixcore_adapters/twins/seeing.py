"""Load a picture as a viewer shows it: at the size at which pictures are compared, or at its full size."""

from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image

from pixcore_adapters.opening import open_image
from pixcore_adapters.rendering import frames, orientation, render, render_frame
from pixcore_adapters.twins.comparing import FINE

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


def see_whole(path: Path, formats: tuple[str, ...]) -> Image.Image:
    """Load the first frame at its full size, in mode L.

    Raises:
        Exception: Whatever Pillow raises for a file that it cannot decode.
    """
    with open_image(path.read_bytes(), formats) as image:
        return render_frame(image, min(image.size)).convert("L")
