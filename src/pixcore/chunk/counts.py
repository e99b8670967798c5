"""Count what one attempt accepted, rejected and missed."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from attrs import define, evolve, field

from pixcore.model.chunks import Progress, Reject
from pixcore.model.images import Accepted, CandidateKey, Download, Miss, Rejected
from pixcore.model.positions import as_text, from_text

# How many rejected images of each reason a result lists: enough for a person to see what the reason means.
_SAMPLES = 4


@define(eq=False)
class AttemptCounts:
    """The counters of one attempt. The attempt's thread writes them; its lease's thread may read ``progress``.

    ``lost`` has the numbers of the misses that no later attempt has to try again, by reason, those of ``earlier``
    attempts first.
    """

    accepted: int = 0
    rejected: Counter[str] = field(factory=Counter[str])
    samples: list[Reject] = field(factory=list[Reject])
    missed: dict[CandidateKey, Miss] = field(factory=dict[CandidateKey, Miss])
    lost: dict[str, list[int]] = field(factory=dict[str, list[int]])
    earlier: Counter[str] = field(factory=Counter[str])

    def resume(self, lost: Mapping[str, list[int]]) -> None:
        """Count the permanent misses of earlier attempts, which this attempt does not try again."""
        self.lost = {reason: [*numbers] for reason, numbers in lost.items()}
        self.earlier = Counter({reason: len(numbers) for reason, numbers in lost.items()})

    def begin_with(self, progress: Progress, samples: Iterable[Reject]) -> None:
        """Begin with the counts and samples of an earlier attempt."""
        self.accepted = progress.accepted
        self.rejected = Counter(progress.rejected)
        self.earlier = Counter(progress.missed)
        self.lost = {reason: from_text(text) for reason, text in progress.lost.items()}
        self.samples = [*samples]

    def miss(self, miss: Miss, number: int | None = None) -> None:
        """Count a missed candidate, once however often its source is opened again.

        ``number`` is the candidate's number, or None if a later attempt is to try it even if the miss is permanent.
        """
        self.missed[miss.candidate.key] = miss
        if miss.permanent and number is not None:
            self.lost.setdefault(miss.reason, []).append(number)

    def forget(self, kept: int, numbers: Mapping[CandidateKey, int | None]) -> None:
        """Forget the misses of candidates that the chunk no longer has: all but the first ``kept``.

        ``numbers`` has the number of each candidate that this attempt missed; None if it has none.
        """
        gone = {key for key, number in numbers.items() if number is not None and number >= kept}
        again = Counter(miss.reason for key, miss in self.missed.items() if key in gone and miss.permanent)
        for reason, lost in self.lost.items():
            # those that this attempt did not miss itself are misses of earlier attempts
            self.earlier[reason] -= max(0, sum(number >= kept for number in lost) - again[reason])
        self.missed = {key: miss for key, miss in self.missed.items() if key not in gone}
        left = {reason: [number for number in lost if number < kept] for reason, lost in self.lost.items()}
        self.lost = {reason: numbers for reason, numbers in left.items() if numbers}

    def download(self, download: Download) -> None:
        """Count a candidate no longer as missed, because a retry of its source has delivered it."""
        self.missed.pop(download.candidate.key, None)

    def reject(self, rejected: Rejected) -> None:
        """Count a rejected image, and keep it as a sample if its reason has few samples so far."""
        self.rejected[rejected.reason] += 1
        if self.rejected[rejected.reason] <= _SAMPLES:
            twin = (rejected.twin.sha256, rejected.twin.download.candidate.url) if rejected.twin else ("", "")
            self.samples.append(Reject(rejected.download.candidate.url, rejected.reason, rejected.detail, *twin))

    def restate(self, refused: Mapping[str, int], reason: str, detail: str, is_one: Callable[[str], bool]) -> None:
        """Count images that were rejected for other reasons under ``reason``. ``is_one`` tells them by their URLs."""
        for former, count in refused.items():
            self.rejected[former] -= count
            self.rejected[reason] += count
        self.rejected = +self.rejected
        samples: list[Reject] = []
        room = _SAMPLES
        for sample in self.samples:
            one = sample
            if is_one(sample.url) and sample.reason in (*refused, reason):
                one = evolve(sample, reason=reason, detail=detail, twin="", twin_url="")
            room -= one.reason == reason
            if one.reason != reason or room >= 0:
                samples.append(one)
        self.samples = samples

    def take_over(self, outcome: str, *, rejected: bool) -> None:
        """Count the outcome of an earlier attempt for a candidate that this one did not try."""
        (self.rejected if rejected else self.earlier)[outcome] += 1

    def replace(self, image: Accepted, better: Accepted) -> None:
        """Name the better image in the samples of which the twin was an image that is rejected now."""
        self.samples = [
            evolve(sample, twin=better.sha256, twin_url=better.download.candidate.url)
            if sample.twin == image.sha256
            else sample
            for sample in self.samples
        ]

    def progress(self) -> Progress:
        """Return the counts as they are now."""
        missed = Counter(miss.reason for miss in list(self.missed.values())) + self.earlier
        lost = {str(reason): as_text(sorted(numbers)) for reason, numbers in list(self.lost.items())}
        return Progress(accepted=self.accepted, rejected=dict(self.rejected), missed=dict(missed), lost=lost)
