"""The demo's folder: good pictures, planted faults, and what is to become of each file."""

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

# The subfolders that the site's robots.txt forbids.
KEEP_OUT = "keep-out"

_PICTURES = 25
_MISLABELLED = 2  # the first is a PNG, the second a JPEG
_TRUNCATED = 3
_MODIFIED = 1767225600  # 2026-01-01, in seconds: rows tell it, so it has to be the same each time

# near enough that whoever hashes a little differently still finds the near-duplicate
_ALIKE = NearRule(phash=6, dhash=6)


class Kind(Enum):
    """What was planted: in words, and the verdict that it must get."""

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

    def __init__(self, words: str, verdict: str) -> None:
        self.words = words
        self.verdict = str(verdict)


@frozen
class Planted:
    """A planted folder.

    Attributes:
        folder: Where it is.
        keywords: For each keyword the name of its subfolder, in the order of these names.
        files: For each file's path below ``folder``, with ``/``, what was planted there; in the order of the paths.
    """

    folder: Path
    keywords: Mapping[str, str]
    files: Mapping[str, Kind]


def plant(folder: Path, seed: int = 0) -> Planted:
    """Fill a new or empty folder with painted pictures and planted faults, a subfolder for each keyword.

    The same seed makes the same files, byte for byte, on the same versions of Pillow and numpy. Every duplicate lies
    in the folder of its original and is named after it, so that it comes later in the order of the paths.

    Raises:
        InvalidRequest: The folder has something in it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InvalidRequest(f"{folder} is not empty; name a new folder for the demo's pictures")
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
    """The files of one keyword: name, bytes, kind."""
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
        # a few pictures, such as smooth ones, change their hashes too much: take the next
        for stem in originals:
            variant = vary(pictures[stem])
            if _ALIKE.holds(variant.fingerprint, pictures[stem].fingerprint):
                yield f"{stem}_{suffix}.jpg", variant.data, kind
                break


def _broken(keyword: str, painter: Painter, rng: np.random.Generator) -> Iterator[tuple[str, bytes, Kind]]:
    # a size of its own for each: the same file under two keywords would be an exact copy
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
    """Good pictures, and none at all, that the demo's site serves in bad ways."""
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
