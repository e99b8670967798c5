"""Make thumbnails of validated images, each within a limit of bytes."""

import math
import os
import warnings
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from io import BytesIO
from typing import Any, TypeVar

import simplejpeg
from attrs import frozen
from PIL import Image

from pixcore_adapters.opening import open_image
from pixcore_adapters.rendering import orientation, render_frame, upright

_ALL_BYTES = 14_000_000  # for all thumbnails together; base64 adds a third
_MOST_BYTES = 12_000  # for one
_SIDES = (96, 288)  # pixels
_PIXELS_A_BYTE = 6.0  # with more pixels a byte, thumbnails look worse
_LONGEST = 3.0  # times `side`: the limit for the longer side of a strip or a panorama
_QUALITIES = (75, 60, 45, 30, 15)
# A decoder scales a JPEG to eighths of its size. If one of these is near the wanted size, the picture is not resized.
_LEAST_SIDE = 0.88  # times the wanted one
_MORE_PIXELS = 1.1  # times the wanted ones
_AHEAD = 2  # images for each thread: one that it works on, and the next one

T = TypeVar("T")


class Encoding(StrEnum):
    """The format of thumbnails, as its media type.

    At equal quality a JPEG has as many bytes as a WebP that is encoded fast, takes an eighth of the time to encode, and
    10 % more bytes than one that is encoded well. Medians of 200 photographs, at 96 and at 268 pixels a side.
    """

    JPEG = "image/jpeg"
    WEBP = "image/webp"


# The options of Pillow. `optimize` makes small JPEGs a sixth smaller. Method 2 of WebP takes half the time of the
# default, for 4 % more bytes.
_OPTIONS: dict[Encoding, dict[str, Any]] = {
    Encoding.JPEG: {"format": "JPEG", "optimize": True},
    Encoding.WEBP: {"format": "WEBP", "method": 2},
}


@frozen
class Thumbnails:
    """Make thumbnails of at most ``budget`` bytes and about ``side`` x ``side`` pixels, in any aspect ratio."""

    budget: int
    side: int
    encoding: Encoding = Encoding.JPEG

    @classmethod
    def for_count(cls, images: int) -> "Thumbnails":
        """Choose the size with which ``images`` thumbnails fit into one page."""
        budget = min(_MOST_BYTES, _ALL_BYTES // max(images, 1))
        least, most = _SIDES
        return cls(budget, max(least, min(most, int(math.sqrt(budget * _PIXELS_A_BYTE)))))

    def thumbnail(self, image: bytes) -> bytes:
        """Return a picture of the first frame, upright; ``b""`` if it cannot be made. Deterministic.

        Only one thread may call it at a time, because it changes the warning filters of the process.
        """
        with bombs_are_errors():
            return self.draw(image)

    def all_of(self, images: Iterable[tuple[T, bytes]]) -> Generator[tuple[T, bytes]]:
        """Yield each item with the thumbnail of its image, in order. Use all cores.

        It draws ahead at most two images for each core, which bounds the memory. Only one thread may call it at a
        time, as for ``thumbnail``.

        Raises:
            Exception: Whatever ``images`` raises, after the items before it.
        """
        threads = os.cpu_count() or 1
        ahead: deque[tuple[T, Future[bytes]]] = deque()
        error: Exception | None = None
        with bombs_are_errors(), ThreadPoolExecutor(threads) as pool:
            try:
                for item, image in images:
                    ahead.append((item, pool.submit(self.draw, image)))
                    if len(ahead) > _AHEAD * threads:
                        earliest, made = ahead.popleft()
                        yield earliest, made.result()
            except Exception as raised:  # noqa: BLE001 - raised again below
                error = raised
            for item, made in ahead:
                yield item, made.result()
        if error:
            raise error

    def draw(self, image: bytes) -> bytes:
        """Return the same as ``thumbnail``. Threads may call it at a time, within ``bombs_are_errors``."""
        try:
            return self._encoded(self._small(image))
        except Exception:  # noqa: BLE001 - Pillow raises OSError, SyntaxError and more; the page then lacks one picture
            return b""

    def _small(self, data: bytes) -> Image.Image:
        with open_image(data) as image:
            wanted = self._size(image.size)
            picture = _scaled_jpeg(data, image, wanted) or render_frame(image, self.side)
        if picture.width * picture.height > _MORE_PIXELS * wanted[0] * wanted[1]:
            picture.thumbnail(self._size(picture.size), Image.Resampling.HAMMING, reducing_gap=2.0)
        return picture

    def _size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the thumbnail of a picture of this size."""
        width, height = size
        scale = min(1.0, self.side / math.sqrt(width * height), _LONGEST * self.side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _encoded(self, image: Image.Image) -> bytes:
        while True:
            for quality in _QUALITIES:
                file = BytesIO()
                image.save(file, quality=quality, exif=b"", icc_profile=None, **_OPTIONS[self.encoding])
                if file.tell() <= self.budget:
                    return file.getvalue()
            image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))


def _scaled_jpeg(data: bytes, image: Image.Image, wanted: tuple[int, int]) -> Image.Image | None:
    """Decode a plain JPEG at about the wanted size; return None for other files, which Pillow has to decode."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB"):
        return None
    width, height = (math.ceil(side * _LEAST_SIDE) for side in wanted)
    try:
        pixels = simplejpeg.decode_jpeg(data, fastupsample=True, min_width=width, min_height=height, min_factor=1)
    except ValueError:  # it warns of damage that verdicts may accept, as in metadata
        return None
    return upright(Image.fromarray(pixels), orientation(image))


@contextmanager
def bombs_are_errors() -> Generator[None]:
    """Let Pillow refuse decompression bombs within the block, and print no warnings, in all threads of the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
