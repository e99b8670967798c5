"""Convert one image file to another in this process.

Only the limits bound what a hostile file may cost here; the child process also bounds time and memory.
"""

from contextlib import suppress
from io import BytesIO

import numpy as np
import simplejpeg
from attrs import frozen
from PIL import Image, ImageFile

from pixcore.model.conversion import CHANGES, Conversion, Encoding
from pixcore.model.images import RejectReason
from pixcore_adapters.converter.colours import to_srgb
from pixcore_adapters.converter.fitting import Fit, fit
from pixcore_adapters.opening import open_image
from pixcore_adapters.rendering import SINGLE, UPRIGHT, eight_bits, orientation, upright
from pixcore_adapters.validator.decode import Unwanted
from pixcore_adapters.validator.picture import Limits

# libjpeg decodes at a half, a quarter or an eighth at less cost. The decoded picture has at least this many times the
# pixels a side that the result has. Of 250 photographs, all results of 40 to 120 pixels then have an SSIM of at least
# 0.98 with those of a full decode; with 2 times as many, up to a tenth have less.
_GAP = 3
_SCALES = (8, 4, 2)

_FILTER = Image.Resampling.LANCZOS
# Of 0 to 6. A photograph of 341 x 256 pixels at quality 90 takes 3.5 ms and 28.4 kB with 0, 4.8 ms and 26.7 kB with 2,
# and 9.4 ms and 26.5 kB with 4, which is Pillow's default. Their SSIM differs by 0.002.
_WEBP_METHOD = 0
_LONGEST = {Encoding.WEBP: 16_383}  # pixels of a side


@frozen
class Made:
    """A converted image: its bytes, and what they hold, as in ``pixcore.model.conversion.Converted``."""

    data: bytes
    width: int
    height: int
    format: str
    mode: str
    changes: tuple[str, ...]


def convert(data: bytes, how: Conversion, limits: Limits) -> Made:
    """Convert an image file. Deterministic.

    Raises:
        Exception: Whatever Pillow raises for a file that it cannot decode; ``Unwanted`` if the result would exceed the
            limits.
    """
    with open_image(data, limits.formats) as image:
        image.decodermaxblock = len(data)  # with smaller blocks Pillow copies the unused rest of each to the next
        fitted = fit(*image.size, how)
        _check(fitted, how, limits)
        changes = {"enlarged": fitted.enlarged, "cropped": fitted.cropped, "eight_bits": _is_deep(image)}
        turn, profile = orientation(image), image.info.get("icc_profile")  # reading the EXIF of a PNG decodes it
        changes |= {"turned": turn != UPRIGHT, "first_frame": _is_animated(image)}
        picture = _scaled(image, data, fitted)
    return _finished(picture, fitted, how, turn=turn, profile=profile, changes=changes)


def _check(fitted: Fit, how: Conversion, limits: Limits) -> None:
    width, height = fitted.canvas
    longest = min(limits.max_side, _LONGEST.get(how.encode, limits.max_side))
    if max(width, height) > longest or width * height > limits.max_pixels:
        raise Unwanted(
            RejectReason.TOO_MANY_PIXELS,
            f"the result would have {width} x {height} pixels, of at most {limits.max_pixels} and {longest} a side",
        )


def _is_animated(image: ImageFile.ImageFile) -> bool:
    return image.format not in SINGLE and bool(getattr(image, "is_animated", False))


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Return whether the values have more than 8 bits. Pillow itself reads colours of 16 bits as 8."""
    return image.mode.startswith(("I", "F")) or any(";16" in str(tile.args) for tile in image.tile)


def _scaled(image: ImageFile.ImageFile, data: bytes, fitted: Fit) -> Image.Image:
    """Return the part of the picture that is kept, scaled, in mode L, RGB, RGBA or CMYK."""
    width, height = image.size
    picture = _simple(_decoded(image, data, fitted))
    across, down = picture.width / width, picture.height / height
    left, upper, right, lower = fitted.box
    box = left * across, upper * down, min(right * across, picture.width), min(lower * down, picture.height)
    if picture.size == fitted.size and fitted.box == (0.0, 0.0, float(width), float(height)):
        return picture
    return picture.resize(fitted.size, _FILTER, box, reducing_gap=_GAP)


def _decoded(image: ImageFile.ImageFile, data: bytes, fitted: Fit) -> Image.Image:
    """Decode the first frame, a JPEG at the lowest scale that suffices."""
    if image.format not in ("JPEG", "MPO"):
        image.load()
        return image
    left, upper, right, lower = fitted.box
    ratio = min((right - left) / fitted.size[0], (lower - upper) / fitted.size[1]) / _GAP
    scale = next((scale for scale in _SCALES if scale <= ratio), 1)
    target = -(-image.width // scale), -(-image.height // scale)
    if image.mode in ("L", "RGB"):
        colours = "GRAY" if image.mode == "L" else "RGB"  # resizing RGBX, which needs no copy, takes longer
        # libjpeg's warnings are errors here; the validator knows which mean damage, and Pillow ignores them
        with suppress(ValueError):
            pixels = simplejpeg.decode_jpeg(data, colours, min_width=target[0], min_height=target[1])
            return Image.frombytes(image.mode, pixels.shape[1::-1], pixels)
    image.draft(None, target)
    image.load()
    return image


def _simple(picture: Image.Image) -> Image.Image:
    """Return the picture in mode L, RGB, RGBA or CMYK."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(eight_bits(np.asarray(picture)))
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB")


def _finished(
    picture: Image.Image, fitted: Fit, how: Conversion, *, turn: int, profile: bytes | None, changes: dict[str, bool]
) -> Made:
    """Turn the scaled picture upright, convert its colours, lay it on the background and encode it."""
    picture = upright(picture, turn)
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    colours = picture.convert("RGB") if alpha else picture
    changes["cmyk"] = colours.mode == "CMYK"
    if profile:
        managed = to_srgb(colours, profile)
        changes["profile_ignored"] = managed is None
        changes["profile"] = managed is not None and managed.tobytes() != colours.convert("RGB").tobytes()
        colours = managed or colours
    colours = colours.convert("RGB")
    canvas = fitted.canvas if turn < 5 else fitted.canvas[::-1]  # noqa: PLR2004 - from 5 on, width becomes height
    changes["background"] = alpha is not None and alpha.getextrema()[0] != 255  # noqa: PLR2004 - opaque
    changes["bordered"] = canvas != colours.size
    if changes["background"] or changes["bordered"]:
        ground = Image.new("RGB", canvas, how.background)
        corner = (canvas[0] - colours.width) // 2, (canvas[1] - colours.height) // 2
        ground.paste(colours, corner, alpha)
        colours = ground
    named = tuple(name for name in CHANGES if changes.get(name))
    colours.info = {}  # what the original's metadata say is no longer true, and Pillow would write some of them
    data = _encoded(colours, how)
    name = {Encoding.JPG: "JPEG"}.get(how.encode, how.encode.upper())
    return Made(data, *colours.size, name, "RGB", named)


def _encoded(picture: Image.Image, how: Conversion) -> bytes:
    file = BytesIO()
    match how.encode:
        case Encoding.JPG:
            picture.save(file, "JPEG", quality=how.level)
        case Encoding.PNG:
            picture.save(file, "PNG")
        case Encoding.WEBP:
            picture.save(file, "WEBP", quality=how.level, method=_WEBP_METHOD)
        case Encoding.AVIF:
            picture.save(file, "AVIF", quality=how.level, max_threads=1)
    return file.getvalue()
