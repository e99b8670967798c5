"""What each call of the port makes of a chunk's record: pure functions that every status repository shares.

A transition gives the record back as it is when there is nothing to change. Times are those of ``ChunkRecord``,
relative to the database's now, so nothing here needs a clock.
"""

from attrs import evolve

from pixcore.errors import ClaimLost, InvalidRequest
from pixcore.model.chunks import (
    Busy,
    Chunk,
    ChunkKey,
    ChunkRecord,
    ChunkResult,
    Claim,
    Claimed,
    Done,
    Exhausted,
    NotDue,
    Outcome,
    Phase,
    Progress,
    Status,
)

UNFINISHED = (Status.PENDING, Status.PROCESSING)
CANCELLED = "cancelled"
VANISHED = "its worker vanished (lease expired)"


def planned(chunk: Chunk) -> ChunkRecord:
    """A chunk that nobody has claimed yet."""
    return ChunkRecord(
        chunk=chunk,
        status=Status.PENDING,
        phase=Phase.INIT,
        attempt=0,
        failures=0,
        owner="",
        lease_left=0.0,
        running=0.0,
        due_in=0.0,
        cancel_requested=False,
        progress=Progress(),
        result=None,
        error="",
    )


def claimed(record: ChunkRecord, owner: str, ttl: float, max_failures: int) -> ChunkRecord:
    """The chunk taken, or failed because its budget is spent or a cancel is due, or as it is: see ``answer``."""
    if not (expired(record) or due(record)):
        return record
    ready = _affordable(record, max_failures)
    if ready.status is Status.FAILED:
        return ready
    return evolve(
        ready,
        status=Status.PROCESSING,
        phase=Phase.INIT,
        attempt=record.attempt + 1,
        owner=owner,
        lease_left=ttl,
        due_in=0.0,
        progress=Progress(),
        error="",
    )


def answer(before: ChunkRecord, after: ChunkRecord) -> Claimed | Outcome:
    """What to tell the worker whose claim turned ``before`` into ``after``."""
    if after.attempt > before.attempt:
        return Claimed(Claim(after.chunk.key, after.owner, after.attempt), after.chunk, after.failures)
    if after.status is Status.PROCESSING:
        return Busy(after.lease_left)
    if after.status is Status.PENDING:
        return NotDue(after.due_in)
    if after.status is Status.COMPLETED and after.result:
        return Done(after.result)
    return Exhausted(after.error)


def expired(record: ChunkRecord) -> bool:
    """Whether the chunk's worker has let its lease run out."""
    return record.status is Status.PROCESSING and record.lease_left <= 0


def due(record: ChunkRecord) -> bool:
    """Whether the chunk waits for nothing but a claim."""
    return record.status is Status.PENDING and record.due_in <= 0


def freed(record: ChunkRecord, max_failures: int) -> ChunkRecord:
    """A claim whose lease has expired ends as if it had failed, and the next may be made now."""
    return _affordable(record, max_failures) if expired(record) else record


def assigned(record: ChunkRecord, queue: str) -> ChunkRecord:
    """Another queue delivers the chunk; whatever its worker does goes on."""
    return record if record.queue == queue else evolve(record, queue=queue)


def renewed(record: ChunkRecord, claim: Claim, ttl: float, progress: Progress) -> ChunkRecord:
    """The lease starts anew, even one that expired while nobody else took the chunk."""
    return evolve(_held(record, claim), lease_left=ttl, progress=progress)


def advanced(record: ChunkRecord, claim: Claim, phase: Phase, progress: Progress) -> ChunkRecord:
    """The attempt came further."""
    return evolve(_held(record, claim), phase=phase, progress=progress)


def completed(record: ChunkRecord, claim: Claim, result: ChunkResult) -> ChunkRecord:
    """The chunk has its result; as it is when the same attempt completed it before."""
    if record.status is Status.COMPLETED and record.attempt == claim.attempt:
        return record
    return evolve(
        _ended(_held(record, claim), Status.COMPLETED), phase=Phase.COMPLETE, progress=result.progress, result=result
    )


def failed(record: ChunkRecord, claim: Claim, error: str, retry_in: float | None, max_failures: int) -> ChunkRecord:
    """The attempt failed: for good, or until its next try, which a requested cancel turns into the end."""
    failures = _held(record, claim).failures + 1
    text = _storable(error)
    if retry_in is None or failures >= max_failures:
        return evolve(_ended(record, Status.FAILED), failures=failures, error=text)
    if record.cancel_requested:
        return evolve(_ended(record, Status.FAILED), failures=failures, error=CANCELLED)
    return evolve(_ended(record, Status.PENDING), failures=failures, error=text, due_in=max(0.0, retry_in))


def released(record: ChunkRecord, claim: Claim) -> ChunkRecord:
    """The attempt was interrupted, which is nobody's failure; a requested cancel is carried out."""
    if _held(record, claim).cancel_requested:
        return evolve(_ended(record, Status.FAILED), error=CANCELLED)
    return _ended(record, Status.PENDING)


def reopened(record: ChunkRecord) -> ChunkRecord:
    """A finished chunk starts over; its last result stays known until another takes its place."""
    if record.status in UNFINISHED:
        return record
    return evolve(record, status=Status.PENDING, failures=0, cancel_requested=False)


def cancelled(record: ChunkRecord) -> ChunkRecord:
    """An unfinished chunk is asked to stop; a pending one has nobody to ask, so it fails at once."""
    if record.status is Status.PENDING:
        return evolve(_ended(record, Status.FAILED), cancel_requested=True, error=CANCELLED)
    if record.status is Status.PROCESSING:
        return evolve(record, cancel_requested=True)
    return record


def unknown(key: ChunkKey) -> InvalidRequest:
    """What to raise about a chunk that is not there."""
    return InvalidRequest(f"no chunk {key} in the status database; plan its dataset first")


def _held(record: ChunkRecord, claim: Claim) -> ChunkRecord:
    if record.status is not Status.PROCESSING or record.attempt != claim.attempt:
        raise ClaimLost(
            f"attempt {claim.attempt} at chunk {claim.chunk} is over: the chunk is {record.status} at attempt"
            f" {record.attempt}"
        )
    return record


def _affordable(record: ChunkRecord, max_failures: int) -> ChunkRecord:
    """The chunk pending, an expired lease counted; or failed because its budget is spent or a cancel is due."""
    if expired(record):
        record = evolve(_ended(record, Status.PENDING), failures=record.failures + 1, error=VANISHED)
    if record.cancel_requested:
        return evolve(_ended(record, Status.FAILED), error=CANCELLED)
    if record.failures >= max_failures:
        error = f"gave up after {record.failures} failures; the last: {record.error}"
        return evolve(_ended(record, Status.FAILED), error=error)
    return record


def _ended(record: ChunkRecord, status: Status) -> ChunkRecord:
    return evolve(record, status=status, owner="", lease_left=0.0, running=0.0, due_in=0.0)


def _storable(error: str) -> str:
    # an error may quote what is not UTF-8, or NUL, which not every database takes: show them as \\udcff and \\x00
    return error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
