"""A run with default settings keeps distinct pictures of every kind, drops copies, and refuses only what is broken."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command import at_home, pixcore
from pictures import encoded, photo
from PIL import Image, ImageDraw

Files = dict[str, bytes]


def grey(seed: int) -> np.ndarray:
    """Levels of a photograph, without a sign, in a round field of view."""
    levels = np.asarray(photo(seed, 256, 256).convert("L"), np.uint32)
    y, x = np.mgrid[:256, :256]
    return np.where((y - 128) ** 2 + (x - 128) ** 2 < 110**2, levels, 0)


def deep_scans() -> Files:
    """Different 16-bit scans with the same frame around them."""
    return {f"{n}.png": encoded(Image.fromarray((grey(n) * 234).astype(np.uint16)), "PNG") for n in range(8)}


def deep_copies() -> Files:
    """Each scan in two encodings."""
    scans = [Image.fromarray((grey(n) * 257).astype(np.uint16)) for n in range(3)]
    return {f"{n}.{name}": encoded(scan, name) for n, scan in enumerate(scans) for name in ("PNG", "TIFF")}


def heights() -> Files:
    """Maps of heights, with a mark for missing data."""
    maps = [np.where(grey(n) == 0, -32768, grey(n) * 30.0).astype(np.float32) for n in range(8)]
    return {f"{n}.tif": encoded(Image.fromarray(one), "TIFF") for n, one in enumerate(maps)}


def drawing(seed: int) -> Image.Image:
    """A mask of a few corners."""
    chance, mask = np.random.default_rng(seed), Image.new("L", (256, 256))
    for _ in range(3):
        ImageDraw.Draw(mask).polygon([tuple(corner) for corner in chance.integers(0, 256, (5, 2)).tolist()], fill=255)
    return mask


def cutouts() -> Files:
    """One backdrop, of which each file shows another part."""
    files = {}
    for n in range(8):
        image = photo(1, 256, 256).convert("RGBA")
        image.putalpha(drawing(n))
        files[f"{n}.png"] = encoded(image, "PNG")
    return files


def icons() -> Files:
    """Drawings that are in the transparency alone; half of them are white."""
    files = {}
    for n in range(8):
        level = 255 if n % 2 else 20
        image = Image.new("RGBA", (256, 256), (level, level, level, 0))
        image.putalpha(drawing(n))
        files[f"{n}.png"] = encoded(image, "PNG")
    return files


def documents() -> Files:
    """Documents of one cover and different pages."""
    pages = [[photo(s, 240, 180) for s in (0, *range(10 * n + 10, 10 * n + 14))] for n in range(6)]
    return {f"{n}.tif": encoded(one[0], "TIFF", save_all=True, append_images=one[1:]) for n, one in enumerate(pages)}


def turned() -> Files:
    """One photograph with things before it, stored upright and turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = photo(1, 400, 300)
    for n, colour in enumerate(("red", "white", "navy", "gold")):
        upright.paste(colour, (80 * n, 20), drawing(n))
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    return {"a.jpg": encoded(upright, quality=92), "b.jpg": encoded(lying, exif=exif, quality=92)}


def formats() -> Files:
    """A photograph in each format and mode."""
    deep = Image.fromarray(np.asarray(photo(5).convert("L"), np.uint16) * 257)
    plain = {f"{n}.{name}": encoded(photo(n), name) for n, name in enumerate(("JPEG", "PNG", "WEBP", "GIF", "AVIF"))}
    return {**plain, "deep.png": encoded(deep, "PNG"), "print.jpg": encoded(photo(6).convert("CMYK"))}


def phones() -> Files:
    """Photographs with a second picture that is gone."""
    whole = [encoded(photo(n), "MPO", save_all=True, append_images=[photo(n, 160, 120)]) for n in range(3)]
    return {f"{n}.jpg": data[: data.rindex(b"\xff\xd8\xff")] for n, data in enumerate(whole)}


def halves() -> Files:
    """Photographs that were cut in half and ended by a marker."""
    return {f"{n}.jpg": (data := encoded(photo(n)))[: len(data) // 2] + b"\xff\xd9" for n in range(5)}


@pytest.mark.process
@pytest.mark.parametrize(
    ("files", "kept", "rejected"),
    [
        (deep_scans, 8, {}),
        (deep_copies, 3, {"near_duplicate": 3}),
        (heights, 8, {}),
        (cutouts, 8, {}),
        (icons, 8, {}),
        (documents, 6, {}),
        (turned, 1, {"near_duplicate": 1}),
        (formats, 7, {}),
        (phones, 3, {}),
        (halves, 0, {"damaged": 5}),
    ],
)
def test_distinct_pictures_stay_and_copies_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Callable[[], Files], kept: int, rejected: dict[str, int]
) -> None:
    """Dropping a picture in silence is the worst that can happen to a dataset."""
    at_home(tmp_path, monkeypatch)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in files().items():
        (folder / name).write_bytes(data)
    [chunk] = pixcore("run", "--source", "folder:photos", "--quiet", "--json").chunks
    assert (chunk["accepted"], chunk["rejected"]) == (kept, rejected)
    if kept:
        with zipfile.ZipFile(tmp_path / "pixcore-data/blobs/photos/data/chunk_1.zip") as archive:
            rows = [json.loads(line) for line in archive.read("rows.jsonl").splitlines()]
        assert len(rows) == kept
        assert all(row["frames"] == (5 if files is documents else 1) for row in rows)
        assert all(row["mode"] and row["sharpness"] and row["contrast"] for row in rows)
