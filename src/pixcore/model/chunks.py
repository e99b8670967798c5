"""A chunk as the status database knows it: its key, claim, progress, result and record."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import field, frozen

from pixcore.model.archives import StoredBlob
from pixcore.model.quality import Quality
from pixcore.model.requests import ChunkRequest, Slice


class Phase(StrEnum):
    """What an attempt does. Downloading, validating and packing overlap; ``compress`` begins after the last image."""

    INIT = "init"
    DOWNLOAD = "download"
    VALIDATE = "validate"
    COMPRESS = "compress"
    UPLOAD = "upload"
    COMPLETE = "complete"
    ERROR = "error"
    CLEANUP = "cleanup"


class Status(StrEnum):
    """The status of a chunk in the status database."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Priority(StrEnum):
    """Which chunks of a queue are delivered first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@frozen(order=True)
class ChunkKey:
    """The name of a chunk in a status database: its dataset, or ``""`` for none, and its id within that."""

    dataset: str
    id: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.id}" if self.dataset else str(self.id)

    def blob_key(self, suffix: str) -> str:
        """Return the key of the chunk's blob in the store; ``suffix`` is such as ``.zip``. The id is not padded."""
        name = f"chunk_{self.id}{suffix}"
        return f"{self.dataset}/data/{name}" if self.dataset else name

    def outcomes_key(self, suffix: str) -> str:
        """Return the key of a blob about the chunk's candidates; ``suffix`` is one of ``pixcore.model.outcomes``."""
        name = f"chunk_{self.id}{suffix}"
        return f"{self.dataset}/outcomes/{name}" if self.dataset else name


@frozen
class Chunk:
    """A request that is in the status database, and the id that it has there.

    ``taken`` are the slices of its lists that the chunk took later, because its own did not suffice, in order.
    """

    id: int
    request: ChunkRequest
    taken: tuple[Slice, ...] = ()

    @property
    def slices(self) -> tuple[Slice, ...]:
        """All slices that belong to the chunk alone, in order."""
        return self.request.slices + self.taken

    @property
    def candidates(self) -> int:
        """How many candidates the slices hold at most."""
        return sum(map(len, self.slices))

    @property
    def key(self) -> ChunkKey:
        """The chunk's name."""
        return ChunkKey(self.request.dataset, self.id)


@frozen
class Claim:
    """A worker's right to work on a chunk. ``attempt`` is the fencing token: it only ever grows."""

    chunk: ChunkKey
    owner: str
    attempt: int


@frozen
class Progress:
    """How many images an attempt has accepted, and how many it has rejected and missed, by reason.

    ``lost`` has the numbers of the permanent misses by reason, those of earlier attempts included, as
    ``pixcore.model.positions.as_text`` writes them; without those whose reason is ``MENDABLE``.
    """

    accepted: int = 0
    rejected: Mapping[str, int] = field(factory=dict[str, int])
    missed: Mapping[str, int] = field(factory=dict[str, int])
    lost: Mapping[str, str] = field(factory=dict[str, str])


@frozen
class Reject:
    """A rejected download, kept in the result as a sample of its reason.

    ``twin`` and ``twin_url`` are the sha256 and the URL of the image that is kept instead, if it is in the same chunk.
    """

    url: str
    reason: str
    detail: str
    twin: str = ""
    twin_url: str = ""


@frozen
class TwinPair:
    """Two images of a chunk, by URL, that show the same picture and are both kept, and how they differ."""

    one: str
    other: str
    detail: str


def _twins(twins: Iterable[TwinPair]) -> tuple[TwinPair, ...]:
    return tuple(twins)


def _rejects(rejects: Iterable[Reject]) -> tuple[Reject, ...]:
    return tuple(rejects)


@frozen
class ChunkResult:
    """The result of a completed chunk.

    Attributes:
        url: Where the blob is.
        sha256: The blob's, in hex.
        bytes: The blob's size.
        target: How many images were wanted.
        attempt: The attempt that completed the chunk.
        progress: The attempt's final counts.
        seconds: How long each phase took. Phases overlap; each second counts for one of them.
        tally: How many images there are of each ``source``, ``license`` and ``format``, and of each ``label`` if
            the images have others than the keyword, and with each name of ``conversion`` if there are any.
        rejects: A few samples of each reason, in the order in which they were rejected.
        columns: The columns of the rows, each with ``"string"`` or ``"integer"``; empty for archives that were made
            before pixcore recorded it.
        twins: The pairs of images that show the same picture, if the chunk reports them instead of dropping one.
        kept: The numbers of the images' candidates in the archive's order, as ``pixcore.model.positions.as_text``
            writes them; empty for archives that were made before pixcore recorded it.
        archive_version: The version of the archive's format: see ``pixcore.model.archives.Archive``.
        outcomes: The outcome of each candidate; None for chunks that were completed before pixcore recorded them.
        previews: Small pictures of images that a rule of the dataset dropped; None if there are none.
        rejected: An archive of these images, if the dataset keeps their bytes; None if there are none.
        quality: The rules that the images satisfy; None for chunks that were completed before pixcore recorded it: then
            they are those of the request.
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
    twins: tuple[TwinPair, ...] = field(default=(), converter=_twins)
    kept: str = ""
    archive_version: int = 1
    outcomes: StoredBlob | None = None
    previews: StoredBlob | None = None
    rejected: StoredBlob | None = None
    quality: Quality | None = None

    @property
    def shortfall(self) -> int:
        """How many images are missing from the target. Images that were included by hand may exceed it."""
        return max(0, self.target - self.progress.accepted)


@frozen
class ChunkRecord:
    """One row of the status database. Its times are in seconds, relative to the database's clock when it was read.

    Attributes:
        chunk: The chunk.
        status: Its status.
        phase: The phase of its last attempt.
        attempt: The number of its last attempt; 0 before the first.
        failures: How many failures count against its budget.
        owner: The worker that holds the claim; empty if none does.
        lease_left: What is left of a running attempt's lease; negative once it has expired, 0 if none runs.
        running: How long ago the running attempt began; 0 if none runs.
        due_in: The wait until a pending chunk may be claimed; 0 if it may be claimed now.
        cancel_requested: Whether the chunk is to stop.
        progress: The counts of its last attempt.
        result: The result of a completed chunk.
        error: The error of the last attempt; empty if there is none.
        queue: The queue that delivers the chunk, with its broker; empty for none.
        store: The identity of the store that its archive belongs to; empty if it was planned before stores had one.
        priority: How soon the queue delivers it.
        rebuild: Whether the next attempt rebuilds the archive from stored images, without fetching any.
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
    store: str = ""
    priority: Priority = Priority.NORMAL
    rebuild: bool = False

    @property
    def followed(self) -> Quality:
        """The rules that the images of its archive satisfy."""
        return (self.result and self.result.quality) or self.chunk.request.quality


@frozen
class Attempt:
    """One attempt in a chunk's history. Times are Unix seconds of the database's clock.

    ``ended`` and ``status`` are None while the attempt runs. ``status`` is the chunk's status after the attempt;
    pending without an ``error`` means that the attempt was interrupted. ``phase`` is the phase in which it ended.
    """

    chunk: ChunkKey
    attempt: int
    began: float
    ended: float | None
    status: Status | None
    phase: Phase
    error: str
