"""A chunk, from its request to its record in the status database."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import field, frozen

from pixcore.errors import InvalidRequest
from pixcore.model.quality import Quality

_DATASET = re.compile(r"\w[\w.-]{0,99}")


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


@frozen
class Slice:
    """``[start, stop)`` of one source's results for one query.

    Attributes:
        source: Its name, such as ``folder``.
        query: What the source is asked: a keyword, the path of a folder or the address of a list.
        start: The first position, from 0.
        stop: The position after the last.
        snapshot: Key of the blob that fixes the query's results, for sources that change under a plan; else empty.
        licenses: Slugs of the licences that the results are limited to, such as ``by,cc0``; empty for any.
    """

    source: str
    query: str
    start: int
    stop: int
    snapshot: str = ""
    licenses: str = ""

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InvalidRequest(
                f"the slice [{self.start}, {self.stop}) of {self.source} holds nothing; take 0 <= start < stop"
            )

    def __len__(self) -> int:
        return self.stop - self.start


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


def dataset_name(text: str) -> str:
    """Check a dataset's name and give it back in Unicode normal form C.

    Raises:
        InvalidRequest: Anything but letters, digits, ``_``, ``.`` and ``-``, or longer than 100 characters.
    """
    name = unicodedata.normalize("NFC", text)
    if not _DATASET.fullmatch(name):
        raise InvalidRequest(
            f"dataset name {text!r} cannot be used; take 1 to 100 letters, digits, '_', '.' or '-', not starting with"
            " '.' or '-'"
        )
    return name


def _slices(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    return tuple(slices)


def namespace(text: str) -> str:
    """A dataset's name, checked as by ``dataset_name``, or ``""`` for the chunks without a dataset."""
    return dataset_name(text) if text else ""


@frozen
class ChunkRequest:
    """What is asked for in one chunk.

    Attributes:
        index: Its place in the dataset, from 0; without a dataset, the id that the caller gave it.
        keyword: What the images show; never empty.
        target: How many accepted images are wanted, at least 1.
        slices: Where they may come from, in order; belong to this chunk alone.
        dataset: The dataset's name, or ``""``.
        label: The class written into each row; the keyword if none is given.
        quality: What its images must satisfy.
        variations: Version of the keyword variations (``pixcore.planning.variations``) that the slices' queries come
            from; 0 if the queries are no variations.
    """

    index: int
    keyword: str
    target: int
    slices: tuple[Slice, ...] = field(converter=_slices)
    dataset: str = field(default="", converter=namespace)
    label: str = ""
    quality: Quality = Quality()
    variations: int = 0

    def __attrs_post_init__(self) -> None:
        name = f"chunk {self.index} of {self.dataset or 'no dataset'}"
        if self.index < 0:
            raise InvalidRequest(f"{name}: a chunk's number cannot be negative")
        if not self.keyword.strip():
            raise InvalidRequest(f"{name} has no `keyword`; name what its images show")
        if self.target < 1:
            raise InvalidRequest(f"{name} wants {self.target} images; ask for at least 1")
        if not self.slices:
            raise InvalidRequest(f"{name} has no slices; name at least one source")


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
