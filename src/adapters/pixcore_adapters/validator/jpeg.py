"""JPEG: its segments, read without decoding, and a strict, scaled decode that reports libjpeg's warnings.

Pillow ignores the warnings of libjpeg, and with them most damage: a file that is cut and then ended by a marker decodes
to a picture whose lower half is grey.
"""

import re
import struct
from collections.abc import Iterator

import numpy as np
import simplejpeg
from attrs import frozen
from numpy.typing import NDArray

from pixcore_adapters.validator.damage import Damaged
from pixcore_adapters.validator.scans import Headers, Scan

# The next marker that is not part of entropy-coded data: there, 0xFF is followed by 0x00 or a restart, or fills.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_TEM, _SOI, _EOI, _SOS, _ADOBE = 0x01, 0xD8, 0xD9, 0xDA, 0xEE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL_DCT = {0xC0, 0xC1}
_PROGRESSIVE = {0xC2, 0xCA}
_HUFFMAN_DCT = _SEQUENTIAL_DCT | {0xC2}
_DHT = 0xC4
_TABLES = {_DHT, 0xCC, 0xDB, 0xDD}  # Huffman, arithmetic conditioning, quantisation, restart interval
_FRAME = 8 + 3 * 4  # bytes of a frame header of four components, the most that Pillow decodes
_FRAME_HEADER = struct.Struct(">2xBHHB")  # after the length: bits a sample, height, width, components
_MODES = {1: "L", 3: "RGB"}  # by the number of components
# How the segments begin that say more of the picture than its pixels: EXIF data (APP1), the index of an MPO (APP2).
_NOT_PLAIN = {0xE1: b"Exif\0", 0xE2: b"MPF\0"}
_NEVER = b"\0" * 64
_ADOBE_SEGMENT = 14  # bytes with the length; the last is the colour transform, 0 to 2

# Coded data looks random: of so many bytes in a row, all are printable in less than one of 10**150 places. Even areas
# repeat a few bytes, which may be printable, so text is what has so many different ones.
_TEXT, _CHARACTERS = 384, 10
_STEP = 32  # bytes from one that is tried to the next
_ZEROS = bytes(512)
_RUN = b"\1" * (_TEXT // _STEP)
_PRINTABLE = np.isin(np.arange(256), [*range(0x20, 0x7F), *b"\t\r\n"])

_SCALES = (8, 4, 2, 1)  # by which libjpeg divides at the least cost; it has no fast code for others


@frozen
class Outline:
    """What a JPEG's markers say of it.

    Attributes:
        scans: In the order in which they are decoded.
        whole: Whether an end-of-image marker follows the scans.
        scalable: Whether ``decode`` can decode it, and refuses all that a full decode refuses. It can for nearly all:
            every scan is read to its end at every scale. Not so where the colours cannot be scaled up to the size of
            the picture, which only a full decode notices, where there is nothing to scale (lossless), and where the
            coding is arithmetic.
        refined: Whether the scans code every coefficient to its last bit. Those of a progressive JPEG do so step by
            step, and decoders show what there is.
        size: Width and height of a plain JPEG, of which nothing else must be known to draw it: 8 bits a sample, one or
            three components, no EXIF data, which may turn it, and no index of further pictures. None for all others.
        mode: Pillow's name of a plain JPEG's colour mode: L or RGB.
    """

    scans: tuple[Scan, ...]
    whole: bool
    scalable: bool
    refined: bool
    size: tuple[int, int] | None
    mode: str


def outline(data: bytes, most: int) -> Outline:
    """Read the markers of a JPEG, up to the end of the image or to the first scan beyond ``most``.

    Segments are skipped by their length, so that the markers of a thumbnail inside one do not count. Whatever follows
    the end of the image is ignored. Linear.
    """
    scans: list[Scan] = []
    frames: list[bytes] = []
    headers = Headers()
    start, marker, zeros, scalable, plain = 0, 0, True, True, True
    for marker, position in _markers(data):
        if start:
            scans.append(Scan(start, position - 2, zeros))
            if len(scans) > most:
                break
        start = position + _length(data, position) if marker == _SOS else 0
        if marker == _SOS:
            zeros = headers.start_scan(data[position:start])
        if marker == _DHT:
            headers.add_tables(data[position : position + _length(data, position)])
        if marker == _EOI:
            break
        if marker in _FRAMES and not scans:
            frames.append(data[position : position + _FRAME])
            scalable &= marker in _HUFFMAN_DCT and _even(frames[-1])
            headers.start_frame(frames[-1], progressive=marker in _PROGRESSIVE)
        plain &= not data.startswith(_NOT_PLAIN.get(marker, _NEVER), position + 2)
    size, mode = _plain(frames) if plain and scalable else (None, "")
    return Outline(tuple(scans), marker == _EOI and bool(scans), scalable, headers.refined, size, mode)


def _plain(frames: list[bytes]) -> tuple[tuple[int, int] | None, str]:
    """Return the size and mode of a picture with these frame headers, if it is plain."""
    if len(frames) != 1:
        return None, ""
    precision, height, width, components = _FRAME_HEADER.unpack_from(frames[0].ljust(_FRAME))
    plain = precision == 8 and height and width and components in _MODES  # noqa: PLR2004 (bits)
    return ((width, height), _MODES[components]) if plain else (None, "")


def decode(data: bytes, size: tuple[int, int], mode: str, at_least: int) -> NDArray[np.uint8]:
    """Decode a JPEG of this size strictly, scaled by 1, 1/2, 1/4 or 1/8, in mode L, RGBX or CMYK.

    The result has the shape rows x columns x bands. Its shorter side has at least ``at_least`` pixels, or all that the
    JPEG has.

    libjpeg warns of damaged pixels and of odd metadata alike. So what it refuses is decoded again without metadata:
    if nothing is wrong then, the picture is whole.

    Raises:
        Damaged: libjpeg reports an error or warns about the pixels.
    """
    width, height = size
    scale = next((scale for scale in _SCALES if min(width, height) >= scale * at_least), 1)
    target = -(-width // scale), -(-height // scale)
    try:
        return _strictly(data, mode, target)
    except ValueError:
        pass
    try:
        return _strictly(_without_metadata(data), mode, target)
    except ValueError as error:
        raise Damaged(str(error)) from error


def check_coded(data: bytes, outline: Outline) -> None:
    """Look for missing scans, a web page or the like inside the coded data, and a hole that was filled with zeros.

    libjpeg decodes up to a tenth of such files without a warning: codes get back into step with the blocks, and
    progressive scans code long runs of empty blocks.

    Raises:
        Damaged: The last scans are missing, or there is text, or there are zeros where no sound file has any.
    """
    if not outline.refined:
        raise Damaged("the last scans are missing")
    for scan in outline.scans:
        coded = np.frombuffer(data, np.uint8, scan.end - scan.start, scan.start)
        if not scan.zeros and data.find(_ZEROS, scan.start, scan.end) >= 0:
            raise Damaged("zeros inside the image data")
        tried = _PRINTABLE[coded[::_STEP]].tobytes()
        place = tried.find(_RUN)
        while place >= 0:
            block = coded[place * _STEP : place * _STEP + _TEXT - _STEP]
            if _PRINTABLE[block].all() and len(np.unique(block)) >= _CHARACTERS:
                raise Damaged("text inside the image data")
            place = tried.find(_RUN, place + 1)


def _strictly(data: bytes, mode: str, target: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = target
    colours = "GRAY" if mode == "L" else mode  # RGBX is how Pillow stores RGB: it needs no copy
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        data, colours, min_width=width, min_height=height, strict=True, fastdct=True, fastupsample=True
    )
    return pixels


def _without_metadata(data: bytes) -> bytes:
    """Keep of the part before the first scan only what the pixels need."""
    kept, sequential = [b"\xff\xd8"], False
    for marker, position in _markers(data):
        segment = data[position : position + _length(data, position)]
        if marker == _SOS:
            # A sequential scan has all coefficients whatever its parameters say: decoders ignore them, and warn.
            ending = b"\x00\x3f\x00" if sequential else segment[-3:]
            kept += b"\xff\xda", segment[:-3], ending, data[position + len(segment) :]
            break
        sequential |= marker in _SEQUENTIAL_DCT
        if marker in _FRAMES or marker in _TABLES or (marker == _ADOBE and _is_adobe(segment)):
            kept += bytes((0xFF, marker)), segment
    return b"".join(kept)


def _is_adobe(segment: bytes) -> bool:
    """Whether it says validly how the colours are stored, without which some colours would be others."""
    return len(segment) == _ADOBE_SEGMENT and segment[2:7] == b"Adobe" and segment[-1] in (0, 1, 2)


def _even(frame: bytes) -> bool:
    """Whether each component's sampling divides the finest one, across and down."""
    factors = frame[9 : 8 + 3 * int.from_bytes(frame[7:8]) : 3]
    ways = [factor >> 4 for factor in factors], [factor & 15 for factor in factors]
    return all(part and max(parts) % part == 0 for parts in ways for part in parts)


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield every marker outside the segments, and the position behind it."""
    position = 0
    while found := _MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        yield marker, position
        if marker not in (_TEM, _SOI):
            position += _length(data, position)


def _length(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 2], "big")
