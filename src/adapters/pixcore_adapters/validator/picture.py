"""What goes into a decode and what comes out: values that cross the pipe to the decoder child as JSON."""

import json

from attrs import asdict, field, frozen
from attrs.validators import deep_iterable, ge, in_

from pixcore.model.images import RejectReason
from pixcore.model.quality import Fingerprint

# Their decoders run inside the process: nothing outside this list (EPS among it starts ghostscript) is ever tried.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF")


@frozen
class Limits:
    """What an image may be. Everything but the pixels themselves is checked before a pixel is decoded.

    Attributes:
        formats: Pillow's words for the formats allowed; some of the default. MPO is what stereo cameras call JPEG.
        max_bytes: Size of the file.
        max_pixels: Of all frames together.
        max_side: Width or height. Above the longest comic strips and panoramas, below what one-pixel-wide files need
            to make Pillow spend more on rows than on pixels.
        max_frames: Of an animation or a multi-page file.
        max_scans: Of a progressive JPEG; real ones have at most 11, and each costs a pass over the whole picture.
    """

    formats: tuple[str, ...] = field(default=FORMATS, converter=tuple, validator=deep_iterable(in_(FORMATS)))
    max_bytes: int = field(default=50 << 20, validator=ge(1))
    max_pixels: int = field(default=50_000_000, validator=ge(1))
    max_side: int = field(default=30_000, validator=ge(1))
    max_frames: int = field(default=100, validator=ge(1))
    max_scans: int = field(default=100, validator=ge(1))


@frozen
class Picture:
    """An image that was decoded to the last pixel; ``sha256`` is of exactly the bytes that were decoded."""

    sha256: str
    width: int
    height: int
    format: str
    fingerprint: Fingerprint


@frozen
class Refusal:
    """Why a file is not such an image; ``detail`` is one line."""

    reason: RejectReason
    detail: str


def to_json(outcome: Picture | Refusal) -> bytes:
    """Write what ``from_json`` reads."""
    return json.dumps(asdict(outcome)).encode()


def from_json(text: bytes) -> Picture | Refusal:
    """Read what ``to_json`` wrote."""
    values = json.loads(text)
    if "reason" in values:
        return Refusal(RejectReason(values["reason"]), values["detail"])
    return Picture(**values | {"fingerprint": Fingerprint(**values["fingerprint"])})
