"""Selection: the images that an attempt keeps."""

import math
from pathlib import Path
from typing import TypeGuard

from attrs import define, field

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.converting import converted_path, stored_path
from pixcore.chunk.events import ImageAccepted, ImageRejected, ImageReplaced, ImageWithdrawn
from pixcore.chunk.outcome_log import OutcomeLog
from pixcore.chunk.placeholders import Placeholders
from pixcore.chunk.rejects import RejectedImages
from pixcore.chunk.twin_search import TwinSearch
from pixcore.chunk.workspace import local_disk
from pixcore.filters.best_twin import second_is_better, worse
from pixcore.model.chunks import TwinPair
from pixcore.model.comparison import Comparison
from pixcore.model.images import Accepted, Rejected, RejectReason
from pixcore.model.quality import TwinRule
from pixcore.model.rows import Row, renumbered

# SeenImages.hold is called for groups of this many verdicts: one call costs as much as decoding half an image.
_GROUP = 32


@define(eq=False)
class Selection:
    """The images that an attempt keeps, each with its row, in the order in which they are packed.

    Verdicts are added one by one and decided in groups. To decide a verdict, the selection queries the dataset's
    SeenImages for another chunk with the same bytes, compares the image with the kept ones, counts and reports the
    verdict, and passes a rejected image on to ``rejects``. Of two images of the same picture the better one stays: if
    that is the later one, it takes the position of the other. An image that was included by hand is compared with none.
    A kept image whose bytes turn out to be a placeholder is withdrawn, and the later ones move up.

    A selection calls neither the downloader nor the validator. So ``decide`` may also be called while the downloader
    waits for its next item, in the middle of ``Collector``'s loop.

    Attributes:
        context: The attempt.
        outcomes: Records what becomes of each image.
        rejects: Takes over the files of the rejected ones.
        images: The kept images, with their rows.
        twins: The pairs of images of the same picture that are both kept, if the chunk only reports them.
    """

    context: AttemptContext
    outcomes: OutcomeLog
    rejects: RejectedImages
    images: list[tuple[Row, Path]] = field(init=False, factory=list[tuple[Row, Path]])
    twins: list[TwinPair] = field(init=False, factory=list[TwinPair])
    _replaced: set[int] = field(init=False, factory=set[int])
    _withdrawn: list[Accepted] = field(init=False, factory=list[Accepted])
    _undecided: list[Accepted | Rejected] = field(init=False, factory=list[Accepted | Rejected])
    _search: TwinSearch = field(init=False)
    _placeholders: Placeholders = field(init=False)
    _positions: dict[int, int] = field(init=False, factory=dict[int, int])  # in ``images``, by number in the search

    def __attrs_post_init__(self) -> None:
        self._search = TwinSearch(self.context)
        self._placeholders = Placeholders(self.context)

    @property
    def is_full(self) -> bool:
        """Whether the chunk has as many images as its target."""
        return self._missing == 0

    @property
    def _missing(self) -> int:
        return self.context.request.target - self.context.counts.accepted

    def add(self, verdict: Accepted | Rejected) -> None:
        """Add a verdict. Decide all undecided ones when they fill a group or may reach the target."""
        self._undecided.append(verdict)
        if len(self._undecided) >= min(_GROUP, self._missing):
            self.decide()

    def decide(self) -> None:
        """Decide the verdicts that are undecided, in the order in which they were added."""
        decided, self._undecided = self._without_seen(self._undecided), []
        self._placeholders.look_up(decided)
        numbers = iter(self._search.add([verdict for verdict in decided if self._is_compared(verdict)]))
        worse: list[Accepted] = []
        for verdict in decided:
            is_placeholder = self._placeholders.has(verdict)
            if isinstance(verdict, Rejected):
                self._drop(self._as_placeholder(verdict) if is_placeholder else verdict)
            elif not self._is_compared(verdict):
                self._keep(verdict)
            elif image := self._decide(next(numbers), verdict):
                worse.append(image)
        seen, claim = self.context.using.seen, self.context.claim
        if seen and worse:
            self.context.write(lambda: seen.release(claim, worse))

    def finish(self) -> None:
        """Decide all verdicts, and exclude the placeholders among them from the dataset. No verdict may follow."""
        self.decide()
        for sha256 in self._placeholders.record():
            self._placeholders.restate(sha256)
            self.outcomes.placeholder(sha256, self._placeholders.detail(sha256))
        # Not before, so that a chunk that runs meanwhile is refused the image and counts its URLs.
        seen, claim = self.context.using.seen, self.context.claim
        if seen and self._withdrawn:
            self.context.write(lambda: seen.release(claim, self._withdrawn))

    def lowest_replaced(self) -> float:
        """Return the lowest position whose image was replaced or withdrawn since the last call, or infinity."""
        lowest = min(self._replaced, default=math.inf)
        self._replaced.clear()
        return lowest

    def close(self) -> None:
        """Close the search for twins. Idempotent."""
        self._search.close()

    def _is_compared(self, verdict: Accepted | Rejected) -> TypeGuard[Accepted]:
        return isinstance(verdict, Accepted) and not self.context.decided.includes(verdict.sha256)

    def _decide(self, number: int, image: Accepted) -> Accepted | None:
        """Keep an image, or its twin if that is better; return the rejected one of the two, if any."""
        found = self._search.find(number, image)
        rule = self.context.request.quality.twins
        if found and rule is TwinRule.DROP:
            return self._choose(number, image, *found)
        if found:
            twin, comparison = found
            one, other = (each.download.candidate.url for each in (self._search.kept(twin), image))
            self.twins.append(TwinPair(one, other, comparison.sentence()))
        self._search.keep(number, image)
        self._positions[number] = len(self.images)
        self._keep(image)
        return None

    def _keep(self, image: Accepted) -> None:
        context = self.context
        self.images.append((context.row(len(self.images), image), stored_path(image)))
        context.counts.accepted += 1
        self.outcomes.accepted(image)
        context.observe(ImageAccepted(*context.ids, image=image))

    def _choose(self, number: int, image: Accepted, twin: int, comparison: Comparison) -> Accepted:
        """Keep the better one of a new image and its twin; return the other, which is rejected."""
        kept = self._search.kept(twin)
        if not second_is_better(kept, image, comparison.swapped()):
            self._drop(worse(image, kept, comparison))
            return image
        self._search.forget(twin)
        self._search.keep(number, image)
        position = self._positions[number] = self._positions.pop(twin)
        self.images[position] = self.context.row(position, image), stored_path(image)
        self._replaced.add(position)
        self.outcomes.accepted(image)
        self.context.counts.replace(kept, image)
        rejected = worse(kept, image, comparison.swapped())
        self._discard(rejected)
        self.context.observe(ImageReplaced(*self.context.ids, image=image, rejected=rejected))
        return kept

    def _as_placeholder(self, rejected: Rejected) -> Rejected:
        """Return the rejection of an image whose bytes are a placeholder; withdraw the kept image that has them."""
        image = rejected.image
        if image is None:
            return rejected
        self._placeholders.restate(image.sha256)
        detail = self._placeholders.detail(image.sha256)
        if (number := self._search.number_of(image.sha256)) is not None:
            self._withdraw(number, detail)
        return Rejected(rejected.download, RejectReason.PLACEHOLDER, detail, image)

    def _withdraw(self, number: int, detail: str) -> None:
        """Reject a kept image; ``number`` is its number in the search. The images after it move up."""
        image, gone = self._search.forget(number), self._positions.pop(number)
        del self.images[gone]
        for position in range(gone, len(self.images)):
            described, path = self.images[position]
            self.images[position] = renumbered(position, described), path
        self._positions = {each: position - (position > gone) for each, position in self._positions.items()}
        self._replaced.add(gone)
        url = image.download.candidate.url
        self.twins = [pair for pair in self.twins if url not in (pair.one, pair.other)]
        self.context.counts.accepted -= 1
        self._withdrawn.append(image)
        rejected = Rejected(image.download, RejectReason.PLACEHOLDER, detail, image)
        self._discard(rejected)
        self.context.observe(ImageWithdrawn(*self.context.ids, image=rejected))

    def _drop(self, rejected: Rejected) -> None:
        self._discard(rejected)
        self.context.observe(ImageRejected(*self.context.ids, image=rejected))

    def _discard(self, rejected: Rejected) -> None:
        self.context.counts.reject(rejected)
        self._placeholders.rejected(rejected)
        self.outcomes.rejected(rejected)
        self.rejects.add(rejected)
        with local_disk("removing a converted image"):
            converted_path(rejected.download.path).unlink(missing_ok=True)

    def _without_seen(self, verdicts: list[Accepted | Rejected]) -> list[Accepted | Rejected]:
        """Hold the accepted images for this attempt; turn those that another chunk holds into rejections."""
        seen, claim = self.context.using.seen, self.context.claim
        images = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
        if seen is None or not images:
            return verdicts
        holders = self.context.write(lambda: seen.hold(claim, images))
        taken = {image.sha256: holder for image, holder in zip(images, holders, strict=True) if holder}
        return [
            Rejected(verdict.download, RejectReason.SEEN, f"chunk {taken[verdict.sha256]} has the same bytes", verdict)
            if isinstance(verdict, Accepted) and verdict.sha256 in taken
            else verdict
            for verdict in verdicts
        ]
