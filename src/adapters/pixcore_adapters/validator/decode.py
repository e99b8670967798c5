"""Decode one file to a picture or a refusal, in this process.

Only the limits bound what a hostile file may cost here; the decoder child bounds time and memory on top.
"""

import hashlib
import os
import stat
import warnings
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pixcore.model.images import RejectReason
from pixcore.model.quality import Fingerprint
from pixcore_adapters import rendering
from pixcore_adapters.opening import UNSUPPORTED, BrokenHeader, FormatNotAllowed, NotAnImage, open_image
from pixcore_adapters.validator import hashes, jpeg, measuring, png
from pixcore_adapters.validator.damage import Damaged
from pixcore_adapters.validator.picture import Limits, Picture, Refusal

# The number grows with every change to what is hashed. Both libraries scale pictures, so both versions matter.
METHOD = f"pixcore-2/pillow-{PIL.__version__}/simplejpeg-{simplejpeg.__version__}"

_SIDE = 256  # pixels of the shorter side of the picture on which sharpness is measured, up to twice as many

# The same for hashes and all other measures. Of 414 photographs, hashes of whole pictures are at most 6 bits away;
# finer ones cost more and find no more variants.
_SHORTER = 80

# Standard deviation in grey levels of 255. Solid colours come out of JPEG below 0.5 and collide. At 2, two thirds of
# faded photographs are no longer found by their hashes. The flattest of 400 real ones, made small, has 7; fog leaves 5.
FLAT_BELOW = 2.0


_KNOWN: dict[type[Exception], RejectReason] = {
    NotAnImage: RejectReason.NOT_AN_IMAGE,
    FormatNotAllowed: RejectReason.FORMAT,
    BrokenHeader: RejectReason.DAMAGED,
    Damaged: RejectReason.DAMAGED,
}


class Unwanted(Exception):
    """The file is refused for this reason."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


def decode(path: Path, limits: Limits) -> Picture | Refusal:
    """Read the file once, check it against the limits, decode every frame, and hash what is seen.

    Whatever the file holds comes back as a value. Not for two threads at a time: warnings belong to the process.
    """
    with warnings.catch_warnings():
        only_warn_of_damage()
        return decode_in_child(path, limits)


def decode_in_child(path: Path, limits: Limits) -> Picture | Refusal:
    """Decode as ``decode`` does, in a process in which ``only_warn_of_damage`` was called before."""
    try:
        return _picture(read(path, limits), limits)
    except Exception as error:  # noqa: BLE001 (Pillow raises OSError, SyntaxError, IndexError and more for bad files)
        return refusal(error)


def refusal(error: Exception) -> Refusal:
    """Return the refusal of a file whose decoding raised this error."""
    if isinstance(error, Unwanted):
        return error.refusal
    return Refusal(_reason(error), " ".join(_message(error).split())[:200])


def only_warn_of_damage() -> None:
    """Raise what Pillow warns of about pixels and bombs; ignore its warnings about metadata and old interfaces."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", UserWarning)
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    # Fine photographs carry EXIF tags with wrong lengths; a TIFF that misses a tag that matters fails to decode.
    warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")
    # About an animation control that is invalid: the picture behind it is whole, and loaders show it.
    warnings.filterwarnings("ignore", message="Invalid APNG")
    # "malformed MPO": the stereo index is broken, the photograph is not.
    warnings.filterwarnings("ignore", module=r"PIL\.JpegImagePlugin")
    # Said of sound files with a half-transparent palette, when they are made grey.
    warnings.filterwarnings("ignore", message="Palette images with Transparency")


def read(path: Path, limits: Limits) -> bytes:
    """Read a file within the limits.

    Raises:
        Unwanted: It is no regular file, empty or too large, or cannot be read.
    """
    try:
        # O_NONBLOCK: a FIFO is to be refused, not waited for
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unwanted(RejectReason.NOT_AN_IMAGE, "not a regular file")
            if status.st_size > limits.max_bytes:
                raise Unwanted(RejectReason.TOO_LARGE, f"{status.st_size} of at most {limits.max_bytes} bytes")
            data = file.read(status.st_size)
    except OSError as error:
        raise Unwanted(RejectReason.NOT_AN_IMAGE, f"cannot be read: {error.strerror}") from error
    if not data:
        raise Unwanted(RejectReason.NOT_AN_IMAGE, "empty file")
    return data


def _picture(data: bytes, limits: Limits) -> Picture:
    outline = _outlined(data, limits)
    if outline and outline.size and "JPEG" in limits.formats:  # Pillow would parse the same segments again
        _check_frame(outline.size, 0, limits)
        jpeg.check_coded(data, outline)
        frames = _of_one(*_scaled(data, outline.size, outline.mode))
        return _measured(data, frames, outline.size, "JPEG", outline.mode, rendering.UPRIGHT)
    if data.startswith(png.SIGNATURE):
        png.check_chunks(data)
    with open_image(data, limits.formats) as image:
        image.decodermaxblock = len(data)  # with smaller blocks Pillow copies the unused rest of each to the next
        size = image.size
        _check_frame(size, 0, limits)
        mode, turn = image.mode, rendering.orientation(image)
        return _measured(data, _decoded(image, data, outline, limits), size, str(image.format), mode, turn)


def _measured(  # noqa: PLR0917 (what the header says)
    data: bytes, frames: "_Frames", size: tuple[int, int], format_: str, mode: str, turn: int
) -> Picture:
    fingerprint, grey = fingerprint_of(frames.mean)
    return Picture(
        sha256=hashlib.sha256(data).hexdigest(),
        width=size[0],
        height=size[1],
        format=format_,
        frames=frames.count,
        mode=mode,
        orientation=turn,
        fingerprint=fingerprint,
        measures=measuring.measure(frames.levels, frames.colours, frames.small, size),
        grey=grey,
    )


def _outlined(data: bytes, limits: Limits) -> jpeg.Outline | None:
    """Return the outline of a JPEG within the limits; None for other files."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    outline = jpeg.outline(data, limits.max_scans)
    if len(outline.scans) > limits.max_scans:
        raise Unwanted(RejectReason.TOO_MANY_SCANS, f"more than {limits.max_scans} scans")
    if not outline.whole:
        raise Unwanted(RejectReason.DAMAGED, "the end of the image is missing")
    return outline


def _check_frame(size: tuple[int, int], earlier: int, limits: Limits) -> int:
    """Refuse a frame beyond the limits before it is decoded; return the pixels of all frames up to this one."""
    width, height = size
    pixels = earlier + width * height
    if pixels > limits.max_pixels:
        raise Unwanted(RejectReason.TOO_MANY_PIXELS, f"{pixels} of at most {limits.max_pixels} pixels")
    if max(width, height) > limits.max_side:
        raise Unwanted(RejectReason.TOO_MANY_PIXELS, f"{width} x {height}, a side of at most {limits.max_side} pixels")
    return pixels


@frozen
class _Frames:
    """What is seen of a file.

    Attributes:
        count: How many frames there are.
        levels: The first one, in levels of grey.
        colours: Some pixels of the first one, as ``measuring.colours`` returns them.
        small: The first one made small, in mode L.
        mean: The mean of all frames made small, in mode L.
    """

    count: int
    levels: NDArray[np.uint8]
    colours: NDArray[np.uint8]
    small: Image.Image
    mean: Image.Image


def _decoded(image: ImageFile.ImageFile, data: bytes, outline: jpeg.Outline | None, limits: Limits) -> _Frames:
    """Decode every frame."""
    if outline:
        return _of_one(*_jpeg(image, data, outline))
    if image.format == "PNG":
        png.check_pixels(data)
    return _frames(image, limits)


def _of_one(grey: Image.Image, colours: NDArray[np.uint8]) -> _Frames:
    small = _small(grey)
    return _Frames(1, np.asarray(grey), colours, small, small)


def _jpeg(image: ImageFile.ImageFile, data: bytes, outline: jpeg.Outline) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Decode a JPEG, or the first image of an MPO; return it scaled in mode L, and its colours."""
    jpeg.check_coded(data, outline)
    if outline.scalable and image.mode in ("L", "RGB"):
        grey, colours = _scaled(data, image.size, image.mode)
        return rendering.upright(grey, rendering.orientation(image)), colours
    if outline.scalable:
        jpeg.decode(data, image.size, image.mode, 1)  # only for its warnings: Pillow knows more ways to store CMYK
    image.load()
    picture = rendering.render_frame(image, _SIDE)
    return picture.convert("L"), measuring.colours(np.asarray(picture))


def _scaled(data: bytes, size: tuple[int, int], mode: str) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Decode a JPEG of this size in mode L or RGB; return it scaled in mode L, and its colours."""
    stored = "L" if mode == "L" else "RGBX"
    pixels = jpeg.decode(data, size, stored, _SIDE)
    grey = Image.frombuffer(stored, pixels.shape[1::-1], pixels, "raw", stored, 0, 1).convert("L")
    return grey, measuring.colours(pixels)


def _frames(image: ImageFile.ImageFile, limits: Limits) -> _Frames:
    """Decode every frame.

    Hashes are made from the mean of all, because it differs if any frame differs, and hashes of it find copies as
    hashes of a single picture do.
    """
    image.load()
    picture = rendering.render_frame(image, _SIDE)
    grey, colours = picture.convert("L"), measuring.colours(np.asarray(picture))
    small = _small(grey)
    count, pixels = 1, image.width * image.height
    levels = np.asarray(small, np.float32)
    while image.format not in rendering.SINGLE and _seek(image, count):
        if count == limits.max_frames:
            raise Unwanted(RejectReason.TOO_MANY_FRAMES, f"more than {limits.max_frames} frames")
        pixels = _check_frame(image.size, pixels, limits)
        image.load()
        count += 1
        another = rendering.render_frame(image, _SHORTER).convert("L").resize(small.size, Image.Resampling.BOX)
        levels = levels + np.asarray(another, np.float32)
    declared = getattr(image, "n_frames", 1) if image.format == "PNG" else 1  # Pillow counts others by seeking
    if count < declared:
        raise Unwanted(RejectReason.DAMAGED, f"{count} of {declared} frames")
    mean = small if count == 1 else Image.fromarray(np.rint(levels / count).astype(np.uint8))
    return _Frames(count, np.asarray(grey), colours, small, mean)


def _small(picture: Image.Image) -> Image.Image:
    return picture.reduce(max(1, min(picture.size) // _SHORTER))


def _seek(image: Image.Image, frame: int) -> bool:
    try:
        image.seek(frame)
    except EOFError:
        return False
    return True


def fingerprint_of(luma: Image.Image) -> tuple[Fingerprint, bytes]:
    """Hash a picture of mode L; return its hashes, and the small grey picture that they were made from."""
    grey = hashes.grey_picture(luma)
    flat = measuring.deviation(np.bincount(grey.ravel(), minlength=256)) < FLAT_BELOW
    return Fingerprint(hashes.phash(grey), hashes.dhash(grey), METHOD, flat), grey.tobytes()


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, tuple(_KNOWN)) else f"{type(error).__name__}: {error}"


def _reason(error: Exception) -> RejectReason:
    if known := next((reason for kind, reason in _KNOWN.items() if isinstance(error, kind)), None):
        return known
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return RejectReason.TOO_MANY_PIXELS
    # Pillow's codecs say it with an OSError
    if isinstance(error, MemoryError) or ImageFile.ERRORS[-9] in str(error):
        return RejectReason.TOO_MUCH_MEMORY
    if UNSUPPORTED.search(str(error)):
        return RejectReason.FORMAT
    return RejectReason.DAMAGED
