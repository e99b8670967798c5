"""JPEGs to measure with: photographs of your own, or painted ones; and many different files out of few."""

import struct
from pathlib import Path

import numpy as np
import PIL
from attrs import frozen
from from_tests import installed
from PIL import Image


@frozen
class Kind:
    """What to paint: smooth colours under fine grain, as compressible as photographs are."""

    width: int
    height: int
    grain: int
    quality: int


PHOTO = Kind(500, 375, grain=12, quality=94)  # about 110 kB
SMALL = Kind(160, 120, grain=0, quality=88)  # about 4 kB
PAINTED = 500


def originals(folder: Path | None, count: int, kind: Kind = PHOTO) -> list[Path]:
    """So many JPEGs: the first of a folder, or else painted ones, which stay in the cache for the next time.

    Raises:
        SystemExit: There are fewer.
    """
    found = folder or installed("jpegs", f"{PAINTED} {kind} {PIL.__version__}", lambda made: paint(made, kind))
    paths = sorted(path for path in found.iterdir() if path.suffix.lower() in {".jpg", ".jpeg"})[:count]
    if len(paths) < count:
        raise SystemExit(f"{count} JPEGs are needed, and {found} holds {len(paths)}")
    return paths


def paint(folder: Path, kind: Kind) -> None:
    """Fill a folder with ``PAINTED`` JPEGs that are all different."""
    rng = np.random.default_rng(0)
    for number in range(PAINTED):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((kind.width, kind.height), Image.Resampling.BICUBIC), dtype=np.float32)
        grain = rng.standard_normal((kind.height, kind.width, 1), dtype=np.float32) * kind.grain
        pixels = np.clip(smooth + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=kind.quality)


def numbered(paths: list[Path], folder: Path, count: int) -> list[str]:
    """Write so many files, no two alike in their bytes; a chunk of them holds no picture twice. Gives their names."""
    folder.mkdir()
    names = [f"{number:06}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(marked(paths[number % len(paths)].read_bytes(), number))
    return names


def marked(jpeg: bytes, number: int) -> bytes:
    """The same picture with a number in a comment."""
    comment = str(number).encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment + jpeg[2:]
