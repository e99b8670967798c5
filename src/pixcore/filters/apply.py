"""Apply the rules of a dataset to the images that the validator accepted. Each rule has a module of its own."""

from collections.abc import Generator, Iterable

from pixcore.filters.duplicates import drop_duplicates
from pixcore.filters.size import drop_small
from pixcore.model.images import Accepted, Rejected
from pixcore.model.quality import Quality, TwinRule


def apply_filters(verdicts: Iterable[Accepted | Rejected], quality: Quality) -> Generator[Accepted | Rejected]:
    """Reject each accepted image that breaks a rule; keep the order and all other verdicts.

    The cheap rules come first. Duplicates are compared with kept images only: an image that another rule rejects must
    not displace an equal one.
    """
    rule = quality.near if quality.twins is TwinRule.HASHES else None
    return drop_duplicates(drop_small(verdicts, quality), rule)
