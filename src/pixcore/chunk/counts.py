"""Count what one attempt accepted, rejected and missed."""

from collections import Counter

from attrs import define, field

from pixcore.model.chunks import Progress, Reject
from pixcore.model.images import CandidateKey, Download, Miss, Rejected

# How many rejected images of each reason a result lists: enough for a person to see what the reason means.
_SAMPLES = 4


@define(eq=False)
class AttemptCounts:
    """The counters of one attempt. The attempt's thread writes them; its lease's thread may read ``progress``."""

    accepted: int = 0
    rejected: Counter[str] = field(factory=Counter[str])
    samples: list[Reject] = field(factory=list[Reject])
    missed: dict[CandidateKey, Miss] = field(factory=dict[CandidateKey, Miss])

    def miss(self, miss: Miss) -> None:
        """Count a missed candidate, once however often its source is opened again."""
        self.missed[miss.candidate.key] = miss

    def download(self, download: Download) -> None:
        """Count a candidate no longer as missed, because a retry of its source has delivered it."""
        self.missed.pop(download.candidate.key, None)

    def reject(self, rejected: Rejected) -> None:
        """Count a rejected image, and keep it as a sample if its reason has few samples so far."""
        self.rejected[rejected.reason] += 1
        if self.rejected[rejected.reason] <= _SAMPLES:
            self.samples.append(Reject(rejected.download.candidate.url, rejected.reason, rejected.detail))

    def progress(self) -> Progress:
        """Return the counts as they are now."""
        missed = Counter(miss.reason for miss in list(self.missed.values()))
        return Progress(accepted=self.accepted, rejected=dict(self.rejected), missed=dict(missed))
