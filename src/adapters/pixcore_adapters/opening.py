"""Open an image file of an accepted format, or raise an exception that names its format.

Without a list of formats, Pillow tries all its decoders, and some of them start other programs. So pixcore opens all
image files here, with such a list.
"""

import re
import threading
from collections.abc import Callable, Collection
from importlib import import_module
from io import BytesIO
from types import MappingProxyType
from typing import NoReturn

from attrs import frozen
from PIL import Image, ImageFile, UnidentifiedImageError

from pixcore_adapters.formats import FORMATS

_PREFIX = 16  # bytes by which a plug-in of Pillow recognises its format
_HEAD = 4096  # bytes by which ``_name`` recognises the other formats


class NotAnImage(Exception):
    """The bytes are in no image format that pixcore or Pillow recognises."""


class FormatNotAllowed(Exception):
    """The image has a format that is not accepted."""


class BrokenHeader(Exception):
    """The bytes begin like an image of an allowed format, but it cannot be opened."""


@frozen
class _Extra:
    """The optional library that opens a format, and the extra of pixcore that installs it."""

    extra: str
    register: Callable[[], None]


def _register_heif() -> None:
    plugin = import_module("pillow_heif")
    # Each decoding thread would reserve megabytes, which count towards the memory limit of a decoder child.
    plugin.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


_EXTRAS = MappingProxyType({"HEIF": _Extra("heif", _register_heif)})
_REGISTERING = threading.Lock()

_SVG = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*|<!--(?:(?!-->).)*-->\s*|<!DOCTYPE\s+svg[^>]*>\s*)*<svg[\s>]", re.DOTALL
)
_SIGNATURES = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"%PDF-", "PDF"),
    (b"8BPS", "PSD"),
    (b"gimp xcf", "XCF"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"AT&TFORM", "DjVu"),
    (b"FUJIFILMCCD-RAW", "RAF"),
    (b"\x1aE\xdf\xa3", "Matroska video"),
    (b"FLV\x01", "Flash video"),
)
_BRANDS = {
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    "AVIF": (b"avif", b"avis"),
    "HEIF": (b"mif1", b"msf1", b"mif2"),
    "Canon CR3": (b"crx ",),
    "MP4 video": (b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"M4V ", b"qt  ", b"3gp4", b"3gp5"),
}
# Messages of Pillow about files that are whole but of a kind that it cannot read.
UNSUPPORTED = re.compile("[Uu]nsupported (BMP|JPEG|TIFF)|unknown pixel mode|cannot handle|data precision")

_TGA_FOOTER = b"TRUEVISION-XFILE.\0"
_TGA_TYPES = {1: 1, 9: 1, 2: 0, 10: 0, 3: 0, 11: 0}  # image types, and whether each has a palette


def open_image(data: bytes, formats: Collection[str] = FORMATS) -> ImageFile.ImageFile:
    """Open an image of one of these formats, by Pillow's names. Read only its header.

    Raises:
        NotAnImage: No format was recognised.
        FormatNotAllowed: The image has another format, which the message names.
        BrokenHeader: The image begins like an allowed format, but cannot be opened.
        Exception: Pillow's warning about decompression bombs, if a filter makes it an error.
    """
    plugins = ["JPEG" if name == "MPO" else name for name in formats if name not in _EXTRAS]  # MPO has no plug-in
    try:
        image = Image.open(BytesIO(data), formats=plugins)
    except UnidentifiedImageError as error:
        image = _opened_by_extra(data, formats) or _explain(data, plugins, error)
    if image.format not in formats:
        raise FormatNotAllowed(str(image.format))
    return image


def _opened_by_extra(data: bytes, formats: Collection[str]) -> ImageFile.ImageFile | None:
    if _name(data[:_HEAD]) not in ("HEIC", "HEIF") or "HEIF" not in formats:
        return None
    extra = _EXTRAS["HEIF"]
    try:
        with _REGISTERING:
            extra.register()
    except ImportError as error:
        raise FormatNotAllowed(f"looks like {_name(data[:_HEAD])}; install pixcore[{extra.extra}]") from error
    try:
        return Image.open(BytesIO(data), formats=["HEIF"])
    except UnidentifiedImageError as error:
        raise BrokenHeader(_reason(data, "HEIF")) from error


def _explain(data: bytes, plugins: Collection[str], error: Exception) -> NoReturn:
    """Raise the exception that names the format of these bytes."""
    name = _name(data[:_HEAD])
    if name and name not in plugins:
        raise FormatNotAllowed(f"looks like {name}") from error
    if known := _recognised(data, plugins):
        reason = _reason(data, known)
        raise (FormatNotAllowed if UNSUPPORTED.search(reason) else BrokenHeader)(reason) from error
    if _is_tga(data):  # Pillow would call some of them cursors
        raise FormatNotAllowed("looks like TGA") from error
    Image.init()
    if foreign := _recognised(data, [plugin for plugin in Image.OPEN if plugin not in plugins]):
        raise FormatNotAllowed(f"looks like {foreign}") from error
    raise NotAnImage("no image format recognised") from error


def _name(head: bytes) -> str | None:
    """Return the format of a file by its first bytes, or None if only Pillow can recognise it."""
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[place : place + 4] for place in range(16, int.from_bytes(head[:4], "big"), 4))]
        named = [name for brand in brands for name, own in _BRANDS.items() if brand in own]
        # "mif1" means only that it is a still picture; the compatible brands name the encoding.
        return next((name for name in named if name != "HEIF"), named[0] if named else None)
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    return "SVG" if _SVG.match(head) else None


def _recognised(data: bytes, plugins: Collection[str]) -> str | None:
    """Return the plug-in that recognises the first bytes as its format. Runs no decoder."""
    if len(data) < _PREFIX:
        return None
    known = ((name, Image.OPEN[name][1]) for name in plugins if name in Image.OPEN)
    return next((name for name, accept in known if accept and accept(data[:_PREFIX]) is True), None)


def _reason(data: bytes, plugin: str) -> str:
    """Return the message of the plug-in about a file that it cannot open."""
    try:
        Image.OPEN[plugin][0](BytesIO(data), "")
    except Exception as error:  # noqa: BLE001 (Pillow raises SyntaxError, IndexError, struct.error and more)
        return f"{plugin}: {error}"
    return f"{plugin}: cannot be opened"


def _is_tga(data: bytes) -> bool:
    """Return whether the file is a TGA. Check its fields: version 1 of the format has no signature and no footer."""
    if data.endswith(_TGA_FOOTER):
        return True
    if len(data) < 18 + 1 or data[1] not in (0, 1) or _TGA_TYPES.get(data[2]) != data[1]:
        return False
    palette_free = data[1] == 1 or not any(data[3:8])
    return palette_free and data[16] in (8, 15, 16, 24, 32) and any(data[12:14]) and any(data[14:16])
