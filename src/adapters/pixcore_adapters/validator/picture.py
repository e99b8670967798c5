"""What goes into a decode and what comes out: values that cross the pipe to the decoder child as JSON."""

import json
import os
from base64 import b64decode, b64encode
from functools import cache
from pathlib import Path
from typing import Any

from attrs import AttrsInstance, field, fields, frozen
from attrs.validators import deep_iterable, ge, in_

from pixcore.model.images import RejectReason
from pixcore.model.measures import Measures
from pixcore.model.quality import Fingerprint
from pixcore_adapters.formats import FORMATS


@frozen
class Limits:
    """What an image may be. Everything but the pixels themselves is checked before a pixel is decoded.

    Attributes:
        formats: Pillow's names of the formats allowed; some of the default.
        max_bytes: Size of the file.
        max_pixels: Of all frames together. Of an MPO or HEIF only the picture counts, not previews and gain maps.
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
    """An image that was decoded to the last pixel.

    Attributes:
        sha256: Of exactly the bytes that were decoded.
        width: In pixels, as Pillow reports it: before ``orientation`` is applied.
        height: The same.
        format: Pillow's name.
        frames: Frames or pages.
        mode: Pillow's name for the colour mode of the first frame.
        orientation: EXIF orientation that a viewer has to apply, 1 to 8; 1 where there is none.
        fingerprint: Of what is seen of all frames.
        measures: Of what is seen of the first frame.
        grey: What is seen, as 32 x 32 levels of grey, row by row: the hashes are made from it.
    """

    sha256: str
    width: int
    height: int
    format: str
    frames: int
    mode: str
    orientation: int
    fingerprint: Fingerprint
    measures: Measures
    grey: bytes


@frozen
class Refusal:
    """Why a file is not such an image; ``detail`` is one line."""

    reason: RejectReason
    detail: str


def to_json(outcome: Picture | Refusal) -> bytes:
    """Write what ``from_json`` reads."""
    values = _values(outcome)
    if isinstance(outcome, Picture):
        values["fingerprint"], values["measures"] = _values(outcome.fingerprint), _values(outcome.measures)
        values["grey"] = b64encode(outcome.grey).decode()
    return json.dumps(values).encode()


def _values(of: AttrsInstance) -> dict[str, Any]:
    """Return an object's attributes by name. ``asdict`` takes five times as long."""
    return {name: getattr(of, name) for name in _names(type(of))}


@cache
def _names(cls: type[AttrsInstance]) -> tuple[str, ...]:
    return tuple(attribute.name for attribute in fields(cls))


def from_json(text: bytes) -> Picture | Refusal:
    """Read what ``to_json`` wrote."""
    values = json.loads(text)
    if "reason" in values:
        return Refusal(RejectReason(values["reason"]), values["detail"])
    values["fingerprint"] = Fingerprint(**values["fingerprint"])
    values["measures"] = Measures(**values["measures"])
    values["grey"] = b64decode(values["grey"])
    return Picture(**values)


@frozen
class PreviewOf:
    """A request for a preview of the image at ``path``."""

    path: Path


@frozen
class Preview:
    """A small picture as WebP; ``b""`` if it could not be made."""

    picture: bytes


_PREVIEW = b"preview "  # absolute paths begin otherwise, and so do JSON objects


def request_to_bytes(request: Path | PreviewOf) -> bytes:
    """Write what ``request_from_bytes`` reads."""
    if isinstance(request, PreviewOf):
        return _PREVIEW + os.fsencode(request.path.absolute())
    return os.fsencode(request.absolute())


def request_from_bytes(data: bytes) -> Path | PreviewOf:
    """Read what ``request_to_bytes`` wrote."""
    if data.startswith(_PREVIEW):
        return PreviewOf(Path(os.fsdecode(data.removeprefix(_PREVIEW))))
    return Path(os.fsdecode(data))


def answer_to_bytes(answer: Picture | Refusal | Preview) -> bytes:
    """Write what ``answer_from_bytes`` reads."""
    return _PREVIEW + answer.picture if isinstance(answer, Preview) else to_json(answer)


def answer_from_bytes(data: bytes) -> Picture | Refusal | Preview:
    """Read what ``answer_to_bytes`` wrote."""
    return Preview(data.removeprefix(_PREVIEW)) if data.startswith(_PREVIEW) else from_json(data)
