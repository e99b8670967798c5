"""Variations of a keyword: further queries, because a source gives a limited number of results for one query.

A published list never changes: a dataset keeps the version with which it was planned, and a better list becomes a new
version. Later entries are more special, so that a small dataset consists of the results for the keyword alone.
"""

from collections.abc import Mapping

VARIATIONS: Mapping[int, tuple[str, ...]] = {
    1: (
        "{}",
        "{} photo",
        "{} picture",
        "{} close-up",
        "{} outdoors",
        "{} indoors",
        "{} side view",
        "{} front view",
        "{} from above",
        "{} in nature",
        "{} in summer",
        "{} in winter",
        "{} at night",
        "{} in the rain",
        "{} black and white",
        "{} white background",
        "small {}",
        "large {}",
        "young {}",
        "old {}",
    ),
}
NEWEST = max(VARIATIONS)


def queries(keyword: str, version: int = NEWEST) -> tuple[str, ...]:
    """Return the queries for a keyword, the keyword itself first. ``version`` is a key of ``VARIATIONS``."""
    return tuple(variation.replace("{}", keyword) for variation in VARIATIONS[version])
