"""JPEGs for benchmarks: your own photographs or painted ones, and copies that differ in their bytes."""

import struct
from pathlib import Path

import numpy as np
import PIL
from attrs import frozen
from from_tests import installed
from PIL import Image


@frozen
class Kind:
    """A kind of painted JPEG: smooth colours under fine grain, which compress like photographs."""

    width: int
    height: int
    grain: int
    quality: int


PHOTO = Kind(500, 375, grain=12, quality=94)  # about 110 kB
SMALL = Kind(160, 120, grain=0, quality=88)  # about 4 kB
PAINTED = 500


def originals(folder: Path | None, count: int, kind: Kind = PHOTO) -> list[Path]:
    """Return the first ``count`` JPEGs of a folder; without one, painted JPEGs, which are kept in the cache.

    Raises:
        SystemExit: The folder has fewer JPEGs.
    """
    found = folder or installed("jpegs", f"{PAINTED} {kind} {PIL.__version__}", lambda new: paint(new, kind))
    paths = sorted(path for path in found.iterdir() if path.suffix.lower() in {".jpg", ".jpeg"})[:count]
    if len(paths) < count:
        raise SystemExit(f"{count} JPEGs are needed, but {found} has only {len(paths)}")
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


def write_copies(paths: list[Path], folder: Path, count: int) -> list[str]:
    """Write ``count`` files that all differ in their bytes; return their names. A chunk contains no picture twice."""
    folder.mkdir()
    names = [f"{number:06}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(marked(paths[number % len(paths)].read_bytes(), number))
    return names


def marked(jpeg: bytes, number: int) -> bytes:
    """Return the same picture with a number in a JPEG comment."""
    comment = str(number).encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment + jpeg[2:]
