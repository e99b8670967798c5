"""More ways to ask for a keyword, because a source gives only so many results a query.

A list never changes once it is published: a dataset keeps to the version that it was planned with, and a better list
becomes a new version. Later entries are more special, so that small datasets are made of what the keyword alone finds.
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
    """What is asked for a keyword, the keyword itself first; ``version`` is one of ``VARIATIONS``."""
    return tuple(variation.replace("{}", keyword) for variation in VARIATIONS[version])
