"""Revision: which of the images that a chunk stores it keeps under changed rules or decisions."""

from collections.abc import Iterable, Mapping

from attrs import evolve, field, frozen

from pixcore.chunk.stored_chunk import StoredImage
from pixcore.model.chunks import TwinPair
from pixcore.model.images import Rejected, RejectReason


def _images(images: Iterable[StoredImage]) -> tuple[StoredImage, ...]:
    return tuple(images)


@frozen
class Revision:
    """Which images a chunk keeps, and what changes by that.

    Attributes:
        kept: The images, in the order of the archive; an image that is brought back is placed by its candidate.
        labels: The label of each kept image, by its sha256.
        decided: Those of the labels that were decided by hand.
        removed: The images that are removed from the archive, with the reason, by sha256.
        returned: The sha256 of the images that are brought back.
        relabelled: The sha256 of the kept images whose label changes.
        spare: How many rejected images are acceptable now, but not needed, because the chunk has its target.
        twins: The pairs of kept images that show the same picture, if the chunk only reports them.
    """

    kept: tuple[StoredImage, ...] = field(converter=_images)
    labels: Mapping[str, str]
    decided: Mapping[str, str]
    removed: Mapping[str, Rejected]
    returned: frozenset[str]
    relabelled: frozenset[str]
    spare: int
    twins: tuple[TwinPair, ...]

    def without(self, held: Mapping[str, str]) -> "Revision":
        """Return the revision without the images that another chunk holds, each given by sha256 with the detail."""
        gone = [each for each in self.kept if each.sha256 in held]
        removed = {
            each.sha256: Rejected(each.image.download, RejectReason.SEEN, held[each.sha256], each.image)
            for each in gone
            if each.in_archive
        }
        return evolve(
            self,
            kept=[each for each in self.kept if each.sha256 not in held],
            removed={**self.removed, **removed},
            returned=self.returned - held.keys(),
            relabelled=self.relabelled - held.keys(),
        )
