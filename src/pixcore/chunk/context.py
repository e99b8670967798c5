"""AttemptContext: the state that all steps of one attempt share."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from attrs import define, field
from tenacity import Retrying

from pixcore.chunk.counts import AttemptCounts
from pixcore.chunk.dependencies import Dependencies
from pixcore.chunk.events import Observer, PhaseEntered, StepRetried, shielded
from pixcore.chunk.lease import Lease
from pixcore.chunk.retry import RetryPolicy, retrying
from pixcore.chunk.stopwatch import Stopwatch
from pixcore.errors import one_line
from pixcore.model.archives import Archive, Blob
from pixcore.model.chunks import Chunk, ChunkKey, ChunkResult, Claim, Phase
from pixcore.model.claims import Claimed
from pixcore.model.decisions import Decided
from pixcore.model.images import Accepted
from pixcore.model.requests import ChunkRequest
from pixcore.model.rows import Row, row, tally

T = TypeVar("T")


@define(eq=False)
class AttemptContext:
    """The claim, lease, phase, counts and times of one attempt, and how its steps report, retry and check.

    Attributes:
        using: The pipeline's ports and policies.
        claimed: The chunk as it was claimed, and this attempt's claim on it.
        chunk: The chunk, with the slices that it has taken since.
        phase: The phase that the attempt is in.
        decided: What curators decided about images of the dataset, as of ``read_decisions``.
        counts: What the attempt accepted, rejected and missed so far.
        stopwatch: How long each phase took so far.
        observe: Calls the pipeline's observer; an observer that fails harms nothing.
        lease: Renews the claim. ``lease.check`` raises when the attempt must stop.
    """

    using: Dependencies
    claimed: Claimed
    chunk: Chunk = field(init=False)
    phase: Phase = Phase.INIT
    decided: Decided = Decided()
    counts: AttemptCounts = field(factory=AttemptCounts)
    stopwatch: Stopwatch = field(factory=Stopwatch)
    observe: Observer = field(init=False)
    lease: Lease = field(init=False)

    def __attrs_post_init__(self) -> None:
        using = self.using
        self.chunk = self.claimed.chunk
        self.observe = shielded(using.observer, using.interrupts)
        self.lease = Lease(using.status, self.claim, using.terms, self.counts.progress, using.stop)

    @property
    def claim(self) -> Claim:
        """This attempt's claim."""
        return self.claimed.claim

    @property
    def request(self) -> ChunkRequest:
        """What the chunk asks for."""
        return self.chunk.request

    @property
    def ids(self) -> tuple[ChunkKey, int]:
        """The chunk and the attempt, with which every event begins."""
        return self.claim.chunk, self.claim.attempt

    def read_decisions(self) -> None:
        """Read what curators decided about images of the dataset; a chunk without a dataset has no decisions.

        Raises:
            StatusUnavailable: The database cannot be reached.
        """
        decisions, dataset = self.using.decisions, self.claim.chunk.dataset
        if decisions and dataset:
            self.decided = self.write(lambda: Decided.of(decisions.read(dataset)))

    def row(self, number: int, image: Accepted) -> Row:
        """Describe image ``number``, counted from 0, with the label that was decided for it, if any."""
        return row(number, image, self.request, self.decided.label(image.sha256))

    def result(self, blob: Blob, archive: Archive, rows: Iterable[Row]) -> ChunkResult:
        """Return the result of a stored archive with these rows, as far as every kind of attempt has it."""
        return ChunkResult(
            url=blob.url,
            sha256=archive.sha256,
            bytes=archive.size,
            target=self.request.target,
            attempt=self.claim.attempt,
            progress=self.counts.progress(),
            seconds=self.stopwatch.seconds(),
            tally=tally(rows),
            rejects=self.counts.samples,
            archive_version=archive.version,
            quality=self.request.quality,
        )

    def enter(self, phase: Phase) -> None:
        """Go on to another phase: report it to the observer and write it to the status database."""
        self.lease.check()
        self.phase = phase
        self.observe(PhaseEntered(*self.ids, phase=phase))
        self.write(lambda: self.using.status.advance(self.claim, phase, self.counts.progress()))

    def write(self, change: Callable[[], T]) -> T:
        """Call ``change``, which uses the status database, and retry it as the policy for status writes says."""
        return self.retrying(self.using.policies.status)(change)

    def retrying(self, policy: RetryPolicy, phase: Phase | None = None) -> Retrying:
        """Return a retry loop that reports each retry, as one of ``phase`` or of the phase that the attempt is in then.

        Between tries it checks the lease, so that a wait does not outlive a cancel.
        """

        def report(failures: int, wait: float, error: BaseException) -> None:
            self.observe(
                StepRetried(*self.ids, phase=phase or self.phase, failures=failures, wait=wait, error=one_line(error))
            )

        return retrying(policy, self._pause, report)

    def _pause(self, seconds: float) -> None:
        self.lease.check()
        self.using.sleep(seconds)
        self.lease.check()
