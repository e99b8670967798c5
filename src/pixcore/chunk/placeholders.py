"""Placeholders: find the pictures by which sites say that they have no image. Many URLs lead to their bytes."""

from collections import Counter
from collections.abc import Iterable

from attrs import define, field

from pixcore.chunk.context import AttemptContext
from pixcore.model.decisions import placeholder
from pixcore.model.images import COPIES, Accepted, Rejected, RejectReason
from pixcore.ports.seen_images import url_key


@define(eq=False)
class _Copies:
    """The downloads of an attempt with the same bytes.

    Attributes:
        urls: The keys of the URLs that led to them in this attempt.
        others: The keys of other URLs of the dataset that did, in other chunks or attempts.
        refused: How many of the downloads were rejected, by reason.
        is_placeholder: Whether the bytes are a placeholder.
    """

    urls: set[str] = field(factory=set[str])
    others: frozenset[str] = frozenset()
    refused: Counter[str] = field(factory=Counter[str])
    is_placeholder: bool = False

    @property
    def count(self) -> int:
        return len(self.urls | self.others)


@define(eq=False)
class Placeholders:
    """Counts the different URLs that led to the same bytes. From the dataset's limit on, these are a placeholder.

    Files of folders count for nothing, and an image that was included by hand is no placeholder. Verdicts must come in
    order, so that the same ones give the same result in whatever groups they are decided. Memory holds the keys of the
    URLs of each image.
    """

    context: AttemptContext
    _copies: dict[str, _Copies] = field(init=False, factory=dict[str, _Copies])

    def look_up(self, verdicts: Iterable[Accepted | Rejected]) -> None:
        """Record the URLs of copies among these verdicts, and read which other URLs of the dataset led to their bytes.

        The status database is used only if there are copies.
        """
        seen, dataset = self.context.using.seen, self.context.claim.chunk.dataset
        new: dict[str, set[str]] = {}
        for verdict in verdicts:
            image = self._counted(verdict)
            if image and isinstance(verdict, Rejected) and not self._of(image).is_placeholder:
                new.setdefault(image.sha256, set()).update(_key(image))
        if not (seen and dataset and any(new.values())):
            return
        urls = {sha256: keys | self._copies[sha256].urls for sha256, keys in new.items() if keys}
        known = self.context.write(lambda: seen.led(dataset, urls))
        for sha256, keys in known.items():
            self._copies[sha256].others = keys - new[sha256]  # those of this group count when their turn comes

    def has(self, verdict: Accepted | Rejected) -> bool:
        """Count the URL of a verdict; return whether its bytes are a placeholder."""
        image = self._counted(verdict)
        if image is None:
            return False
        copies = self._of(image)
        copies.urls.update(_key(image))
        copies.is_placeholder = copies.is_placeholder or copies.count >= self._limit
        return copies.is_placeholder

    def rejected(self, rejected: Rejected) -> None:
        """Count a rejected image, so that ``restate`` can give it the reason of a placeholder later."""
        if image := self._counted(rejected):
            self._of(image).refused[rejected.reason] += 1

    def restate(self, sha256: str) -> None:
        """Count the rejected images with these bytes as placeholders, which they turned out to be. Idempotent."""
        copies = self._copies[sha256]
        refused, copies.refused = copies.refused, Counter()
        self.context.counts.restate(
            refused, RejectReason.PLACEHOLDER, self.detail(sha256), lambda url: url_key(url) in copies.urls
        )

    def detail(self, sha256: str) -> str:
        """Return how many URLs led to these bytes, in words."""
        return f"{self._copies[sha256].count} URLs led to these bytes"

    def record(self) -> list[str]:
        """Exclude all placeholders from the dataset, by a decision that names their URLs; return their sha256.

        A decision that was made about such an image since the attempt began stays.
        """
        found = [sha256 for sha256, copies in self._copies.items() if copies.is_placeholder]
        decisions, dataset = self.context.using.decisions, self.context.claim.chunk.dataset
        if found and decisions and dataset:
            self.context.write(
                lambda: decisions.record(
                    placeholder(dataset, sha256, self.detail(sha256), decisions.now())
                    for sha256 in set(found) - {each.sha256 for each in decisions.read(dataset) if not each.about_label}
                )
            )
        return found

    @property
    def _limit(self) -> int:
        return self.context.request.quality.placeholder_urls

    def _of(self, image: Accepted) -> _Copies:
        return self._copies.setdefault(image.sha256, _Copies())

    def _counted(self, verdict: Accepted | Rejected) -> Accepted | None:
        """Return the image of a verdict if it may be a placeholder."""
        image = verdict if isinstance(verdict, Accepted) else verdict.image
        is_copy = isinstance(verdict, Accepted) or verdict.reason in COPIES
        may_be = self._limit and is_copy and image and not self.context.decided.includes(image.sha256)
        return image if may_be else None


def _key(image: Accepted) -> tuple[str, ...]:
    candidate = image.download.candidate
    return (url_key(candidate.url),) if candidate.is_from_web else ()
