"""Make thumbnails of validated images, each within a limit of bytes."""

import math
import warnings
from io import BytesIO

from attrs import frozen
from PIL import Image

from pixcore_adapters.opening import open_image
from pixcore_adapters.rendering import render_frame

MEDIA_TYPE = "image/webp"

_ALL_BYTES = 14_000_000  # for all thumbnails together; base64 adds a third
_MOST_BYTES = 12_000  # for one
_SIDES = (96, 288)  # pixels
_PIXELS_A_BYTE = 6.0  # with more pixels a byte, WebP looks worse
_LONGEST = 3.0  # times `side`: the limit for the longer side of a strip or a panorama
_QUALITIES = (75, 60, 45, 30, 15)
_METHOD = 2  # of WebP: half the time of the default, for 4 % more bytes


@frozen
class Thumbnails:
    """Make thumbnails of at most ``budget`` bytes and about ``side`` x ``side`` pixels, in any aspect ratio."""

    budget: int
    side: int

    @classmethod
    def for_count(cls, images: int) -> "Thumbnails":
        """Choose the size with which ``images`` thumbnails fit into one page."""
        budget = min(_MOST_BYTES, _ALL_BYTES // max(images, 1))
        least, most = _SIDES
        return cls(budget, max(least, min(most, int(math.sqrt(budget * _PIXELS_A_BYTE)))))

    def thumbnail(self, image: bytes) -> bytes:
        """Return a WebP picture of the first frame, upright; ``b""`` if it cannot be made. Deterministic.

        Only one thread may call it at a time, because it changes the warning filters of the process.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                return self._encoded(self._small(image))
        except Exception:  # noqa: BLE001 - Pillow raises OSError, SyntaxError and more; the page then lacks one picture
            return b""

    def _small(self, data: bytes) -> Image.Image:
        with open_image(data) as image:
            picture = render_frame(image, self.side)
        width, height = picture.size
        scale = min(1.0, self.side / math.sqrt(width * height), _LONGEST * self.side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        return picture

    def _encoded(self, image: Image.Image) -> bytes:
        while True:
            for quality in _QUALITIES:
                file = BytesIO()
                image.save(file, "WEBP", quality=quality, method=_METHOD, exif=b"", icc_profile=None)
                if file.tell() <= self.budget:
                    return file.getvalue()
            image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
