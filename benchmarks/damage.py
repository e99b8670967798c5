"""Break JPEGs in ways that leave the end marker in place, so that only the pixels tell."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from pixcore_adapters.validator.jpeg import outline

_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\r\n" * 50
_HOLE, _SMALL = 4096, 512  # bytes
_END = b"\xff\xd9"
_KEPT = {"half of it": 0.5, "the last tenth gone": 0.9, "the last hundredth gone": 0.99}


def broken(data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each way, and the JPEG broken in that way."""
    chance, scans = np.random.default_rng(seed), outline(data, 100).scans
    start, end = scans[0].start, scans[-1].end
    for name, share in _KEPT.items():
        yield name, data[: start + int((end - start) * share)] + _END
    size = min(_HOLE, (end - start) // 3)
    small = min(_SMALL, size)
    for name, inserted, removed in (
        ("a hole", b"", size),
        ("a small hole", b"", small),
        ("zeroed", bytes(size), size),
        ("a few bytes zeroed", bytes(small), small),
        ("overwritten", chance.bytes(size), size),
        ("a web page over it", _PAGE[:size], size),
        ("a web page inside", _PAGE[:size], 0),
    ):
        place = int(chance.integers(start, end - size))
        yield name, data[:place] + inserted + data[place + removed :]
    if len(scans) > 1:
        yield "the last scan gone", data[: scans[-2].end] + _END
        yield "the last half of the scans gone", data[: scans[len(scans) // 2].end] + _END


def progressive(data: bytes) -> bytes:
    """Return the same picture as a progressive JPEG."""
    file = BytesIO()
    with Image.open(BytesIO(data)) as image:
        image.save(file, "JPEG", progressive=True, quality="keep")
    return file.getvalue()
