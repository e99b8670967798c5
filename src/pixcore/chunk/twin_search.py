"""TwinSearch: find the kept image that shows the same picture as a new one."""

from collections.abc import Sequence

from attrs import define, field

from pixcore.chunk.context import AttemptContext
from pixcore.model.comparison import Comparison
from pixcore.model.images import Accepted
from pixcore.model.quality import TwinRule
from pixcore.ports.twin_finder import Twins


@define(eq=False)
class TwinSearch:
    """Compares new images with the kept ones. A no-op if the chunk's rule or the pipeline does not compare."""

    context: AttemptContext
    _twins: Twins | None = field(init=False, default=None)
    _kept: dict[int, Accepted] = field(init=False, factory=dict[int, Accepted])
    _proposed: dict[int, Sequence[int]] = field(init=False, factory=dict[int, Sequence[int]])
    _count: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        finder = self.context.using.twins
        if finder and self.context.request.quality.twins in (TwinRule.DROP, TwinRule.REPORT):
            self._twins = finder.open()

    def add(self, images: Sequence[Accepted]) -> list[int]:
        """Add images that are not decided yet, and return the number of each."""
        numbers = list(range(self._count, self._count + len(images)))
        self._count += len(images)
        if self._twins and images:
            self._proposed |= zip(numbers, self._twins.propose(images), strict=True)
        return numbers

    def find(self, number: int, image: Accepted) -> tuple[int, Comparison] | None:
        """Return the number of the kept image that shows the same picture, and the comparison of the image with it."""
        near = [other for other in self._proposed.pop(number, ()) if other in self._kept]
        if not (self._twins and near):
            return None
        self.context.lease.check()  # comparing takes a while
        twin = self._twins.confirm(image, [self._kept[other] for other in near])
        return (near[twin.place], twin.comparison) if twin else None

    def keep(self, number: int, image: Accepted) -> None:
        """Compare later images with this one."""
        self._kept[number] = image

    def forget(self, number: int) -> Accepted:
        """Stop comparing later images with this one, and return it."""
        return self._kept.pop(number)

    def kept(self, number: int) -> Accepted:
        """Return the kept image of that number."""
        return self._kept[number]

    def number_of(self, sha256: str) -> int | None:
        """Return the number of the kept image with these bytes; None if none has them."""
        return next((number for number, image in self._kept.items() if image.sha256 == sha256), None)

    def close(self) -> None:
        """Close the twin finder. Idempotent."""
        if self._twins:
            self._twins.close()
