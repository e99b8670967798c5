"""The demo's good pictures: painted, encoded like pictures on the web, and each different from all earlier ones."""

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
# six of eight pictures are JPEG, as on the web
_FORMATS = ("PNG", "JPEG", "WEBP", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG")
EXTENSIONS: Mapping[str, str] = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

# 4 bits above the default rule, so that slightly different hashes give no near-duplicates either
_TOO_NEAR = NearRule(phash=14, dhash=14)


@frozen
class Picture:
    """An encoded picture, Pillow's name of its format, and the hashes of its decoded pixels."""

    data: bytes
    format: str
    fingerprint: Fingerprint

    @property
    def extension(self) -> str:
        """The correct extension of its file name."""
        return EXTENSIONS[self.format]

    def image(self) -> Image.Image:
        """Open the picture for decoding."""
        return Image.open(BytesIO(self.data))


def encode(image: Image.Image, format_: str, **options: bool | int) -> Picture:
    """Encode the image, and hash the decoded file, which differs from the painted image."""
    file = BytesIO()
    image.save(file, format_, **options)
    with Image.open(file) as decoded:
        # 16 hex digits, most significant bit first
        phash, dhash = (int(str(hashed(decoded)), 16) for hashed in (imagehash.phash, imagehash.dhash))
    return Picture(file.getvalue(), format_, Fingerprint(phash, dhash, "imagehash", flat=False))


def paint(painter: Painter, rng: np.random.Generator) -> Image.Image:
    """Paint one picture in a random size."""
    canvas = Canvas.blank(*SIZES[rng.integers(len(SIZES))])
    painter(canvas, rng)
    return canvas.image(rng)


def distinct(painter: Painter, rng: np.random.Generator) -> Iterator[Picture]:
    """Yield pictures without end, first a PNG, then a JPEG. A picture that is near an earlier one is painted again."""
    earlier: list[Fingerprint] = []
    for format_ in cycle(_FORMATS):
        picture = _encoded(paint(painter, rng), format_, rng)
        while any(_TOO_NEAR.holds(picture.fingerprint, other) for other in earlier):
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
