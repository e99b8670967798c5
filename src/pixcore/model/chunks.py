"""A chunk, from its request to its record in the status database."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import field, frozen

from pixcore.model.requests import ChunkRequest


class Phase(StrEnum):
    """Where a chunk is; ``download`` and ``validate`` overlap."""

    INIT = "init"
    DOWNLOAD = "download"
    VALIDATE = "validate"
    COMPRESS = "compress"
    UPLOAD = "upload"
    COMPLETE = "complete"
    ERROR = "error"
    CLEANUP = "cleanup"


class Status(StrEnum):
    """What the status database says of a chunk."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@frozen(order=True)
class ChunkKey:
    """What names a chunk in a status database: its id within the namespace of a dataset, or of none (``""``)."""

    dataset: str
    id: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.id}" if self.dataset else str(self.id)

    def blob_key(self, suffix: str) -> str:
        """Key of the chunk's archive below the store's prefix; ``suffix`` such as ``.zip``. The id is unpadded."""
        name = f"chunk_{self.id}{suffix}"
        return f"{self.dataset}/data/{name}" if self.dataset else name


@frozen
class Chunk:
    """A request that the status database knows, under the id it is known by."""

    id: int
    request: ChunkRequest

    @property
    def key(self) -> ChunkKey:
        """What names the chunk everywhere."""
        return ChunkKey(self.request.dataset, self.id)


@frozen
class Claim:
    """A worker's right to work on a chunk: ``attempt`` is the fencing token and only ever grows."""

    chunk: ChunkKey
    owner: str
    attempt: int


@frozen
class Progress:
    """How far an attempt has come: images accepted, rejected and missed by reason."""

    accepted: int = 0
    rejected: Mapping[str, int] = field(factory=dict[str, int])
    missed: Mapping[str, int] = field(factory=dict[str, int])


@frozen
class Reject:
    """A download that was not wanted, remembered as a sample of its reason."""

    url: str
    reason: str
    detail: str


def _rejects(rejects: Iterable[Reject]) -> tuple[Reject, ...]:
    return tuple(rejects)


@frozen
class ChunkResult:
    """What became of a completed chunk.

    ``bytes`` and ``sha256`` are the blob's; ``seconds`` are by phase. ``tally`` counts its images by ``source``,
    ``license`` and ``format``; ``rejects`` are a few samples of each reason, in the order in which they were met.
    ``columns`` maps each column of its rows to ``"string"`` or ``"integer"``; it is empty for archives that were made
    before pixcore recorded it.
    """

    url: str
    sha256: str
    bytes: int
    target: int
    attempt: int
    progress: Progress
    seconds: Mapping[str, float]
    tally: Mapping[str, Mapping[str, int]] = field(factory=dict[str, Mapping[str, int]])
    rejects: tuple[Reject, ...] = field(default=(), converter=_rejects)
    columns: Mapping[str, str] = field(factory=dict[str, str])

    @property
    def shortfall(self) -> int:
        """How many images are missing to the target."""
        return self.target - self.progress.accepted


@frozen
class ChunkRecord:
    """One row of the status database.

    ``lease_left``, ``running`` and ``due_in`` are seconds from the database's now: what is left of a running attempt's
    lease (negative once expired; 0 when none runs), how long ago that attempt began (0 when none runs), and the wait
    until a pending chunk may be claimed (0 when it may). ``queue`` names the queue that delivers the chunk, if any.
    """

    chunk: Chunk
    status: Status
    phase: Phase
    attempt: int
    failures: int
    owner: str
    lease_left: float
    running: float
    due_in: float
    cancel_requested: bool
    progress: Progress
    result: ChunkResult | None
    error: str
    queue: str = ""


@frozen
class Overview:
    """What many chunks are doing, at one look.

    Attributes:
        phases: How many chunks are in each status and phase; only what occurs.
        accepted: Images accepted in all of them.
        workers: How many owners hold a lease that has not expired.
        expired: Chunks in processing whose lease has expired.
        oldest: Seconds since the longest running of the live claims was made; 0 if there is none.
        errors: How many failed or pending chunks have each error, most frequent first, at most 20. Quoted parts and
            numbers are masked (``'…'``, ``N``), so that alike errors count together.
    """

    phases: Mapping[Status, Mapping[Phase, int]]
    accepted: int
    workers: int
    expired: int
    oldest: float
    errors: Mapping[str, int]


@frozen
class Attempt:
    """What is remembered of an attempt at a chunk. Times are in Unix seconds, by the database's clock.

    ``ended`` and ``status`` are None until it is over; ``status`` is what it left the chunk in: pending without an
    ``error`` if it was interrupted. ``phase`` is where it ended.
    """

    chunk: ChunkKey
    attempt: int
    began: float
    ended: float | None
    status: Status | None
    phase: Phase
    error: str


@frozen
class Claimed:
    """Answer to a claim: the chunk is yours. ``failures`` so far, for the wait after the next one."""

    claim: Claim
    chunk: Chunk
    failures: int


@frozen
class Done:
    """Answer to a claim: nothing to do, this is the stored result."""

    result: ChunkResult


@frozen
class Busy:
    """Answer to a claim: another worker holds it; ask again in ``retry_in`` seconds."""

    retry_in: float


@frozen
class NotDue:
    """Answer to a claim: it failed a moment ago; ask again in ``retry_in`` seconds."""

    retry_in: float


@frozen
class Exhausted:
    """Answer to a claim: it failed for good, with this error."""

    error: str


Outcome = Done | Busy | NotDue | Exhausted
