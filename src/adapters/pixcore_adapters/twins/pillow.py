"""The twin finder that compares pictures: hashes of small grey pictures propose twins, the files confirm them."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from pixcore.model.comparison import Twin
from pixcore.model.images import Accepted
from pixcore_adapters.twins.confirming import Confirmer
from pixcore_adapters.validator.picture import Limits

if TYPE_CHECKING:
    from pixcore_adapters.twins.proposing import Proposer

_SIDE = 32  # pixels of a small grey picture


@frozen
class PillowTwinFinder:
    """Finds twins with Pillow and numpy. Files are opened in a child process only.

    Attributes:
        limits: The limits of the validator that accepted the images.
        seconds: How long the comparisons of one image may take.
        memory: How many bytes of data the child may hold.
        deadline: How many seconds of CPU time all comparisons of one attempt may take together, and a quarter of the
            seconds that they may take on a loaded machine. Later images are kept.
        clock: Returns seconds; only differences count.
    """

    limits: Limits = field(factory=Limits)
    seconds: float = 20.0
    memory: int = 1 << 30
    deadline: float = 300.0
    clock: Callable[[], float] = time.monotonic

    @staticmethod
    def preload() -> None:
        """Import now what the first proposal would import, numpy above all. Idempotent."""
        from pixcore_adapters.twins import proposing  # noqa: F401, PLC0415  slow to import, as it imports numpy

    def open(self) -> "PictureTwins":
        """See ``TwinFinder``."""
        confirmer = Confirmer(
            self.limits, seconds=self.seconds, memory=self.memory, deadline=self.deadline, clock=self.clock
        )
        return PictureTwins(confirmer)


@define(eq=False)
class PictureTwins:
    """The images of one attempt. See ``Twins``."""

    _confirmer: Confirmer
    _proposer: "Proposer | None" = field(init=False, default=None)

    def propose(self, images: Sequence[Accepted]) -> Sequence[Sequence[int]]:
        """See ``Twins``. An image without a small grey picture is in no proposal."""
        import numpy as np  # noqa: PLC0415  slow to import

        from pixcore_adapters.twins.proposing import Proposer  # noqa: PLC0415  as it imports numpy

        if self._proposer is None:
            self._proposer = Proposer()
        unknown = bytes(_SIDE * _SIDE)
        greys = [image.grey if len(image.grey) == len(unknown) else unknown for image in images]
        return self._proposer.add([np.frombuffer(grey, np.uint8).reshape(_SIDE, _SIDE) for grey in greys])

    def confirm(self, image: Accepted, candidates: Sequence[Accepted]) -> Twin | None:
        """See ``Twins``."""
        return self._confirmer.find(image.download.path, [candidate.download.path for candidate in candidates])

    def close(self) -> None:
        """See ``Twins``."""
        self._confirmer.close()
