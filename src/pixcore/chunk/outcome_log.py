"""OutcomeLog: the outcome of each candidate of an attempt, collected in a file and written in candidate order."""

import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from attrs import define, evolve, field

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.publish import archive_at
from pixcore.chunk.workspace import local_disk
from pixcore.errors import StoreNotFound
from pixcore.model.archives import Archive
from pixcore.model.images import (
    COPIES,
    MENDABLE,
    Accepted,
    Candidate,
    CandidateKey,
    Download,
    Miss,
    Rejected,
    RejectReason,
)
from pixcore.model.outcomes import ACCEPTED, NOT_TRIED, OutcomeLines, revised, to_bytes
from pixcore.model.positions import candidate_number, from_text
from pixcore.model.requests import Slice

_LEVEL = 4  # of zlib: half the time of the usual level 6, for a tenth more bytes

# What may have become of an image before its bytes turned out to be a placeholder.
_MAY_BE_PLACEHOLDERS = frozenset({ACCEPTED, RejectReason.PLACEHOLDER, *COPIES})


@define(eq=False)
class OutcomeLog:
    """Collects a line for each candidate as it is decided. A later line of the same candidate replaces the earlier one.

    The lines are in a file of the work directory. Memory holds a number for each candidate, and the candidates that are
    downloaded but not decided yet.

    Attributes:
        context: The attempt.
        path: The file for the lines.
    """

    context: AttemptContext
    path: Path
    _lines: OutcomeLines = field(init=False)
    _file: IO[bytes] | None = field(init=False, default=None)
    _places: dict[int, int] = field(init=False, factory=dict[int, int])  # in the file, by the candidate's number
    _earlier: dict[int, int] = field(init=False, factory=dict[int, int])  # the same, of earlier attempts
    _others: dict[CandidateKey, int] = field(init=False, factory=dict[CandidateKey, int])  # of candidates in no slice
    _undecided: dict[CandidateKey, Candidate] = field(init=False, factory=dict[CandidateKey, Candidate])
    # the sha256 and the URL of the image that was kept instead, by the sha256 of a rejected one
    _instead: dict[str, tuple[str, str]] = field(init=False, factory=dict[str, tuple[str, str]])
    _placeholders: dict[str, str] = field(init=False, factory=dict[str, str])  # their details, by sha256
    _end: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._lines = OutcomeLines(self.context.request.columns)

    def downloaded(self, download: Download, number: int | None) -> None:
        """Record that a candidate is to be judged; ``number`` is the candidate's, as for ``Claimed.lost``."""
        self._undecided[download.candidate.key] = download.candidate
        if number is not None:
            self._places.pop(number, None)  # it was missed when its source was opened before

    def missed(self, miss: Miss) -> None:
        """Record a miss."""
        self._put(miss.candidate.key, to_bytes(self._lines.missed(miss)))

    def accepted(self, image: Accepted) -> None:
        """Record an image that is kept for now."""
        self._instead.pop(image.sha256, None)
        self._put(
            image.download.candidate.key,
            to_bytes(self._lines.accepted(image, self.context.decided.label(image.sha256))),
        )

    def rejected(self, reject: Rejected) -> None:
        """Record a rejected download, which may have been kept until now."""
        self._put(reject.download.candidate.key, to_bytes(self._lines.rejected(reject)))
        if reject.image and reject.twin and reject.twin.sha256 != reject.image.sha256:
            self._instead[reject.image.sha256] = reject.twin.sha256, reject.twin.download.candidate.url

    def placeholder(self, sha256: str, detail: str) -> None:
        """Record that an image is a placeholder, whatever became of its candidates so far. A later detail counts."""
        self._placeholders[sha256] = detail

    def earlier(self, key: CandidateKey, line: bytes) -> None:
        """Record the outcome of an earlier attempt, which holds if this one does not try the candidate."""
        number = candidate_number(self.context.chunk.slices, key)
        if number is not None:
            self._earlier[number] = self._append(line)

    def settle(self) -> frozenset[str]:
        """Take over the earlier outcomes of candidates that this attempt did not try, and count them. Call it once.

        The misses among them that are not tried again are counted already. Return the sha256 of each rejected image.
        """
        self.close()
        lost, images = self._lost(), set[str]()
        with local_disk("reading the outcomes"), self.path.open("a+b") as collected:
            for number, place in self._earlier.items():
                if number not in self._places and number < self.context.chunk.candidates:
                    values = json.loads(self._collected(collected, place))
                    if values["outcome"] == NOT_TRIED:
                        continue
                    self._places[number] = place
                    if number not in lost:
                        self.context.counts.take_over(values["outcome"], rejected="bytes" in values)
                    images |= {values["sha256"]} if "sha256" in values else set()
        return frozenset(images)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._file:
            self._file.close()

    def write(self, target: Path) -> Archive:
        """Write all lines to ``target``, compressed by gzip, in candidate order.

        A candidate of a list that was not tried has a line too. The same outcomes give the same bytes with the same
        version of zlib.

        Raises:
            StoreDenied, StoreUnavailable: A listing cannot be read.
            WorkspaceFull, TransientError: As ``local_disk`` raises them.
        """
        with local_disk("reading the outcomes"), self.path.open("a+b") as collected:
            return write_lines(self._ordered(collected), target)

    def _put(self, key: CandidateKey, line: bytes) -> None:
        self._undecided.pop(key, None)
        number = candidate_number(self.context.chunk.slices, key)
        place = self._append(line)
        if number is None:
            self._others[key] = place
        else:
            self._places[number] = place

    def _append(self, line: bytes) -> int:
        """Append a line to the file; return its place."""
        place = self._end
        with local_disk("writing the outcomes"):
            self._file = self._file or self.path.open("wb")
            self._file.write(line)
        self._end += len(line)
        return place

    def _ordered(self, collected: IO[bytes]) -> Iterator[bytes]:
        first = 0
        for slice_ in self.context.chunk.slices:
            yield from self._of_slice(slice_, first, collected)
            first += len(slice_)
        for place in self._others.values():
            yield self._collected(collected, place)

    def _of_slice(self, slice_: Slice, first: int, collected: IO[bytes]) -> Iterator[bytes]:
        """Yield the lines of a slice whose first candidate has the number ``first``."""
        untried = self._untried(slice_, first)
        known = next(untried, None)
        lost = self._lost() if slice_.snapshot else {}
        for position in range(slice_.start, slice_.stop):
            number = first + position - slice_.start
            key = CandidateKey(slice_.source, slice_.query, position)
            if number in self._places:
                yield self._collected(collected, self._places[number])
            elif slice_.snapshot:
                found = known if known and known.key == key else None
                known = next(untried, None) if found else known
                yield to_bytes(self._lines.untried(found or Candidate(key, ""), lost.get(number, NOT_TRIED)))
            elif key in self._undecided:
                yield to_bytes(self._lines.untried(self._undecided[key]))

    def _untried(self, slice_: Slice, first: int) -> Iterator[Candidate]:
        """Yield the candidates of a list's slice that have no line, in order; none if the listing is gone."""
        places = (place for place in range(len(slice_)) if first + place not in self._places)
        start = next(places, None)
        if start is None or not slice_.snapshot:
            return
        part = evolve(slice_, start=slice_.start + start)
        with suppress(StoreNotFound):
            for candidate in self.context.using.listed([part]):
                if first + candidate.key.position - slice_.start not in self._places:
                    yield candidate

    def _lost(self) -> dict[int, str]:
        """Return the reasons of the permanent misses of earlier attempts, by number."""
        lost = self.context.claimed.lost
        final = ((reason, text) for reason, text in lost.items() if reason not in MENDABLE)  # see ``candidates``
        return {number: reason for reason, text in final for number in from_text(text)}

    def _collected(self, collected: IO[bytes], place: int) -> bytes:
        line = _line_at(collected, place)
        if self._placeholders and b'"sha256": ' in line:
            line = self._as_placeholder(line)
        return self._with_kept_twin(line) if b'"twin": ' in line else line

    def _as_placeholder(self, line: bytes) -> bytes:
        """Name the reason if the image of a line turned out to be a placeholder after the line was written."""
        values = json.loads(line)
        detail = self._placeholders.get(values["sha256"])
        if detail is None or values["outcome"] not in _MAY_BE_PLACEHOLDERS:
            return line
        return to_bytes(revised(values, {"outcome": str(RejectReason.PLACEHOLDER), "detail": detail}))

    def _with_kept_twin(self, line: bytes) -> bytes:
        """Name the image that is kept in the end, if the twin of a line was dropped later for a better one."""
        values = json.loads(line)
        compared, twin = values["twin_url"], values["twin"]
        while twin in self._instead:
            twin, values["twin_url"] = self._instead[twin]
        if twin != values["twin"]:
            values["twin"] = twin
            values["detail"] = f"{values['detail']}; compared with {compared}, which was dropped for the kept image"
        if twin in self._placeholders:
            values["detail"] = f"{values['detail']}; that image turned out to be a placeholder"
        return to_bytes(values)


def write_lines(lines: Iterable[bytes], target: Path) -> Archive:
    """Write lines to ``target``, compressed by gzip. The same lines give the same bytes with the same version of zlib.

    Raises:
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    count = 0
    with (
        local_disk("writing the outcomes"),
        target.open("wb") as file,
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed,
    ):
        for line in lines:
            packed.write(line)
            count += 1
    return archive_at(target, count)


def _line_at(collected: IO[bytes], place: int) -> bytes:
    collected.seek(place)
    return collected.readline()
