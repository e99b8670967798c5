"""Drop images that have a flag of the dataset's ``drop``."""

from pixcore.filters.rule import Fault
from pixcore.model.images import Accepted, RejectReason
from pixcore.model.measures import FLAGS
from pixcore.model.quality import Quality


def flagged(image: Accepted, quality: Quality) -> Fault | None:
    """Return a fault for the first flag of the image that is to be dropped."""
    flags = image.measures.flags if image.measures else ()
    unwanted = next((flag for flag in flags if flag in quality.drop), None)
    return Fault(RejectReason(unwanted), FLAGS[unwanted]) if unwanted else None
