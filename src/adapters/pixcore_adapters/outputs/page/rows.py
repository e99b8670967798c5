"""Write rows of images as JSON for the scripts of a page."""

import json
from collections.abc import Mapping, Sequence

from markupsafe import Markup

# Columns whose values recur. Each image has their positions in a list of all values.
CODED = (
    *("label", "keyword", "source", "creator", "license", "license_url", "opt_out", "hash_method", "format"),
    *("mode", "flags", "outcome"),
)


class Coding:
    """Replaces values of the columns in ``CODED`` by their positions in ``values``, which grows."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, int]] = {column: {} for column in CODED}

    @property
    def values(self) -> Mapping[str, Sequence[str]]:
        """The values of each column in the order of their positions."""
        return {column: list(places) for column, places in self._places.items()}

    def coded(self, column: str, value: object) -> object:
        """Return the position of a value; the value itself in other columns."""
        if column not in self._places:
            return value
        return self._places[column].setdefault(str(value), len(self._places[column]))


def safe_json(value: object) -> Markup:
    """Return JSON that cannot end a script element."""
    text = json.dumps(value, separators=(",", ":"))  # ASCII, so that every title survives unchanged
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - it cannot end the script element
