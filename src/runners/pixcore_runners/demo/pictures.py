"""The demo's good pictures: painted, encoded as pictures of the web are, and each unlike all before it."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import cycle

import imagehash
import numpy as np
from attrs import frozen
from PIL import Image

from pixcore.model.quality import Fingerprint, NearRule
from pixcore_runners.demo.canvas import Canvas
from pixcore_runners.demo.scenes import Painter

SIZES = ((480, 360), (640, 480), (800, 600), (1024, 768), (640, 427), (800, 533), (960, 540), (480, 640), (600, 600))
# of every eight pictures six are JPEG, as on the web
_FORMATS = ("PNG", "JPEG", "WEBP", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG")
EXTENSIONS: Mapping[str, str] = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

# clear of the default rule by 4 bits: whoever hashes a little differently still finds no near-duplicates
_UNLIKE = NearRule(phash=14, dhash=14)


@frozen
class Picture:
    """An encoded picture of the format that Pillow calls ``format``, and what its decoded pixels hash to."""

    data: bytes
    format: str
    fingerprint: Fingerprint

    @property
    def extension(self) -> str:
        """The right end of its file name."""
        return EXTENSIONS[self.format]

    def image(self) -> Image.Image:
        """The decoded pixels."""
        return Image.open(BytesIO(self.data))


def encode(image: Image.Image, format_: str, **options: bool | int) -> Picture:
    """Encode and hash: the hashes are of the file as a reader gets it, not of what was painted."""
    file = BytesIO()
    image.save(file, format_, **options)
    with Image.open(file) as decoded:
        # 16 hex digits, most significant bit first
        phash, dhash = (int(str(hashed(decoded)), 16) for hashed in (imagehash.phash, imagehash.dhash))
    return Picture(file.getvalue(), format_, Fingerprint(phash, dhash, "imagehash", flat=False))


def paint(painter: Painter, rng: np.random.Generator) -> Image.Image:
    """One picture, of one of several sizes."""
    canvas = Canvas.blank(*SIZES[rng.integers(len(SIZES))])
    painter(canvas, rng)
    return canvas.image(rng)


def distinct(painter: Painter, rng: np.random.Generator) -> Iterator[Picture]:
    """Pictures without end, the first a PNG and the second a JPEG; one that comes near an earlier one is repainted."""
    earlier: list[Fingerprint] = []
    for format_ in cycle(_FORMATS):
        picture = _encoded(paint(painter, rng), format_, rng)
        while any(_UNLIKE.holds(picture.fingerprint, other) for other in earlier):
            picture = _encoded(paint(painter, rng), format_, rng)
        earlier.append(picture.fingerprint)
        yield picture


def _encoded(image: Image.Image, format_: str, rng: np.random.Generator) -> Picture:
    quality, progressive = int(rng.integers(70, 96)), bool(rng.integers(3) == 0)
    match format_:
        case "PNG":
            return encode(image, format_, compress_level=1)
        case "WEBP":
            return encode(image, format_, quality=quality, method=1)
        case _:
            return encode(image, format_, quality=quality, progressive=progressive)
