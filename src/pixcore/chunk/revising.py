"""Decide which of the images that a chunk stores it keeps under changed rules or decisions."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress

from attrs import evolve, frozen

from pixcore.chunk.dependencies import Dependencies
from pixcore.chunk.revision import Revision
from pixcore.chunk.stored_chunk import StoredChunk, StoredImage
from pixcore.errors import StoreNotFound
from pixcore.filters.apply import apply_filters
from pixcore.filters.best_twin import second_is_better, worse
from pixcore.model.chunks import TwinPair
from pixcore.model.decisions import Decided
from pixcore.model.images import Accepted, CandidateKey, Download, Rejected, RejectReason
from pixcore.model.outcomes import ACCEPTED
from pixcore.model.quality import Quality, TwinRule
from pixcore.model.requests import ChunkRequest
from pixcore.model.rows import as_text

_COMPARING = (TwinRule.DROP, TwinRule.REPORT)


@frozen
class Reviser:
    """Decides which images a chunk keeps.

    Images are judged by the sizes, hashes and measures of their rows. They are decoded again only if a measure is
    missing, or if pictures must be compared: when the rule for copies has changed, and before an image is brought back.
    Images of the archive that satisfied the rule for copies are not compared with each other again.

    Attributes:
        stored: What the chunk stores.
        request: What the chunk asks for, with the rules that count now.
        before: The rules that the images of the archive satisfy.
        decided: What curators decided.
        using: The validator, the twin finder, the filters and the listings of the pipeline.
        check: Is called while the work takes long; what it raises ends the work.
    """

    stored: StoredChunk
    request: ChunkRequest
    before: Quality
    decided: Decided
    using: Dependencies
    check: Callable[[], None]

    def revise(self) -> Revision:
        """Decide.

        Raises:
            InvalidRequest: A stored image is not the one that its row describes.
            LibraryMissing: A filter is not installed.
            WorkspaceFull, TransientError: As the local disk, the validator and the twin finder raise them.
        """
        archived = [each for each in self.stored.images if each.in_archive]
        rejected = [each for each in self.stored.images if not each.in_archive]
        verdicts = self._judged(archived) | self._judged(rejected)
        staying = [each for each in archived if isinstance(verdicts[each.sha256], Accepted)]
        candidates = self._candidates(rejected, {each.sha256 for each in staying}, verdicts)
        others = [each for each in candidates if not self._is_due(each)]
        if len(staying) >= self.request.target and not self._compares:
            candidates = [each for each in candidates if self._is_due(each)]  # no other is needed
        pairs = self._without_copies(staying, candidates, verdicts)
        kept = [each for each in staying if isinstance(verdicts[each.sha256], Accepted)]
        acceptable = [each for each in candidates if isinstance(verdicts[each.sha256], Accepted)]
        returned = [each for each in acceptable if self._is_due(each)]
        room = max(0, self.request.target - len(kept) - len(returned))
        returned += [each for each in acceptable if not self._is_due(each)][:room]
        back = {each.sha256 for each in returned}
        spare = sum(each.sha256 not in back and isinstance(verdicts[each.sha256], Accepted) for each in others)
        return self._revision(_placed(kept, returned), verdicts, pairs, spare)

    def _revision(
        self,
        chosen: Sequence[StoredImage],
        verdicts: Mapping[str, Accepted | Rejected],
        pairs: Iterable[TwinPair],
        spare: int,
    ) -> Revision:
        labels = {each.sha256: self._label(each) for each in chosen}
        urls = {each.image.download.candidate.url for each in chosen}
        removed = {
            each.sha256: verdict
            for each in self.stored.images
            if isinstance(verdict := verdicts[each.sha256], Rejected) and self._was_kept(each)
        }
        return Revision(
            kept=chosen,
            labels=labels,
            decided={sha256: label for sha256, label in labels.items() if self.decided.label(sha256)},
            removed=removed,
            returned=frozenset(each.sha256 for each in chosen if not each.in_archive),
            relabelled=frozenset(
                each.sha256 for each in chosen if each.in_archive and labels[each.sha256] != each.values["label"]
            ),
            spare=spare,
            twins=tuple(each for each in pairs if {each.one, each.other} <= urls),
        )

    def _without_copies(
        self,
        staying: Sequence[StoredImage],
        candidates: Sequence[StoredImage],
        verdicts: dict[str, Accepted | Rejected],
    ) -> tuple[TwinPair, ...]:
        """Reject the copies among the images by the rule for copies; return the pairs that it only reports."""
        pairs = () if self._compares or self._rule is not TwinRule.REPORT else self.stored.blobs.result.twins
        together = [*staying, *candidates]
        if self._rule in _COMPARING and (self._compares or not all(map(self._is_included, candidates))):
            verdicts |= self._judged(together, decode=True)
            return pairs + self._compare(staying, candidates, verdicts)
        if candidates or self._hashes_changed:
            verdicts |= self._judged(together, decode=bool(self._quality.filters) or self._rule is TwinRule.HASHES)
        return pairs

    # -- the rules ------------------------------------------------------------------------------------------------

    @property
    def _quality(self) -> Quality:
        return self.request.quality

    @property
    def _rule(self) -> TwinRule:
        return self._quality.twins

    @property
    def _compares(self) -> bool:
        """Whether the images of the archive must be compared with each other."""
        return self._rule in _COMPARING and self._rule is not self.before.twins

    @property
    def _hashes_changed(self) -> bool:
        return self._rule is TwinRule.HASHES and self._quality.near != self.before.near

    def _judged(self, images: Sequence[StoredImage], *, decode: bool = False) -> dict[str, Accepted | Rejected]:
        """Apply the rules to images, in order; return the verdict on each by its sha256.

        Without ``decode``, images whose rows have what the rules need are judged by these, and copies are not searched.
        """
        quality = self._quality
        new = bool(set(quality.filters) - set(self.before.filters))
        decode = decode or new
        measured = bool(quality.min_sharpness or quality.drop)
        unknown = [each for each in images if decode or (measured and each.image.measures is None)]
        found = self._decoded(unknown)
        filters = {name: self.using.filters(name) for name in quality.filters} if decode else {}
        previewer = self.using.previewer
        rules = quality if decode else evolve(quality, twins=TwinRule.OFF)
        verdicts = apply_filters(
            (found.get(each.sha256, each.image) for each in images),
            rules,
            filters,
            previewer.preview if previewer else None,
            self.decided,
        )
        return {each.sha256: verdict for each, verdict in zip(images, verdicts, strict=True)}

    def _decoded(self, images: Sequence[StoredImage]) -> dict[str, Accepted]:
        """Decode images to learn what their rows do not say, by sha256; without those that cannot be decoded."""
        self.stored.unpack({each.sha256 for each in images})
        found: dict[str, Accepted] = {}

        def downloads() -> Generator[Download]:
            for each in images:
                self.check()
                yield each.image.download

        with closing(downloads()) as drawn, closing(self.using.validator.validate(drawn)) as verdicts:
            for each, verdict in zip(images, verdicts, strict=True):
                if isinstance(verdict, Accepted):
                    found[each.sha256] = _completed(each.image, verdict)
        return found

    def _candidates(
        self, rejected: Sequence[StoredImage], kept: set[str], verdicts: Mapping[str, Accepted | Rejected]
    ) -> list[StoredImage]:
        """Return those of the rejected images that may be brought back, in the order of their candidates."""
        found = [
            each
            for each in rejected
            if isinstance(verdicts[each.sha256], Accepted)
            and (self._is_included(each) or not (self._is_copy(each, kept) or self._was_placeholder(each)))
        ]
        return sorted(found, key=lambda each: -1 if each.number is None else each.number)

    def _is_copy(self, each: StoredImage, kept: set[str]) -> bool:
        """Return whether a rejected image is still a copy of a kept one."""
        line = self._line(each)
        unchanged = self._rule is self.before.twins and not self._hashes_changed
        return unchanged and line.get("outcome") == RejectReason.NEAR_DUPLICATE and line.get("twin") in kept

    def _compare(
        self,
        staying: Sequence[StoredImage],
        candidates: Sequence[StoredImage],
        verdicts: dict[str, Accepted | Rejected],
    ) -> tuple[TwinPair, ...]:
        """Search for images that show the same picture; reject all but the best of them, or return the pairs."""
        finder = self.using.twins
        if finder is None:
            return ()
        new = {each.sha256 for each in candidates}
        images = [
            verdict
            for each in (*staying, *candidates)
            if isinstance(verdict := verdicts[each.sha256], Accepted) and not self._is_included(each)
        ]
        pairs: list[TwinPair] = []
        kept: dict[int, Accepted] = {}
        self.stored.unpack({each.sha256 for each in images})
        with closing(finder.open()) as twins:
            proposed = twins.propose(images)
            for number, image in enumerate(images):
                self.check()
                free = self._compares or image.sha256 in new
                near = [other for other in proposed[number] if free and other in kept]
                found = twins.confirm(image, [kept[other] for other in near]) if near else None
                if found and self._rule is TwinRule.REPORT:
                    one, other = (each.download.candidate.url for each in (kept[near[found.place]], image))
                    pairs.append(TwinPair(one, other, found.comparison.sentence()))
                elif found:
                    twin, comparison = kept[near[found.place]], found.comparison
                    settled = image.sha256 in new and twin.sha256 not in new
                    if settled or not second_is_better(twin, image, comparison.swapped()):
                        verdicts[image.sha256] = worse(image, twin, comparison)
                        continue
                    verdicts[twin.sha256] = worse(twin, image, comparison.swapped())
                    del kept[near[found.place]]
                kept[number] = image
        return tuple(pairs)

    # -- single images --------------------------------------------------------------------------------------------

    def _line(self, each: StoredImage) -> Mapping[str, str | int]:
        lines, owners = self.stored.lines, self.stored.owners
        return lines[owners[each.sha256]] if lines and each.sha256 in owners else {}

    def _is_included(self, each: StoredImage) -> bool:
        return self.decided.includes(each.sha256)

    def _was_placeholder(self, each: StoredImage) -> bool:
        """Return whether too many URLs led to an image, which is counted only when images are collected."""
        return self._line(each).get("outcome") == RejectReason.PLACEHOLDER

    def _is_due(self, each: StoredImage) -> bool:
        """Return whether an image is brought back even if the chunk has its target."""
        return self._is_included(each) or self._line(each).get("outcome") == ACCEPTED

    def _was_kept(self, each: StoredImage) -> bool:
        """Return whether an image is in the archive, or was until an attempt was interrupted."""
        return each.in_archive or self._line(each).get("outcome") == ACCEPTED

    def _label(self, each: StoredImage) -> str:
        """Return the label that an image has: the decided one, or else that of its row or of its source."""
        if decided := self.decided.label(each.sha256):
            return as_text(decided)
        if "label" not in self._line(each):  # then none was decided when the row was written
            return str(each.values["label"])
        if self.request.label:
            return as_text(self.request.label)
        return as_text(self._listed_label(each.image.download.candidate.key) or self.request.keyword)

    def _listed_label(self, key: CandidateKey) -> str:
        """Return the label that a list gives a candidate; ``""`` if it gives none, or if the listing is gone."""
        for part in self.stored.blobs.chunk.slices:
            listed = (part.source, part.query) == (key.source, key.query) and part.snapshot
            if listed and part.start <= key.position < part.stop:
                with suppress(StoreNotFound):
                    own = evolve(part, start=key.position, stop=key.position + 1)
                    return next((found.label for found in self.using.listed([own])), "")
        return ""


def _completed(image: Accepted, decoded: Accepted) -> Accepted:
    """Add to an image what only its file says. The measures of a converted copy are not those of the image."""
    measures = None if image.download.original else decoded.measures
    return evolve(
        image,
        grey=decoded.grey,
        fingerprint=evolve(image.fingerprint, flat=decoded.fingerprint.flat),
        frames=decoded.frames,
        measures=image.measures or measures,
    )


def _placed(kept: Sequence[StoredImage], returned: Iterable[StoredImage]) -> list[StoredImage]:
    """Return the images that stay, in their order, and each further one before the first with a later candidate."""
    placed = [*kept]
    for each in returned:
        later = (place for place, one in enumerate(placed) if (one.number or 0) > (each.number or 0))
        placed.insert(next(later, len(placed)), each)
    return placed
