"""Count the images of a dataset by the values in their rows."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from attrs import define, field

ValueCounts = Sequence[tuple[str, int]]

_SIDES = (128, 256, 512, 1024, 2048, 4096)  # pixels
_SIDE_NAMES = ("<128", "128", "256", "512", "1024", "2048", "4096+")  # the lower bound of each class
_WEIGHTS = (10_000, 50_000, 200_000, 1_000_000, 5_000_000)  # bytes
_WEIGHT_NAMES = ("<10 kB", "10 kB", "50 kB", "200 kB", "1 MB", "5 MB+")
_SIDEWAYS = 5  # from this EXIF orientation on, viewers turn an image by 90 degrees
_ASPECTS = {  # width : height
    "tall": 1 / 3,
    "1:2": 1 / 2,
    "9:16": 9 / 16,
    "2:3": 2 / 3,
    "3:4": 3 / 4,
    "1:1": 1.0,
    "4:3": 4 / 3,
    "3:2": 3 / 2,
    "16:9": 16 / 9,
    "2:1": 2.0,
    "wide": 3.0,
}


@define
class Figures:
    """Counts of the images that were added.

    Attributes:
        images: How many.
        bytes: The size of their files.
        first, last: When the earliest and the latest one were fetched, as in their rows; ``""`` if no row says.
    """

    images: int = 0
    bytes: int = 0
    first: str = ""
    last: str = ""
    _texts: Mapping[str, Counter[str]] = field(
        factory=lambda: {name: Counter[str]() for name in ("keyword", "source", "license", "format", "host")}
    )
    _classes: Mapping[str, Counter[int | str]] = field(
        factory=lambda: {name: Counter[int | str]() for name in ("side", "weight", "aspect")}
    )

    def add(self, row: Mapping[str, object]) -> None:
        """Count an image by its row."""
        width, height, size = (_number(row, column) for column in ("width", "height", "bytes"))
        if _number(row, "orientation") >= _SIDEWAYS:
            width, height = height, width
        self.images += 1
        self.bytes += size
        for column in ("keyword", "source", "license", "format"):
            self._texts[column][str(row.get(column, ""))] += 1
        self._texts["host"][host(str(row.get("url", "")))] += 1
        self._classes["side"][bisect_right(_SIDES, max(width, height))] += 1
        self._classes["weight"][bisect_right(_WEIGHTS, size)] += 1
        if width and height:
            self._classes["aspect"][_nearest(width / height)] += 1
        if fetched := str(row.get("fetched_at", "")):
            self.first = min(self.first or fetched, fetched)
            self.last = max(self.last, fetched)

    def by(self, column: str) -> ValueCounts:
        """Count the images by ``keyword``, ``source``, ``license``, ``format`` or ``host``, the most frequent first."""
        return sorted(self._texts[column].items(), key=lambda one: (-one[1], one[0]))

    @property
    def sides(self) -> ValueCounts:
        """Count the images by their longer side in pixels; each class reaches up to the next number."""
        return [(name, self._classes["side"][place]) for place, name in enumerate(_SIDE_NAMES)]

    @property
    def weights(self) -> ValueCounts:
        """Count the images by the size of their files; each class reaches up to the next number."""
        return [(name, self._classes["weight"][place]) for place, name in enumerate(_WEIGHT_NAMES)]

    @property
    def aspects(self) -> ValueCounts:
        """Count the images by the nearest aspect ratio, from tall to wide."""
        return [(name, self._classes["aspect"][name]) for name in _ASPECTS]


def host(url: str) -> str:
    """Return the host of a URL; ``""`` for the path of a file and for anything else that is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _number(row: Mapping[str, object], column: str) -> int:
    value = row.get(column, 0)
    return value if isinstance(value, int) else 0


def _nearest(aspect: float) -> str:
    return min(_ASPECTS, key=lambda name: abs(math.log(aspect / _ASPECTS[name])))
