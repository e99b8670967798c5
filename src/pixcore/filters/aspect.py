"""Drop images whose sides differ in length more than the dataset allows."""

from pixcore.filters.rule import Fault
from pixcore.model.images import Accepted, RejectReason
from pixcore.model.quality import Quality


def too_long(image: Accepted, quality: Quality) -> Fault | None:
    """Return a fault if the ratio of the longer side to the shorter one is too high."""
    longer, shorter = max(image.width, image.height), min(image.width, image.height)
    if not quality.max_aspect or longer <= quality.max_aspect * shorter:
        return None
    detail = f"{image.width} x {image.height}: {longer / shorter:.2f} times as long, at most {quality.max_aspect:g}"
    return Fault(RejectReason.ODD_ASPECT, detail)
