"""Small pictures of images that were validated before, each within a budget of bytes."""

import math
import warnings
from io import BytesIO

from attrs import frozen
from PIL import Image

from pixcore_adapters.rendering import render_frame

MEDIA_TYPE = "image/webp"

# The formats that validators accept. No other decoder is tried, whatever the bytes look like.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")

_ALL_BYTES = 14_000_000  # of all thumbnails together; in base64, a third more
_MOST_BYTES = 12_000  # of one
_SIDES = (96, 288)  # pixels
_PIXELS_A_BYTE = 6.0  # at which WebP still looks fine
_LONGEST = 3.0  # sides: of a strip or a panorama
_QUALITIES = (75, 60, 45, 30, 15)


@frozen
class Thumbnails:
    """Makes thumbnails of at most ``budget`` bytes and about ``side`` x ``side`` pixels, whatever their shape."""

    budget: int
    side: int

    @classmethod
    def of_so_many(cls, images: int) -> "Thumbnails":
        """As large as that many of them may be in one page."""
        budget = min(_MOST_BYTES, _ALL_BYTES // max(images, 1))
        least, most = _SIDES
        return cls(budget, max(least, min(most, int(math.sqrt(budget * _PIXELS_A_BYTE)))))

    def of(self, image: bytes) -> bytes:
        """A WebP picture of the first frame, upright; ``b""`` where there can be none. The same bytes give the same.

        Not for two threads at a time: warnings are a matter of the process.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                return self._encoded(self._small(image))
        except Exception:  # noqa: BLE001 - Pillow raises OSError, SyntaxError and more; a page goes without one picture
            return b""

    def _small(self, data: bytes) -> Image.Image:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
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
                image.save(file, "WEBP", quality=quality, method=4, exif=b"", icc_profile=None)
                if file.tell() <= self.budget:
                    return file.getvalue()
            image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
