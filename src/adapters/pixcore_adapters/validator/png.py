"""PNG: whether every chunk is as it was written, and whether the pixels inflate to the last one.

Pillow ignores both in part: it loads a file of which a part of the pixels is missing, and what it reports of a wrong
checksum depends on where the chunk lies.
"""

import zlib
from collections.abc import Iterator

from pixcore_adapters.validator.damage import Damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# First row and column of each pass of an interlaced picture, and the distances to the next.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_INPUT, _OUTPUT = 1 << 16, 1 << 20  # bytes that are inflated at a time, and that may come out at a time


def check_chunks(data: bytes) -> None:
    """Verify the length and the checksum of every chunk up to the end of the image. Linear.

    Raises:
        Damaged: A chunk is cut or its checksum is wrong, or the end is missing.
    """
    for name, start, end in _chunks(data):
        checksum = data[end : end + 4]
        if len(checksum) < 4:  # noqa: PLR2004 (bytes of a checksum)
            break
        if zlib.crc32(memoryview(data)[start - 4 : end]) != int.from_bytes(checksum, "big"):
            raise Damaged(f"the checksum of chunk {_printable(name)} is wrong")
        if name == b"IEND":
            return
    raise Damaged("the end of the image is missing")


def check_pixels(data: bytes) -> None:
    """Inflate the pixels of every frame, and throw them away.

    Takes memory for a megabyte, and time for the pixels that the header announces: check them against a limit before.

    Raises:
        Damaged: The pixels of a frame do not inflate, or are fewer than announced.
    """
    for frame in _frames(data):
        try:
            frame.check()
        except zlib.error as error:
            raise Damaged(f"the pixels do not inflate: {error}") from error


class _Frame:
    """The compressed pixels of one frame."""

    def __init__(self, header: bytes, width: int, height: int) -> None:
        self._bits = header[8] * _CHANNELS.get(header[9], 0)
        self._interlaced = header[12] != 0
        self._size = width, height
        self.parts: list[memoryview] = []

    def check(self) -> None:
        missing = self._announced()
        stream = zlib.decompressobj()
        for part in self.parts:
            for place in range(0, len(part), _INPUT):
                block: bytes | memoryview = part[place : place + _INPUT]
                while block and not stream.eof:
                    missing -= len(stream.decompress(block, _OUTPUT))
                    block = stream.unconsumed_tail
                if missing < -_OUTPUT:
                    return  # more than announced: readers ignore it
        if missing > 0 or not stream.eof:
            raise Damaged("pixels are missing")

    def _announced(self) -> int:
        """Return how many bytes the rows of all passes have, with the byte before each row."""
        width, height = self._size
        passes = _PASSES if self._interlaced else ((0, 0, 1, 1),)
        total = 0
        for row, column, down, across in passes:
            rows, columns = -((row - height) // down), -((column - width) // across)
            if rows > 0 and columns > 0:
                total += rows * (1 + (columns * self._bits + 7) // 8)
        return total


def _frames(data: bytes) -> Iterator[_Frame]:
    header, frame = b"", None
    for name, start, end in _chunks(data):
        content = memoryview(data)[start:end]
        if name == b"IHDR" and len(content) == 13:  # noqa: PLR2004 (bytes of a header)
            header = bytes(content)
            frame = _Frame(header, *_size(header))
        elif name == b"fcTL" and header and frame:
            if frame.parts:
                yield frame
            frame = _Frame(header, *_size(content[4:12]))
        elif frame and name == b"IDAT":
            frame.parts.append(content)
        elif frame and name == b"fdAT":
            frame.parts.append(content[4:])  # without the sequence number
    if frame and frame.parts:
        yield frame


def _size(content: bytes | memoryview) -> tuple[int, int]:
    return int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk, and where its content starts and ends."""
    start = len(SIGNATURE)
    while len(data) >= start + 8:
        length = int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], start + 8, start + 8 + length
        start += length + 12


def _printable(name: bytes) -> str:
    return name.decode() if name.isalpha() and name.isascii() else repr(name)[1:]
