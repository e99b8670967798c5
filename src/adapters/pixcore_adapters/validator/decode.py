"""One file to one picture or one refusal, in this process.

Only the limits bound what a hostile file may cost here; the decoder child bounds time and memory on top.
"""

import hashlib
import os
import stat
import warnings
from collections.abc import Collection
from io import BytesIO
from pathlib import Path

import PIL
from PIL import Image, ImageFile, MpoImagePlugin, UnidentifiedImageError

from pixcore.model.images import RejectReason
from pixcore.model.quality import Fingerprint
from pixcore_adapters.validator.hashes import contrast, dhash, phash
from pixcore_adapters.validator.jpeg import scalable, walk
from pixcore_adapters.validator.picture import Limits, Picture, Refusal

# The number grows with every change to what is hashed; libjpeg, which scales the picture, comes with Pillow.
METHOD = f"pixcore-1/pillow-{PIL.__version__}"

# Pixels of the shorter side that are left for the hashes, up to twice as many. Of 414 photographs, hashes of whole
# pictures are at most 6 bits away; finer ones cost more and find no more variants.
_SIDE = 80

# Standard deviation in grey levels of 255. Solid colours come out of JPEG below 0.5 and collide. At 2, two thirds of
# faded photographs are no longer found by their hashes. The flattest of 400 real ones, made small, has 7; fog leaves 5.
FLAT_BELOW = 2.0

_PREFIX = 16  # bytes, what Pillow shows a format to recognise itself by


class _Unwanted(Exception):
    """A refusal on its way out."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


def decode(path: Path, limits: Limits) -> Picture | Refusal:
    """Read the file once, check it against the limits, decode every frame, and hash the first.

    Whatever the file holds comes back as a value. Not for two threads at a time: warnings are a matter of the process.
    """
    try:
        with warnings.catch_warnings():
            _only_warn_of_damage()
            return _picture(_read(path, limits), limits)
    except _Unwanted as unwanted:
        return unwanted.refusal
    except Exception as error:  # noqa: BLE001 (Pillow raises OSError, SyntaxError, IndexError and more for bad files)
        return Refusal(_reason(error), " ".join(f"{type(error).__name__}: {error}".split())[:200])


def _only_warn_of_damage() -> None:
    """Raise what Pillow says of broken pixels and bombs; let pass what it says of metadata or of old interfaces."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", UserWarning)
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    # Fine photographs carry EXIF tags with wrong lengths; a TIFF that misses a tag that matters fails to decode.
    warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")
    # "malformed MPO": the stereo index is broken, the photograph is not.
    warnings.filterwarnings("ignore", module=r"PIL\.JpegImagePlugin")
    # Said of sound files with a half-transparent palette, when they are made grey.
    warnings.filterwarnings("ignore", message="Palette images with Transparency")


def _read(path: Path, limits: Limits) -> bytes:
    try:
        # O_NONBLOCK: a FIFO is to be refused, not waited for
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _Unwanted(RejectReason.NOT_AN_IMAGE, "not a regular file")
            if status.st_size > limits.max_bytes:
                raise _Unwanted(RejectReason.TOO_LARGE, f"{status.st_size} of at most {limits.max_bytes} bytes")
            data = file.read(status.st_size)
    except OSError as error:
        raise _Unwanted(RejectReason.NOT_AN_IMAGE, f"cannot be read: {error.strerror}") from error
    if not data:
        raise _Unwanted(RejectReason.NOT_AN_IMAGE, "empty file")
    return data


def _picture(data: bytes, limits: Limits) -> Picture:
    if data.startswith(b"\xff\xd8\xff"):
        _check_scans(data, 0, limits)
    with _open(data, limits) as image:
        pixels = _check_frame(image, 0, limits)
        if image.format == "PNG":
            with _open(data, limits) as other:
                other.verify()  # finds damaged chunks that load() lets pass; of other formats it finds nothing
        width, height = image.size
        return Picture(
            sha256=hashlib.sha256(data).hexdigest(),
            width=width,
            height=height,
            format=str(image.format),
            fingerprint=_load(image, data, pixels, limits),
        )


def _check_scans(data: bytes, start: int, limits: Limits) -> None:
    scans, whole = walk(data, start, limits.max_scans)
    if scans > limits.max_scans:
        raise _Unwanted(RejectReason.TOO_MANY_SCANS, f"more than {limits.max_scans} scans")
    if not whole:
        raise _Unwanted(RejectReason.DAMAGED, "the end of the image is missing")


def _open(data: bytes, limits: Limits) -> ImageFile.ImageFile:
    doors = ["JPEG" if name == "MPO" else name for name in limits.formats]  # there is none of MPO's own
    try:
        image = Image.open(BytesIO(data), formats=doors)
    except UnidentifiedImageError as error:
        if foreign := _foreign(data[:_PREFIX], doors):
            raise _Unwanted(RejectReason.FORMAT, f"looks like {foreign}") from error
        raise _Unwanted(RejectReason.NOT_AN_IMAGE, "no image format recognised") from error
    if image.format not in limits.formats:
        raise _Unwanted(RejectReason.FORMAT, str(image.format))
    image.decodermaxblock = len(data)  # in pieces, what a decoder has not used of one is copied to the next
    return image


def _foreign(prefix: bytes, tried: Collection[str]) -> str | None:
    """Find the format that would know these first bytes as its own; no decoder runs."""
    if len(prefix) < _PREFIX:
        return None
    Image.init()
    known = ((name, accept) for name, (_, accept) in Image.OPEN.items() if name not in tried)
    return next((name for name, accept in known if accept and accept(prefix)), None)


def _check_frame(image: Image.Image, earlier: int, limits: Limits) -> int:
    """Refuse a frame beyond the limits before it is decoded; give the pixels up to and with it."""
    width, height = image.size
    pixels = earlier + width * height
    if pixels > limits.max_pixels:
        raise _Unwanted(RejectReason.TOO_MANY_PIXELS, f"{pixels} of at most {limits.max_pixels} pixels")
    if max(width, height) > limits.max_side:
        raise _Unwanted(RejectReason.TOO_MANY_PIXELS, f"{width} x {height}, a side of at most {limits.max_side} pixels")
    return pixels


def _load(image: ImageFile.ImageFile, data: bytes, pixels: int, limits: Limits) -> Fingerprint:
    """Decode every frame, the first of so many pixels; hash that one."""
    frame = 1
    if image.format == "JPEG" and scalable(data):
        image.draft("L", (_SIDE, _SIDE))  # not an MPO: its other frames would be taken for drafts, too
    image.load()
    first = fingerprint(_grey(image))
    while _seek(image, frame):
        if frame == limits.max_frames:
            raise _Unwanted(RejectReason.TOO_MANY_FRAMES, f"more than {limits.max_frames} frames")
        pixels = _check_frame(image, pixels, limits)
        if isinstance(image, MpoImagePlugin.MpoImageFile):
            _check_scans(data, image.offset, limits)
        image.load()
        frame += 1
    return first


def _seek(image: Image.Image, frame: int) -> bool:
    try:
        image.seek(frame)
    except EOFError:
        return False
    return True


def _grey(image: Image.Image) -> Image.Image:
    try:
        return image.convert("L")
    except ValueError as error:
        raise _Unwanted(RejectReason.FORMAT, f"{image.format} in colour mode {image.mode}") from error


def fingerprint(grey: Image.Image) -> Fingerprint:
    """Hash an image of mode L, made smaller; no orientation tag is heeded, because rows describe stored pixels."""
    small = grey.reduce(max(1, min(grey.size) // _SIDE))
    return Fingerprint(
        phash=phash(small),
        dhash=dhash(small),
        method=METHOD,
        flat=contrast(small) < FLAT_BELOW,
    )


def _reason(error: Exception) -> RejectReason:
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return RejectReason.TOO_MANY_PIXELS
    # Pillow's codecs say it with an OSError
    if isinstance(error, MemoryError) or ImageFile.ERRORS[-9] in str(error):
        return RejectReason.TOO_MUCH_MEMORY
    return RejectReason.DAMAGED
