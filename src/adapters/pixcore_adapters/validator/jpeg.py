"""The segments of a JPEG, walked without decoding: what Pillow and libjpeg do not tell before or after the fact."""

import re

# The next marker that is not part of entropy-coded data: there, 0xFF is followed by 0x00 or a restart, or fills.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_TEM, _SOI, _EOI, _SOS = 0x01, 0xD8, 0xD9, 0xDA


def walk(data: bytes, start: int, most: int) -> tuple[int, bool]:
    """Count the scans of the JPEG at ``start``, and tell whether it is whole: an end-of-image marker follows them.

    Gives up, not whole, at the first scan beyond ``most``. Segments are skipped by their length, so that the markers
    of a thumbnail inside one do not count; whatever follows the end of the image is not looked at. Linear.
    """
    scans, position = 0, start
    while found := _MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        if marker == _EOI:
            return scans, scans > 0
        if marker == _SOS:
            scans += 1
            if scans > most:
                break
        if marker not in (_TEM, _SOI):
            position += int.from_bytes(data[position : position + 2], "big")
    return scans, False
