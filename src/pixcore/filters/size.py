"""Drop images that are smaller than the dataset wants."""

from collections.abc import Generator, Iterable

from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.quality import Quality


def drop_small(verdicts: Iterable[Accepted | Rejected], quality: Quality) -> Generator[Accepted | Rejected]:
    """Reject each accepted image that is too narrow or too low; keep the order and all other verdicts."""
    for verdict in verdicts:
        if isinstance(verdict, Accepted) and (verdict.width < quality.min_width or verdict.height < quality.min_height):
            yield Rejected(
                verdict.download,
                RejectReason.TOO_SMALL,
                f"{verdict.width} x {verdict.height} of at least {quality.min_width} x {quality.min_height} pixels",
            )
        else:
            yield verdict
