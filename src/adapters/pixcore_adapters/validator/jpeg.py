"""The segments of a JPEG, walked without decoding: what Pillow and libjpeg do not tell before or after the fact."""

import re
from collections.abc import Iterator

# The next marker that is not part of entropy-coded data: there, 0xFF is followed by 0x00 or a restart, or fills.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_TEM, _SOI, _EOI, _SOS = 0x01, 0xD8, 0xD9, 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_HUFFMAN_DCT = {0xC0, 0xC1, 0xC2}
_FRAME = 8 + 3 * 4  # bytes of a frame header of four components, the most that Pillow decodes


def walk(data: bytes, start: int, most: int) -> tuple[int, bool]:
    """Count the scans of the JPEG at ``start``, and tell whether it is whole: an end-of-image marker follows them.

    Gives up, not whole, at the first scan beyond ``most``. Segments are skipped by their length, so that the markers
    of a thumbnail inside one do not count; whatever follows the end of the image is not looked at. Linear.
    """
    scans = 0
    for marker, _ in _markers(data, start):
        if marker == _EOI:
            return scans, scans > 0
        if marker == _SOS:
            scans += 1
            if scans > most:
                break
    return scans, False


def scalable(data: bytes) -> bool:
    """Whether a smaller, grey decode of this JPEG refuses exactly what a full one refuses.

    It does for nearly all: every scan is read to its end at every scale. Not so where the colours cannot be scaled up
    to the size of the picture, which only a full decode notices, and where there is nothing to scale (lossless).
    """
    for marker, position in _markers(data, 0):
        if marker == _SOS:
            break
        if marker in _FRAMES and not (marker in _HUFFMAN_DCT and _even(data[position : position + _FRAME])):
            return False
    return True


def _even(frame: bytes) -> bool:
    """Whether each component's sampling divides the finest one, across and down."""
    factors = frame[9 : 8 + 3 * int.from_bytes(frame[7:8]) : 3]
    ways = [factor >> 4 for factor in factors], [factor & 15 for factor in factors]
    return all(part and max(parts) % part == 0 for parts in ways for part in parts)


def _markers(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Every marker outside the segments, and the position behind it."""
    position = start
    while found := _MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        yield marker, position
        if marker not in (_TEM, _SOI):
            position += int.from_bytes(data[position : position + 2], "big")
