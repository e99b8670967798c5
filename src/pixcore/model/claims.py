"""The answers of a status database to a claim."""

from collections.abc import Mapping

from attrs import field, frozen

from pixcore.model.chunks import Chunk, ChunkResult, Claim


@frozen
class Claimed:
    """Answer to a claim: the caller has the chunk.

    Attributes:
        claim: The claim.
        chunk: The chunk.
        failures: How many there were so far, which decides how long to wait after the next one.
        lost: The permanent misses of earlier attempts, as in ``Progress``.
        result: The result of the last attempt that completed the chunk.
        rebuild: Whether the attempt is to rebuild the archive from stored images, without fetching any.
    """

    claim: Claim
    chunk: Chunk
    failures: int
    lost: Mapping[str, str] = field(factory=dict[str, str])
    result: ChunkResult | None = None
    rebuild: bool = False


@frozen
class Done:
    """Answer to a claim: the chunk is completed, with this result."""

    result: ChunkResult


@frozen
class Busy:
    """Answer to a claim: another worker has the chunk. Claim again in ``retry_in`` seconds."""

    retry_in: float


@frozen
class NotDue:
    """Answer to a claim: the chunk failed and waits for its retry. Claim again in ``retry_in`` seconds."""

    retry_in: float


@frozen
class Exhausted:
    """Answer to a claim: the chunk failed for good, with this error."""

    error: str


@frozen
class Elsewhere:
    """Answer to a claim: the chunk's archive belongs to another store than the caller's. Nothing was spent."""

    store: str


Outcome = Done | Busy | NotDue | Exhausted | Elsewhere
