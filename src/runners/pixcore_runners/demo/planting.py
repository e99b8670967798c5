"""The demo's folder: good pictures, planted faults, and the expected verdict on each file."""

import os
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path

import numpy as np
from attrs import frozen

from pixcore.errors import InvalidRequest
from pixcore.model.images import MissReason, RejectReason
from pixcore.model.quality import NearRule
from pixcore_runners.demo import faults
from pixcore_runners.demo.pictures import Picture, distinct, paint
from pixcore_runners.demo.scenes import SCENES, Painter

ACCEPTED = "accepted"

# the name of the subfolders that the site's robots.txt forbids
KEEP_OUT = "keep-out"

_PICTURES = 25
_MISLABELLED = 2  # the first is a PNG, the second a JPEG
_TRUNCATED = 3
_MODIFIED = 1767225600  # 2026-01-01 in Unix seconds; constant, because rows contain it

# 4 bits below the default rule, so that slightly different hashes find the near-duplicate too
_CLEARLY_NEAR = NearRule(phash=6, dhash=6)


class Kind(Enum):
    """A kind of planted file: its description, and the verdict that it must get."""

    PICTURE = "good picture", ACCEPTED
    WRONG_EXTENSION = "wrong extension", ACCEPTED
    SINGLE_COLOUR = "single colour", ACCEPTED
    COPY = "exact copy", RejectReason.DUPLICATE
    RESCALED = "half the size", RejectReason.NEAR_DUPLICATE
    RECOMPRESSED = "recompressed", RejectReason.NEAR_DUPLICATE
    CROPPED = "slightly cropped", RejectReason.NEAR_DUPLICATE
    TRUNCATED = "truncated JPEG", RejectReason.DAMAGED
    WEB_PAGE = "web page named .jpg", RejectReason.NOT_AN_IMAGE
    EMPTY = "empty file", RejectReason.NOT_AN_IMAGE
    GARBAGE = "random bytes named .png", RejectReason.NOT_AN_IMAGE
    TINY = "32 x 32 pixels", RejectReason.TOO_SMALL
    HUGE = "hundreds of megapixels", RejectReason.TOO_MANY_PIXELS
    SCAN_BOMB = "scan bomb", RejectReason.TOO_MANY_SCANS
    BUSY = "busy at first (429)", ACCEPTED
    MOVED = "moved elsewhere (302)", ACCEPTED
    NOT_FOUND = "not found (404)", "http_404"
    SLOW = "answers too late", MissReason.TIMEOUT
    DRIPPING = "one byte at a time", MissReason.TIMEOUT
    CUT_SHORT = "shorter than stated", MissReason.TRUNCATED
    CUT_SILENTLY = "cut, no length stated", RejectReason.DAMAGED
    ENDLESS = "endless body", MissReason.TOO_LARGE
    LURE = "redirect off limits", MissReason.ADDRESS
    OPTED_OUT = "header X-Robots-Tag: noai", MissReason.OPTED_OUT
    FORBIDDEN = "forbidden by robots.txt", MissReason.OPTED_OUT

    def __init__(self, description: str, verdict: str) -> None:
        self.description = description
        self.verdict = str(verdict)


@frozen
class Planted:
    """A folder of planted files.

    Attributes:
        folder: Its path.
        keywords: The name of each keyword's subfolder, ordered by that name.
        files: The kind of each file by its path below ``folder``, with ``/``; ordered by path.
    """

    folder: Path
    keywords: Mapping[str, str]
    files: Mapping[str, Kind]


def plant(folder: Path, seed: int = 0) -> Planted:
    """Fill a new or empty folder with painted pictures and planted faults, a subfolder for each keyword.

    The same seed gives the same files, byte for byte, with the same versions of Pillow and numpy. Every duplicate is in
    the folder of its original, and its name begins with the original's, so that it sorts after it.

    Raises:
        InvalidRequest: The folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InvalidRequest(f"{folder} is not empty; choose a new folder for the demo's pictures")
    keywords = {keyword: keyword.replace(" ", "-") for keyword in sorted(SCENES)}
    files: dict[str, Kind] = {}
    for number, (keyword, name) in enumerate(keywords.items()):
        (folder / name).mkdir(parents=True)
        for file, data, kind in _keyword(keyword, SCENES[keyword], np.random.default_rng([seed, number])):
            path = folder / name / file
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (_MODIFIED, _MODIFIED))
            files[f"{name}/{file}"] = kind
    return Planted(folder, keywords, dict(sorted(files.items())))


def _keyword(keyword: str, painter: Painter, rng: np.random.Generator) -> Iterator[tuple[str, bytes, Kind]]:
    """Yield name, bytes and kind of each file of one keyword."""
    stream = distinct(painter, rng)
    pictures = [next(stream) for _ in range(_PICTURES)]
    stems = [f"{keyword.replace(' ', '-')}-{number:02}" for number in range(1, _PICTURES + 1)]
    for number, (stem, picture) in enumerate(zip(stems, pictures, strict=True)):
        if number < _MISLABELLED:
            wrong = ".png" if picture.format == "JPEG" else ".jpg"
            yield stem + wrong, picture.data, Kind.WRONG_EXTENSION
        else:
            yield stem + picture.extension, picture.data, Kind.PICTURE
    yield from _duplicates(dict(zip(stems, pictures, strict=True)), rng)
    yield from _broken(keyword, painter, rng)
    yield from _served(stream, rng)


def _duplicates(pictures: Mapping[str, Picture], rng: np.random.Generator) -> Iterator[tuple[str, bytes, Kind]]:
    originals = iter(rng.permutation(list(pictures)).tolist())
    for _ in range(2):
        stem = next(originals)
        yield f"{stem}_copy{pictures[stem].extension}", pictures[stem].data, Kind.COPY
    variants: tuple[tuple[str, Kind, Callable[[Picture], Picture]], ...] = (
        ("half", Kind.RESCALED, faults.rescaled),
        ("q40", Kind.RECOMPRESSED, faults.recompressed),
        ("cropped", Kind.CROPPED, faults.cropped),
    )
    for suffix, kind, vary in variants:
        # skips the few pictures, such as smooth ones, whose variant has hashes that are too far away
        for stem in originals:
            variant = vary(pictures[stem])
            if _CLEARLY_NEAR.holds(variant.fingerprint, pictures[stem].fingerprint):
                yield f"{stem}_{suffix}.jpg", variant.data, kind
                break


def _broken(keyword: str, painter: Painter, rng: np.random.Generator) -> Iterator[tuple[str, bytes, Kind]]:
    # random sizes, because equal files under two keywords would be exact copies
    red, blue = ((int(width), int(height)) for width, height in rng.integers(200, 500, (2, 2)))
    yield "solid-red.png", faults.single_colour("red", red, "PNG"), Kind.SINGLE_COLOUR
    yield "solid-blue.jpg", faults.single_colour("blue", blue, "JPEG"), Kind.SINGLE_COLOUR
    for number in range(1, _TRUNCATED + 1):
        yield f"truncated-{number}.jpg", faults.truncated(paint(painter, rng), rng), Kind.TRUNCATED
    yield "not-found.jpg", faults.web_page(keyword), Kind.WEB_PAGE
    yield "empty.jpg", b"", Kind.EMPTY
    yield "garbage.png", rng.bytes(int(rng.integers(2_000, 20_000))), Kind.GARBAGE
    yield "tiny.jpg", faults.tiny(paint(painter, rng)), Kind.TINY
    yield "huge.png", faults.huge(int(rng.integers(15_000, 30_001))), Kind.HUGE
    yield "scan-bomb.jpg", faults.scan_bomb(paint(painter, rng), int(rng.integers(120, 300))), Kind.SCAN_BOMB


def _served(pictures: Iterator[Picture], rng: np.random.Generator) -> Iterator[tuple[str, bytes, Kind]]:
    """Yield the files that the demo's site serves with faults; those that it never serves whole are random bytes."""
    for name, kind in (
        ("busy", Kind.BUSY),
        ("moved", Kind.MOVED),
        ("slow", Kind.SLOW),
        ("dripping", Kind.DRIPPING),
        ("cut-short", Kind.CUT_SHORT),
        ("cut-silently", Kind.CUT_SILENTLY),
        ("opted-out", Kind.OPTED_OUT),
        (f"{KEEP_OUT}/forbidden", Kind.FORBIDDEN),
    ):
        picture = next(pictures)
        yield name + picture.extension, picture.data, kind
    for name, kind in (("gone.jpg", Kind.NOT_FOUND), ("endless.jpg", Kind.ENDLESS), ("lure.jpg", Kind.LURE)):
        yield name, rng.bytes(1000), kind
