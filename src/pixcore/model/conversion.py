"""How images are resized and encoded again, and what becomes of each.

A conversion is part of the plan if a dataset stores converted images, so that every worker makes the same ones.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen

from pixcore.errors import InvalidRequest


class Resize(StrEnum):
    """How an image is fitted to a size. Sizes are those of the upright image.

    ``keep-ratio``: the shorter side becomes the size. ``no-upscale``: the same, but images whose shorter side is not
    longer than that keep their size. ``crop``: as ``keep-ratio``, then the middle square is cut out. ``border``: the
    longer side becomes the size, then a border in the colour of the background makes a square.
    """

    KEEP_RATIO = "keep-ratio"
    NO_UPSCALE = "no-upscale"
    CROP = "crop"
    BORDER = "border"


class Encoding(StrEnum):
    """The format of converted images."""

    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"


# What a conversion may change in an image besides its size and format, and what each name means. ``Converted.changes``
# has the names; they are also counted.
CHANGES = {
    "enlarged": "the image was smaller than the size",
    "cropped": "the parts outside the middle square were cut off",
    "bordered": "a border was added",
    "turned": "the pixels were turned upright, as the EXIF orientation says",
    "first_frame": "only the first frame or page was kept",
    "background": "transparent parts were drawn on the background",
    "eight_bits": "values of more than 8 bits were scaled to 8",
    "cmyk": "printing colours became RGB",
    "profile": "the colours were converted from the embedded ICC profile to sRGB",
    "profile_ignored": "the embedded ICC profile cannot be applied, so the colours were taken for sRGB",
}

SIDE = 16_383  # pixels of the longest side; WebP holds no longer one

_QUALITY = 90  # the default
_COLOURS = {"white": "#ffffff", "black": "#000000"}
_COLOUR = re.compile(r"#[0-9a-f]{6}")

_Choice = TypeVar("_Choice", bound=StrEnum)


def _choice(kind: type[_Choice], name: str) -> _Choice:
    """Return the value of that name."""
    try:
        return kind(name)
    except ValueError as exc:
        raise InvalidRequest(f"there is no {kind.__name__.lower()} {name!r}; use one of: {', '.join(kind)}") from exc


def _resize(name: str | None) -> Resize | None:
    return None if name is None else _choice(Resize, name)


def _encoding(name: str) -> Encoding:
    return _choice(Encoding, name)


def _colour(text: str) -> str:
    """Return a colour as ``#rrggbb``."""
    colour = _COLOURS.get(text.lower(), text.lower())
    if not _COLOUR.fullmatch(colour):
        raise InvalidRequest(
            f"the background {text!r} is not a colour; write #rrggbb, such as #808080, or {' or '.join(_COLOURS)}"
        )
    return colour


@frozen
class Conversion:
    """How images are converted: upright, opaque, in sRGB with 8 bits, resized and encoded again.

    Attributes:
        size: The size in pixels that ``resize`` fits images to; None keeps their size.
        resize: How; None means ``keep-ratio``.
        encode: The format of the result.
        quality: From 1 to 100; None means 90. PNG has no quality, because it loses nothing.
        background: The colour of transparent parts and of borders, as ``#rrggbb``, ``white`` or ``black``.

    Raises:
        InvalidRequest: A value is out of range, ``resize`` is given without ``size``, or ``quality`` with PNG.
    """

    size: int | None = None
    resize: Resize | None = field(default=None, converter=_resize)
    encode: Encoding = field(default=Encoding.JPG, converter=_encoding)
    quality: int | None = None
    background: str = field(default="#ffffff", converter=_colour)

    def __attrs_post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= SIDE:
            raise InvalidRequest(f"the size cannot be {self.size}; use 1 to {SIDE} pixels")
        if self.resize is not None and self.size is None:
            raise InvalidRequest(f"resize {self.resize} needs a size; add the size in pixels, such as 256")
        if self.quality is not None and not 1 <= self.quality <= 100:  # noqa: PLR2004 - the scale of all encoders
            raise InvalidRequest(f"the quality cannot be {self.quality}; use 1 to 100")
        if self.quality is not None and self.encode is Encoding.PNG:
            raise InvalidRequest("PNG loses nothing and has no quality; leave the quality out, or encode as jpg")

    @property
    def mode(self) -> Resize:
        """How images are fitted to ``size``."""
        return self.resize or Resize.KEEP_RATIO

    @property
    def level(self) -> int:
        """The quality with which an encoder that has one is called."""
        return _QUALITY if self.quality is None else self.quality

    def described(self) -> str:
        """Describe the conversion in one line, such as ``256 pixels, keep-ratio, webp, quality 90``."""
        parts = [f"{self.size} pixels, {self.mode}"] if self.size else []
        parts.append(str(self.encode))
        if self.encode is not Encoding.PNG:
            parts.append(f"quality {self.level}")
        return ", ".join([*parts, f"background {self.background}"])


@frozen
class Converted:
    """A converted image: a file, and what a decoder finds in it.

    Attributes:
        path: The file.
        size: Its size in bytes.
        sha256: Of its bytes, in hex.
        width: In pixels.
        height: In pixels.
        format: The decoder's upper-case name.
        mode: The decoder's name for the colour mode.
        changes: Names of ``CHANGES``, in their order.
    """

    path: Path
    size: int
    sha256: str
    width: int
    height: int
    format: str
    mode: str
    changes: tuple[str, ...] = ()


@frozen
class Unconverted:
    """An image that cannot be converted. ``reason`` is one of ``RejectReason`` or the converter's own."""

    reason: str
    detail: str = ""
