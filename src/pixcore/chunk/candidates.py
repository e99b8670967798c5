"""Candidates: the candidates of an attempt, which of them need not be fetched, and when to take or give back some."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import define, field

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.converting import converted_path
from pixcore.chunk.outcome_log import OutcomeLog
from pixcore.chunk.restoring import earlier_outcomes, restored
from pixcore.model.images import (
    MENDABLE,
    Accepted,
    Candidate,
    CandidateKey,
    Download,
    Miss,
    Rejected,
    RejectReason,
    Transfer,
)
from pixcore.model.outcomes import ACCEPTED, transfer
from pixcore.model.positions import as_text, candidate_number, from_text, listed_key
from pixcore.model.quality import Fingerprint
from pixcore.model.requests import Slice

OVER_TAKE = 1.25  # candidates taken for each missing image; an estimate, see ``pixcore.planning.plan.OVER_FETCH``


@define(eq=False)
class Candidates:
    """The candidates of one attempt: those of the plan first, then further ones of the chunk's lists.

    Attributes:
        context: The attempt.
        outcomes: Records what becomes of them.
        slices: Where the downloader finds the candidates that are left.
        done: The keys of the candidates that this attempt must not fetch again.
    """

    context: AttemptContext
    outcomes: OutcomeLog
    slices: tuple[Slice, ...] = field(init=False)
    done: set[CandidateKey] = field(init=False, factory=set[CandidateKey])
    _numbers: dict[Path, int] = field(init=False, factory=dict[Path, int])
    _restored: deque[tuple[int, Download]] | None = field(init=False, default=None)
    _accepted: int | None = field(init=False, default=None)  # images accepted when the chunk last took more
    _downloads: int = field(init=False, default=0)
    _judged: int = field(init=False, default=0)  # the number after that of the last candidate with a verdict

    def __attrs_post_init__(self) -> None:
        self.slices = self.context.chunk.slices
        lost: dict[str, list[int]] = {}
        for reason, text in self.context.claimed.lost.items():
            if reason in MENDABLE:  # recorded by an earlier version
                continue
            keys = {number: listed_key(self.slices, number) for number in from_text(text)}
            lost[reason] = [number for number, key in keys.items() if key]
            self.done.update(key for key in keys.values() if key)
        self.context.counts.resume({reason: numbers for reason, numbers in lost.items() if numbers})

    @property
    def missing(self) -> int:
        """How many images the chunk lacks even if all downloads that are not decided yet are accepted."""
        counts = self.context.counts
        undecided = self._downloads - counts.accepted - counts.rejected.total()
        return self.context.request.target - counts.accepted - undecided

    def restore(self, into: Path) -> Iterator[Download]:
        """Restore the images of lists that the chunk's last archive holds, so that they are not fetched. Idempotent.

        If they reach the target, yield them all, because nothing has to be fetched then; unless the outcomes of the
        other candidates are lost, which are found out again then.
        """
        if self._restored is None:
            earlier = earlier_outcomes(self.context, into)
            transfers = {key: by for key, line in earlier or () if (by := self._take_over(key, line))}
            self._restored = deque(restored(self.context, into, transfers))
            self.done.update(download.candidate.key for _, download in self._restored)
            if earlier is not None and len(self._restored) >= self.context.request.target:
                yield from self.restored_before(None)

    def _take_over(self, key: CandidateKey, line: bytes) -> Transfer | None:
        """Pass an earlier outcome on. If it is that of an accepted image, return how the image was fetched instead."""
        values = json.loads(line)
        if values["outcome"] == ACCEPTED:
            return transfer(values)
        if self._is_excluded(values):
            self.done.add(key)
        self.outcomes.earlier(key, line)
        return None

    def _is_excluded(self, line: Mapping[str, str]) -> bool:
        """Return whether a candidate was excluded by a decision, and is still, so that it need not be fetched again."""
        if line["outcome"] == RejectReason.PLACEHOLDER:
            return bool(self.context.decided.placeholder(line["sha256"]))
        if line["outcome"] != RejectReason.EXCLUDED:
            return False
        prints = Fingerprint.parse(line["phash"], line["dhash"])
        return bool(self.context.decided.exclusion(line["sha256"], prints, self.context.request.quality.near))

    def restored_before(self, download: Download | None) -> Iterator[Download]:
        """Yield the restored images whose candidates precede that of a download, or all if it is None.

        Yield each once, in the order of the candidates.
        """
        number = None if download is None else candidate_number(self.context.chunk.slices, download.candidate.key)
        while self._restored and (number is None or self._restored[0][0] < number):
            _, earlier = self._restored.popleft()
            self.downloaded(earlier)
            yield earlier

    def held(self, candidate: Candidate) -> str:
        """Return which other chunk of the dataset has the bytes that the candidate's checksum states; ``""`` if none.

        Candidates of lists are fetched nevertheless: a placeholder is known by the number of URLs that lead to it.
        """
        seen, claim = self.context.using.seen, self.context.claim
        key = candidate.key
        if seen is None or any(
            part.snapshot for part in self.slices if (part.source, part.query) == (key.source, key.query)
        ):
            return ""
        holder = self.context.write(lambda: seen.stated(claim, candidate.checksum))
        return f"chunk {holder} has the same bytes" if holder else ""

    def downloaded(self, download: Download) -> None:
        """Record a download."""
        key = download.candidate.key
        self.done.add(key)
        self.context.counts.download(download)
        self._downloads += 1
        number = candidate_number(self.context.chunk.slices, key)
        self.outcomes.downloaded(download, number)
        if number is not None:
            self._numbers |= dict.fromkeys((download.path, converted_path(download.path)), number)

    def missed(self, miss: Miss) -> None:
        """Record a miss."""
        key = miss.candidate.key
        if miss.permanent:
            self.done.add(key)
        number = None if miss.reason in MENDABLE else candidate_number(self.context.chunk.slices, key)
        self.context.counts.miss(miss, number)
        self.outcomes.missed(miss)

    def judged(self, verdict: Accepted | Rejected) -> None:
        """Record that an image was accepted or rejected, or will be before the chunk is full."""
        self._judged = max(self._judged, 1 + self._numbers.get(verdict.download.path, -1))

    def take_more(self) -> bool:
        """Take more candidates of the chunk's lists if it lacks images; return whether there are any.

        Take a few more than images are missing, because some will be lost, too. If the last ones gave no image, take
        at least an eighth of the chunk's candidates, because dead links lie together and are fetched at the same time.
        ``give_back`` returns those that turn out not to be needed.
        """
        context, missing = self.context, self.missing
        chunk, counts = context.chunk, context.counts
        if missing <= 0 or not any(slice_.snapshot for slice_ in (*chunk.request.lists, *chunk.request.slices)):
            return False
        take, owned = context.using.status.take, chunk.candidates
        wanted = max(int(missing * OVER_TAKE), owned // 8 if counts.accepted == self._accepted else 0)
        self._accepted = counts.accepted
        # The next attempt tries transient misses again. In this one, an untried candidate is the better choice.
        self.done.update(counts.missed)
        context.chunk = context.write(lambda: take(context.claim, wanted, owned=owned))
        self.slices = tuple(slice_ for slice_ in context.chunk.slices if slice_.snapshot)
        return context.chunk.candidates > owned

    def give_back(self) -> bool:
        """Give back the candidates that were taken and that a full chunk does not need; return whether there were any.

        These are all after the last one with a verdict: the misses among them are tried again by the next owner, and
        count there.
        """
        context, keep = self.context, self._judged
        before = context.chunk
        if not before.taken or context.counts.accepted < context.request.target:
            return False
        context.chunk = context.write(lambda: context.using.status.give_back(context.claim, keep))
        kept = context.chunk.candidates
        context.counts.forget(kept, {key: candidate_number(before.slices, key) for key in context.counts.missed})
        return kept < before.candidates

    def kept(self, paths: Iterable[Path]) -> str:
        """Return the numbers of the images at ``paths`` for the chunk's result; ``""`` if an image has none."""
        numbers = [self._numbers.get(path) for path in paths]
        return as_text([number for number in numbers if number is not None]) if None not in numbers else ""
