"""Selection: the images that an attempt keeps."""

from pathlib import Path

from attrs import define, field

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.events import ImageAccepted, ImageRejected
from pixcore.chunk.workspace import local_disk
from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.rows import Row, row

# SeenImages.hold is called for groups of this many verdicts: one call costs as much as decoding half an image.
_GROUP = 32


@define(eq=False)
class Selection:
    """The images that an attempt keeps, each with its row, in the order in which they are packed.

    Verdicts are added one by one and decided in groups. Deciding means to ask the dataset's SeenImages whether another
    chunk holds the same bytes, to count the verdict, to report it, and to delete the file of a rejected image.

    A selection calls neither the downloader nor the validator. So ``decide`` may also be called while the downloader
    waits for its next item, in the middle of ``Collector``'s loop.

    ``Collector`` reads ``images`` by number while packing runs. The first ones may be in the archive already: after a
    change to one of those, the archive has to be packed again from the first image.
    """

    context: AttemptContext
    images: list[tuple[Row, Path]] = field(init=False, factory=list[tuple[Row, Path]])
    _undecided: list[Accepted | Rejected] = field(init=False, factory=list[Accepted | Rejected])

    @property
    def is_full(self) -> bool:
        """Whether the chunk has as many images as it wants."""
        return self._missing == 0

    @property
    def _missing(self) -> int:
        return self.context.request.target - self.context.counts.accepted

    def add(self, verdict: Accepted | Rejected) -> None:
        """Add a verdict, and decide all that are undecided once they are a group or could be the last ones needed."""
        self._undecided.append(verdict)
        if len(self._undecided) >= min(_GROUP, self._missing):
            self.decide()

    def decide(self) -> None:
        """Decide the verdicts that are undecided, in the order in which they were added."""
        decided, self._undecided = self._without_seen(self._undecided), []
        for verdict in decided:
            if isinstance(verdict, Accepted):
                self._keep(verdict)
            else:
                self._drop(verdict)

    def _keep(self, image: Accepted) -> None:
        context = self.context
        self.images.append((row(len(self.images), image, context.request), image.download.path))
        context.counts.accepted += 1
        context.observe(ImageAccepted(*context.ids, image=image))

    def _drop(self, rejected: Rejected) -> None:
        self.context.counts.reject(rejected)
        with local_disk("removing a rejected image"):
            rejected.download.path.unlink(missing_ok=True)
        self.context.observe(ImageRejected(*self.context.ids, image=rejected))

    def _without_seen(self, verdicts: list[Accepted | Rejected]) -> list[Accepted | Rejected]:
        """Hold the accepted images for this attempt; turn those that another chunk holds into rejections."""
        seen, claim = self.context.using.seen, self.context.claim
        images = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
        if seen is None or not images:
            return verdicts
        holders = self.context.write(lambda: seen.hold(claim, images))
        taken = {image.sha256: holder for image, holder in zip(images, holders, strict=True) if holder}
        return [
            Rejected(verdict.download, RejectReason.SEEN, f"chunk {taken[verdict.sha256]} has the same bytes")
            if isinstance(verdict, Accepted) and verdict.sha256 in taken
            else verdict
            for verdict in verdicts
        ]
