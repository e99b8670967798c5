"""Generate pictures for tests: some like photographs, some crafted to attack a decoder."""

import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image


def photo(seed: int, width: int = 320, height: int = 240) -> Image.Image:
    """Return soft shapes of several sizes with grain, in colour; each seed gives a very different picture."""
    return _painted(seed, width, height).copy()


@lru_cache(maxsize=64)  # many tests ask for the same few pictures
def _painted(seed: int, width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3))
    for cells, weight in ((3, 60), (7, 40), (20, 20), (60, 8)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pixels += weight * (np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 128.0 - 1)
    pixels += 128 + rng.normal(0, 4, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:  # noqa: A002 (Pillow's word)
    """Encode an image with Pillow; return the file."""
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def encoded_heic(image: Image.Image) -> bytes:
    """Encode an image as HEIC, like phones; needs the extra `heif`."""
    from pillow_heif import from_pillow  # noqa: PLC0415 (an extra)

    file = BytesIO()
    from_pillow(image).save(file)
    return file.getvalue()


def exif_with_thumbnail(seed: int) -> bytes:
    """Return EXIF data whose second directory points to a small JPEG, like those of cameras."""
    thumbnail = encoded(photo(seed, 160, 120))
    tags = ((0x0103, 3, 6), (0x0201, 4, 8 + 6 + 42), (0x0202, 4, len(thumbnail)))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    first = struct.pack("<HI", 0, 8 + 6)
    second = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + first + second + thumbnail


def scan_bomb(scans: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated this many times."""
    whole = encoded(photo(1), progressive=True)
    start = whole.rindex(b"\xff\xda")
    return whole[:start] + whole[start:-2] * scans + whole[-2:]


def plain_png(width: int, height: int) -> bytes:
    """Return a black greyscale PNG of any size, made without all pixels in memory."""
    return _png(struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), _zeros((width + 1) * height))


def deep_png(width: int, height: int, level: int) -> bytes:
    """Return an even colour PNG of 16 bits a channel."""
    row = b"\0" + struct.pack(">H", level) * 3 * width
    return _png(struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0), iter([zlib.compress(row * height)]))


def animation(frames: int, format: str = "GIF") -> bytes:  # noqa: A002 (Pillow's word)
    """Return an animation of different frames, 64 x 64 pixels."""
    first, *others = (photo(7, 64, 64).rotate(number % 360) for number in range(frames))
    return encoded(first, format, save_all=True, append_images=others)


def postscript() -> bytes:
    """Return an EPS file, which Pillow alone would pass to ghostscript."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n0 0 moveto\nshowpage\n%%EOF\n"


def _zeros(count: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    for _ in range(count // len(block)):
        yield packer.compress(block)
    yield packer.compress(bytes(count % len(block)))
    yield packer.flush()


def _png(header: bytes, pixels: Iterator[bytes]) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", b"".join(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
