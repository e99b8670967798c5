"""Rewrite the outcomes of a chunk's candidates for a revision of its images."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from attrs import define, field

from pixcore.chunk.revision import Revision
from pixcore.chunk.stored_chunk import StoredChunk, raw_lines
from pixcore.model.images import EQUAL_BYTES, Accepted, Rejected, RejectReason
from pixcore.model.outcomes import ACCEPTED, NOT_TRIED, Line, revised, to_bytes

_REMOVED = "; that image was removed later"  # at the end of a detail that names another image


@define(eq=False)
class RevisedOutcomes:
    """The outcomes of all candidates of a chunk after a revision. Iterating yields the lines, and counts them anew.

    A line changes if its image is removed, brought back or relabelled, if it has the bytes of such an image, or if it
    names a removed image as the one that is kept instead.

    Attributes:
        stored: What the chunk stores; it has outcomes.
        revision: What changes.
        stored_as: The sha256 of the stored copy of each kept image that was converted.
        rejected, missed: How many lines there were of each outcome, once all were yielded.
    """

    stored: StoredChunk
    revision: Revision
    stored_as: Mapping[str, str]
    rejected: Counter[str] = field(init=False, factory=Counter[str])
    missed: Counter[str] = field(init=False, factory=Counter[str])
    _kept: dict[str, Accepted] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._kept = {each.sha256: each.image for each in self.revision.kept}

    def __iter__(self) -> Iterator[bytes]:
        self.rejected.clear()
        self.missed.clear()
        lines = self.stored.lines or {}
        for place, raw in enumerate(raw_lines(self.stored.outcomes) if self.stored.outcomes else ()):
            line = self._revised(place, lines[place]) if place in lines else json.loads(raw)
            if line["outcome"] not in (ACCEPTED, NOT_TRIED):
                (self.rejected if "bytes" in line else self.missed)[str(line["outcome"])] += 1
            yield to_bytes(line) if place in lines else raw

    def _revised(self, place: int, line: Line) -> Line:
        sha256 = str(line["sha256"])
        is_owner = self.stored.owners.get(sha256) == place
        if sha256 in self._kept:
            return self._accepted(line, sha256) if is_owner else self._copy(line, sha256)
        removed = self.revision.removed.get(sha256)
        if removed and (is_owner or line["outcome"] == RejectReason.DUPLICATE):
            return _rejected(line, removed)
        if "twin" not in line:
            return line
        detail = str(line.get("detail", "")).removesuffix(_REMOVED)
        if line["twin"] in self._kept:
            return line | {"detail": detail}
        return line | {"detail": f"{detail}{_REMOVED}"} if line["twin"] in self.revision.removed else line

    def _accepted(self, line: Line, sha256: str) -> Line:
        decided: Line = {"outcome": ACCEPTED}
        if stored := self.stored_as.get(sha256):
            decided["stored_sha256"] = stored
        if label := self.revision.decided.get(sha256):
            decided["label"] = label
        return revised({key: value for key, value in line.items() if key != "label"}, decided)

    def _copy(self, line: Line, sha256: str) -> Line:
        """Describe a candidate with the bytes of a kept image."""
        if line["outcome"] in EQUAL_BYTES:
            return line
        kept = self._kept[sha256]
        detail = f"same bytes as {kept.download.candidate.url}"
        return _rejected(line, Rejected(kept.download, RejectReason.DUPLICATE, detail, kept, kept))


def _rejected(line: Line, rejected: Rejected) -> Line:
    decided: Line = {"outcome": str(rejected.reason)}
    if rejected.detail:
        decided["detail"] = rejected.detail
    if rejected.twin:
        decided |= {"twin": rejected.twin.sha256, "twin_url": rejected.twin.download.candidate.url}
    return revised(line, decided)
