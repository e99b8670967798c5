"""Drop images that are less sharp than the dataset allows."""

from pixcore.filters.rule import Fault
from pixcore.model.images import Accepted, RejectReason
from pixcore.model.quality import Quality


def not_sharp(image: Accepted, quality: Quality) -> Fault | None:
    """Return a fault if the measured sharpness is too low. An image that was not measured is kept."""
    if not image.measures or image.measures.sharpness >= quality.min_sharpness:
        return None
    return Fault(RejectReason.BLURRY, f"sharpness {image.measures.sharpness} of at least {quality.min_sharpness}")
