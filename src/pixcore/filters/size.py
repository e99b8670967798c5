"""Drop images that are smaller than the dataset allows."""

from pixcore.filters.rule import Fault
from pixcore.model.images import Accepted, RejectReason
from pixcore.model.quality import Quality


def too_small(image: Accepted, quality: Quality) -> Fault | None:
    """Return a fault if the image is too narrow or too low."""
    if image.width >= quality.min_width and image.height >= quality.min_height:
        return None
    detail = f"{image.width} x {image.height} of at least {quality.min_width} x {quality.min_height} pixels"
    return Fault(RejectReason.TOO_SMALL, detail)
