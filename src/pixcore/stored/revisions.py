"""Say what a rebuilding would change in a chunk under other rules or decisions. Nothing is changed here."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve, field, fields, frozen

from pixcore.chunk.dependencies import Dependencies
from pixcore.chunk.retry import retrying
from pixcore.chunk.revising import Reviser
from pixcore.chunk.revision import Revision
from pixcore.chunk.stored_chunk import StoredBlobs, StoredChunk, image_lines
from pixcore.chunk.workspace import workspace
from pixcore.errors import InvalidRequest
from pixcore.filters.apply import apply_filters
from pixcore.model.archives import StoredBlob
from pixcore.model.chunks import ChunkRecord
from pixcore.model.decisions import Decided
from pixcore.model.images import EQUAL_BYTES, Accepted, Candidate, CandidateKey, Download, Rejected, RejectReason
from pixcore.model.measures import FLAGS, Measures
from pixcore.model.outcomes import ACCEPTED, OUTCOMES, Line
from pixcore.model.quality import Fingerprint, Quality, TwinRule
from pixcore.model.rows import as_text
from pixcore.stored.archives import StoredArchives

_NO_TIME = datetime.fromtimestamp(0, UTC)  # a download must have a time; no rule reads it

# The reasons of the rules that a dataset may change. Filters of other distributions have their own.
_RULES = frozenset({RejectReason.TOO_SMALL, RejectReason.EXCLUDED, RejectReason.NEAR_DUPLICATE, *FLAGS})


@frozen
class ChunkChanges:
    """What a rebuilding would change in one chunk.

    Attributes:
        record: The chunk.
        removed: How many images would be removed, by reason and, for an image that was excluded by name, who decided.
        returned: How many rejected images would be brought back.
        relabelled: How many kept images would have another label.
        unchanged: How many images of the archive stay as they are.
        spare: How many rejected images are acceptable now, but not needed, because the chunk has its target.
        lost: How many rejected images are acceptable now and needed, but cannot be brought back, because their bytes
            were not kept.
        is_unfinished: Whether an earlier rebuilding was interrupted.
    """

    record: ChunkRecord
    removed: Mapping[tuple[str, str], int] = field(factory=Counter[tuple[str, str]])
    returned: int = 0
    relabelled: int = 0
    unchanged: int = 0
    spare: int = 0
    lost: int = 0
    is_unfinished: bool = False

    @property
    def is_touched(self) -> bool:
        """Whether the chunk has to be rebuilt."""
        return bool(self.removed or self.returned or self.relabelled or self.is_unfinished)


@frozen
class ChangesFinder:
    """Compares what chunks store with the rules and decisions. Reads an archive only if it may change.

    Attributes:
        archives: Where the blobs are.
        decided: What curators decided.
        using: The validator, the twin finder, the filters and the listings of a pipeline, for pictures that must be
            decoded and compared.
    """

    archives: StoredArchives
    decided: Decided
    using: Dependencies

    def find(self, record: ChunkRecord, quality: Quality) -> ChunkChanges:
        """Return what would change in a chunk that has an archive, under these rules.

        Raises:
            InvalidRequest: A stored blob is missing, damaged or not the recorded one, or no image would be left.
            StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``StoredArchives.fetch``.
        """
        with workspace(self.archives.work, lambda _path, _error: None) as folder:
            blobs = self._blobs(record, folder)
            found = blobs.beside(OUTCOMES)
            lines = image_lines(found[0]) if found else None
            after = _Rules(record.followed, quality, self.decided, record.chunk.request.target, blobs.result.rejected)
            if lines is not None and not record.rebuild and not after.may_change(lines.values()):
                kept = sum(line["outcome"] == ACCEPTED for line in lines.values())
                return _counted(ChunkChanges(record, unchanged=kept), len(after.acceptable(lines.values())), kept)
            stored = StoredChunk(blobs)
            request = evolve(record.chunk.request, quality=quality)
            revision = Reviser(stored, request, record.followed, self.decided, self.using, lambda: None).revise()
            if not revision.kept:
                raise InvalidRequest(
                    "no image would be left, and an archive needs one; exclude fewer, or relax the rules"
                )
            known = {each.sha256 for each in stored.images}
            lost = after.acceptable(lines.values() if lines else ()) - known
            changes = _changes(record, revision, sum(each.in_archive for each in stored.images))
            return _counted(changes, len(lost), len(revision.kept))

    def _blobs(self, record: ChunkRecord, folder: Path) -> StoredBlobs:
        archiver = self.archives.archiver(record)
        if record.result is None:
            raise InvalidRequest(f"chunk {record.chunk.key} has no archive; it is {record.status}")
        return StoredBlobs(
            self.archives.store,
            archiver,
            record.chunk,
            record.result,
            record.attempt,
            self.using.status.identity,
            folder,
            retrying(self.archives.policy, self.archives.sleep),
        )


def _counted(changes: ChunkChanges, missing: int, kept: int) -> ChunkChanges:
    """Add the count of acceptable images that are not stored; ``kept`` is how many images the chunk has."""
    if kept >= changes.record.chunk.request.target:
        return evolve(changes, spare=changes.spare + missing)
    return evolve(changes, lost=missing)


def _changes(record: ChunkRecord, revision: Revision, archived: int) -> ChunkChanges:
    removed = Counter(
        (
            str(each.reason),
            each.detail if each.reason == RejectReason.EXCLUDED and each.detail.startswith("by ") else "",
        )
        for each in revision.removed.values()
    )
    gone = sum(removed.values())
    return ChunkChanges(
        record,
        removed,
        len(revision.returned),
        len(revision.relabelled),
        archived - gone - len(revision.relabelled),
        revision.spare,
        is_unfinished=record.rebuild,
    )


@frozen
class _Rules:
    """Judges outcomes by other rules and decisions, without opening an image."""

    before: Quality
    after: Quality
    decided: Decided
    target: int
    rejected: StoredBlob | None

    def may_change(self, lines: Iterable[Line]) -> bool:
        """Return whether the archive may change. If not, it surely does not."""
        lines = list(lines)
        if self._needs_pictures():
            return True
        kept = [line for line in lines if line["outcome"] == ACCEPTED]
        if any(as_text(self.decided.label(str(line["sha256"]))) != line.get("label", "") for line in kept):
            return True
        if any(self._rejected(kept)):
            return True
        acceptable = self.acceptable(lines) if self.rejected else ()
        return bool(acceptable) and (len(kept) < self.target or any(map(self.decided.includes, acceptable)))

    def acceptable(self, lines: Iterable[Line]) -> set[str]:
        """Return the sha256 of the images that were rejected and may be acceptable now."""
        lines = list(lines)
        kept = {str(line["sha256"]) for line in lines if line["outcome"] == ACCEPTED}
        rejected = [line for line in lines if line["outcome"] != ACCEPTED and self._is_open(line, kept)]
        verdicts = zip(rejected, self._rejected(rejected), strict=True)
        return {str(line["sha256"]) for line, is_rejected in verdicts if not is_rejected} - kept

    def _needs_pictures(self) -> bool:
        """Return whether rules have changed that need the pictures themselves."""
        one, other = self.before, self.after
        hashes = one.near != other.near and TwinRule.HASHES in (one.twins, other.twins)
        return one.twins is not other.twins or hashes or set(one.filters) != set(other.filters)

    def _is_open(self, line: Line, kept: set[str]) -> bool:
        """Return whether a rule that may have changed, or a decision, rejected an image."""
        sha256, outcome = str(line["sha256"]), str(line["outcome"])
        if outcome in EQUAL_BYTES:
            return False
        if self.decided.includes(sha256):
            return True
        if outcome == RejectReason.PLACEHOLDER:
            return False  # how many URLs led to an image is counted only when images are collected
        if outcome == RejectReason.NEAR_DUPLICATE:
            return self.before.twins is not self.after.twins or line.get("twin") not in kept
        return outcome in _RULES or outcome not in self.after.filters

    def _rejected(self, lines: Iterable[Line]) -> Iterator[bool]:
        """Yield for each image whether a rule or a decision rejects it, or whether a measure is missing to tell."""
        rules = evolve(self.after, twins=TwinRule.OFF)
        for image in map(_image, lines):
            (verdict,) = apply_filters([image], rules, decided=self.decided)
            unknown = image.measures is None and bool(rules.min_sharpness or rules.drop)
            yield isinstance(verdict, Rejected) or unknown


def _image(line: Line) -> Accepted:
    """Return the image of an outcome, as far as rules need it."""
    key = CandidateKey(str(line["source"]), str(line["query"]), int(line["position"]))
    names = [measure.name for measure in fields(Measures)]
    return Accepted(
        Download(Candidate(key, str(line.get("url", ""))), Path(), int(line["bytes"]), _NO_TIME),
        sha256=str(line["sha256"]),
        width=int(line["width"]),
        height=int(line["height"]),
        format="",
        fingerprint=Fingerprint.parse(line["phash"], line["dhash"]),
        measures=Measures(**{name: int(line[name]) for name in names}) if names[0] in line else None,
    )
