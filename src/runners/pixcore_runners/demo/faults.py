"""The bytes of the faulty files that a crawl fetches beside good pictures."""

import zlib

import numpy as np
from PIL import Image

from pixcore_runners.demo.pictures import Picture, encode

_HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>404 Not Found</title></head>
<body><h1>Not Found</h1><p>The picture of a {keyword} that you are looking for has moved.</p></body>
</html>
"""


def rescaled(original: Picture) -> Picture:
    """Return the picture at half its width and height."""
    return encode(original.image().reduce(2), "JPEG", quality=90)


def recompressed(original: Picture) -> Picture:
    """Return the picture after strong compression."""
    return encode(original.image(), "JPEG", quality=40)


def cropped(original: Picture) -> Picture:
    """Return the picture without a margin of a little more than 1 % on each side."""
    image = original.image()
    right, bottom = round(image.width / 80), round(image.height / 80)
    return encode(image.crop((right, bottom, image.width - right, image.height - bottom)), "JPEG", quality=90)


def truncated(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Return the first 30 to 95 % of a JPEG, as a broken transfer leaves it."""
    whole = encode(image, "JPEG", quality=85, progressive=bool(rng.integers(2))).data
    return whole[: int(len(whole) * rng.uniform(0.3, 0.95))]


def tiny(image: Image.Image) -> bytes:
    """Return an icon of 32 x 32 pixels."""
    return encode(image.resize((32, 32)), "JPEG").data


def web_page(keyword: str) -> bytes:
    """Return the web page that a server sends for a missing picture."""
    return _HTML.format(keyword=keyword).encode()


def single_colour(colour: str, size: tuple[int, int], format_: str) -> bytes:
    """Return a picture of one colour, which has no detail to hash."""
    return encode(Image.new("RGB", size, colour), format_).data


def huge(side: int) -> bytes:
    """Return a valid black PNG of side x side pixels: a file of a few hundred kB that decodes to hundreds of MB."""
    header = side.to_bytes(4) * 2 + bytes((1, 0, 0, 0, 0))  # one bit a pixel, gray, no interlacing
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
        for kind, body in ((b"IHDR", header), (b"IDAT", _black(side)), (b"IEND", b""))
    )


def _black(side: int) -> bytes:
    # compresses row by row, so that the pixels are never in memory all at once
    compressor, row = zlib.compressobj(1), bytes(1 + (side + 7) // 8)
    return b"".join([*(compressor.compress(row) for _ in range(side)), compressor.flush()])


def scan_bomb(image: Image.Image, scans: int) -> bytes:
    """Return a progressive JPEG that repeats its first scan ``scans`` times; each costs a pass over the picture."""
    jpeg = encode(image.reduce(2), "JPEG", quality=60, progressive=True).data
    start = jpeg.index(b"\xff\xda")
    stop = start + 2
    # inside a scan's data, 0xFF is followed by 0x00 or by a restart marker
    while jpeg[stop] != 0xFF or jpeg[stop + 1] in {0x00, *range(0xD0, 0xD8)}:  # noqa: PLR2004 - the first byte of any marker
        stop += 1
    # the first scan sets complete values, so repeating it is valid and changes nothing
    return jpeg[:start] + jpeg[start:stop] * (1 + scans) + jpeg[stop:]
