"""Draw an image file as a viewer shows it: upright, opaque, in 8 bits, with all of its frames.

All code that judges or shows a picture uses this module, so that it sees the same pixels.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

SINGLE = ("MPO", "HEIF")  # formats of one picture, even if the file holds further images
UPRIGHT = 1  # the EXIF orientation of a picture that is stored upright

# How to turn a picture of each EXIF orientation upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Mean luma, of 255, from which the visible part of a transparent picture is drawn on black instead of white. A white
# icon on white would be an empty picture.
_LIGHT = 200.0

_MOST_TILES = 16  # frames that are drawn side by side


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, that a viewer has to apply to the pixels that Pillow loads.

    Return 1 if there is none or an invalid one, and for TIFF: Pillow turns its pixels and its ``size`` itself.
    """
    if image.format == "TIFF":
        return UPRIGHT
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (corrupt EXIF data: Pillow raises SyntaxError, struct.error and more)
        return UPRIGHT
    return value if isinstance(value, int) and value in _TURNS else UPRIGHT


def upright(picture: Image.Image, turn: int) -> Image.Image:
    """Turn the pixels of a picture of this EXIF orientation as a viewer does."""
    method = _TURNS.get(turn)
    return picture if method is None else picture.transpose(method)


def frames(image: Image.Image) -> int:
    """Return how many frames or pages the picture has.

    An MPO and an HEIF have one: their other images are previews, gain maps, the view of a second lens or the rest of a
    burst, and loaders read the first.
    """
    return 1 if image.format in SINGLE else int(getattr(image, "n_frames", 1))


def render(image: ImageFile.ImageFile, at_least: int) -> Image.Image:
    """Draw an opened image as a viewer shows it, in mode RGB.

    Scale it down as far as is cheap (a scaled JPEG decode, then averages of square blocks of pixels): the shorter side
    has at least ``at_least`` pixels, or all that the image has if it has fewer. Resize the result to the size you need.
    If there are several frames, draw at most 16, evenly spread over all, as tiles from left to right and top to bottom.
    Open the file again for its original size: a scaled decode changes ``image.size``.

    Raises:
        Exception: Whatever Pillow raises for a file that it cannot decode; ValueError for a colour mode without a
            conversion to RGB, such as LAB.
    """
    total = frames(image)
    if total == 1:
        return render_frame(image, at_least)
    count = min(total, _MOST_TILES)
    columns = math.ceil(math.sqrt(count))
    side = math.ceil(at_least / math.ceil(count / columns))
    tiles = []
    for number in range(count):
        image.seek(number * (total - 1) // (count - 1))
        tiles.append(render_frame(image, side))
    return _side_by_side(tiles, columns)


def render_frame(image: Image.Image, at_least: int) -> Image.Image:
    """Draw the current frame of an opened image as ``render`` does.

    Raises:
        Exception: As ``render``.
    """
    if isinstance(image, ImageFile.ImageFile) and image.format in ("JPEG", "MPO"):
        image.draft(None, (at_least, at_least))
    turn = orientation(image)
    return upright(_opaque(image, at_least).convert("RGB"), turn)


def _opaque(image: Image.Image, at_least: int) -> Image.Image:
    factor = max(1, min(image.size) // at_least)
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(eight_bits(np.asarray(image))).reduce(factor)
    if image.has_transparency_data:
        return _over_ground(image.convert("RGBA").reduce(factor))
    return (image if image.mode in ("L", "RGB") else image.convert("RGB")).reduce(factor)


def _over_ground(layer: Image.Image) -> Image.Image:
    """Draw a transparent picture on white, or on black if its visible part is nearly white."""
    alpha = np.asarray(layer.getchannel("A"), np.float32)
    luma = np.asarray(layer.convert("RGB").convert("L"), np.float32)
    light = float((luma * alpha).sum()) >= _LIGHT * float(alpha.sum()) > 0
    ground = Image.new("RGBA", layer.size, "black" if light else "white")
    ground.alpha_composite(layer)
    return ground


def eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale the values of a picture with more than 8 bits a pixel to 0..255.

    Integers of which none is negative keep their 8 highest bits, counted from the highest bit that the picture uses,
    but at least the eighth: a scan of 12 bits in a file of 16 is not black. Others are stretched: 0..1 to 0..255 if no
    value is outside 0..1; no change if none is outside 0..255; else from the least to the greatest value. A value far
    below or above all others stands for missing data, as do NaN and infinities. Missing data becomes the level of the
    nearest other value, or 0.
    """
    if values.dtype.kind in "iu" and values.min() >= 0:
        return (values >> max(0, int(values.max()).bit_length() - 8)).astype(np.uint8)
    scaled = values.astype(np.float32)
    low, high = _range(scaled)
    if low >= 0 and high <= 255:  # noqa: PLR2004 (the greatest level of 8 bits)
        low, high = (0.0, 1.0) if high <= 1 else (0.0, 255.0)
    np.nan_to_num(scaled, copy=False, nan=low, posinf=high, neginf=low)
    np.clip(scaled, low, high, out=scaled)
    scaled -= low
    scaled *= 255 / (high - low) if high > low else 0.0
    return scaled.astype(np.uint8)


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the least and the greatest value, without values that stand for missing data."""

    def least(above: float) -> float:
        return float(np.min(values, where=(values > above) & (values < np.inf), initial=np.inf))

    def greatest(below: float) -> float:
        return float(np.max(values, where=(values < below) & (values > -np.inf), initial=-np.inf))

    low, high = least(-np.inf), greatest(np.inf)
    if not low < high:
        return (low, high) if low == high else (0.0, 0.0)
    second, last = least(low), greatest(high)
    if second < high and second - low > high - second:
        return second, high
    if last > low and high - last > last - low:
        return low, last
    return low, high


def _side_by_side(tiles: list[Image.Image], columns: int) -> Image.Image:
    width, height = tiles[0].size
    sheet = Image.new("RGB", (columns * width, math.ceil(len(tiles) / columns) * height), "grey")
    for number, tile in enumerate(tiles):
        sheet.paste(tile.resize((width, height)), (number % columns * width, number // columns * height))
    return sheet
