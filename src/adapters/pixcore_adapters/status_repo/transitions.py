"""The transitions of a chunk's record, one for each method of the port: pure functions that all repositories share.

A transition returns the same record object if nothing changes. Times are relative to the database's now, as in
``ChunkRecord``, so no function here needs a clock.
"""

from attrs import evolve

from pixcore.errors import ChunkUnknown, ClaimLost, InvalidRequest
from pixcore.model.chunks import Chunk, ChunkKey, ChunkRecord, ChunkResult, Claim, Phase, Priority, Progress, Status
from pixcore.model.claims import Busy, Claimed, Done, Elsewhere, Exhausted, NotDue, Outcome
from pixcore.model.quality import Quality
from pixcore.model.requests import Slice
from pixcore_adapters.status_repo.allocating import with_taken

UNFINISHED = (Status.PENDING, Status.PROCESSING)
CANCELLED = "cancelled"
LEASE_EXPIRED = "the lease expired: the worker stopped renewing it"


def new_record(chunk: Chunk, store: str = "") -> ChunkRecord:
    """Return the record of a chunk of a store that no worker has claimed yet."""
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
        store=store,
    )


def claimed(record: ChunkRecord, owner: str, ttl: float, max_failures: int, store: str | None = None) -> ChunkRecord:
    """Claim a chunk that is due or whose lease has expired, unless it belongs to another store.

    Fail it instead if its budget of failures is spent or a cancel was requested.
    """
    if not (expired(record) or due(record)) or is_elsewhere(record, store):
        return record
    ready = _ready_or_failed(record, max_failures)
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
        progress=Progress(lost=record.progress.lost),
        error="",
    )


def is_elsewhere(record: ChunkRecord, store: str | None) -> bool:
    """Return whether a chunk that is not finished belongs to another store. None is every store."""
    return record.status in UNFINISHED and store is not None and record.store not in ("", store)


def claim_answer(before: ChunkRecord, after: ChunkRecord, store: str | None = None) -> Claimed | Outcome:
    """Return the answer to a claim that changed the record from ``before`` to ``after``."""
    if is_elsewhere(before, store):
        return Elsewhere(before.store)
    if after.attempt > before.attempt:
        claim = Claim(after.chunk.key, after.owner, after.attempt)
        return Claimed(claim, after.chunk, after.failures, after.progress.lost, after.result, after.rebuild)
    if after.status is Status.PROCESSING:
        return Busy(after.lease_left)
    if after.status is Status.PENDING:
        return NotDue(after.due_in)
    if after.status is Status.COMPLETED and after.result:
        return Done(after.result)
    return Exhausted(after.error)


def expired(record: ChunkRecord) -> bool:
    """Return whether the chunk is processing under a lease that has expired."""
    return record.status is Status.PROCESSING and record.lease_left <= 0


def due(record: ChunkRecord) -> bool:
    """Return whether the chunk is pending and may be claimed now."""
    return record.status is Status.PENDING and record.due_in <= 0


def freed(record: ChunkRecord, max_failures: int) -> ChunkRecord:
    """End a claim whose lease has expired, which counts as a failure; the chunk is due at once."""
    return _ready_or_failed(record, max_failures) if expired(record) else record


def assigned(record: ChunkRecord, queue: str, priority: Priority | None) -> ChunkRecord:
    """Set the queue that delivers the chunk and its priority, if there is one; a running attempt continues."""
    changed = evolve(record, queue=queue, priority=priority or record.priority)
    return record if changed == record else changed


def taken(record: ChunkRecord, claim: Claim, part: Slice | None, owned: int) -> ChunkRecord:
    """Give the chunk one more slice if there is one, and if the chunk has no more than ``owned`` candidates."""
    chunk = _checked(record, claim).chunk
    return record if part is None or chunk.candidates > owned else evolve(record, chunk=with_taken(chunk, part))


def gave_back(record: ChunkRecord, claim: Claim, chunk: Chunk) -> ChunkRecord:
    """Replace the chunk by one that has fewer candidates."""
    before = _checked(record, claim)
    return record if chunk == before.chunk else evolve(record, chunk=chunk)


def renewed(record: ChunkRecord, claim: Claim, ttl: float, progress: Progress) -> ChunkRecord:
    """Extend the lease to ``ttl`` seconds from now. An expired one too, unless another attempt has begun."""
    return evolve(_checked(record, claim), lease_left=ttl, progress=progress)


def advanced(record: ChunkRecord, claim: Claim, phase: Phase, progress: Progress) -> ChunkRecord:
    """Set the phase and the progress of the attempt."""
    return evolve(_checked(record, claim), phase=phase, progress=progress)


def completed(record: ChunkRecord, claim: Claim, result: ChunkResult) -> ChunkRecord:
    """Complete the chunk with its result; a no-op if the same attempt has completed it already."""
    if record.status is Status.COMPLETED and record.attempt == claim.attempt:
        return record
    return evolve(
        _ended(_checked(record, claim), Status.COMPLETED),
        phase=Phase.COMPLETE,
        progress=result.progress,
        result=result,
        rebuild=False,
    )


def abandoned(record: ChunkRecord, claim: Claim, error: str) -> ChunkRecord:
    """End an attempt to rebuild the archive: the chunk is completed with the result that it had."""
    before = _checked(record, claim)
    if before.result is None:
        raise InvalidRequest(f"chunk {claim.chunk} has no earlier result; fail its attempt instead")
    return evolve(
        _ended(before, Status.COMPLETED),
        progress=before.result.progress,
        cancel_requested=False,
        error=_storable(error),
        rebuild=False,
    )


def failed(record: ChunkRecord, claim: Claim, error: str, retry_in: float | None, max_failures: int) -> ChunkRecord:
    """End the attempt with an error. The chunk is then pending, due in ``retry_in`` seconds.

    It fails for good if ``retry_in`` is None, if its budget of failures is spent, or if a cancel was requested.
    """
    failures = _checked(record, claim).failures + 1
    text = _storable(error)
    if retry_in is None or failures >= max_failures:
        return evolve(_ended(record, Status.FAILED), failures=failures, error=text)
    if record.cancel_requested:
        return evolve(_ended(record, Status.FAILED), failures=failures, error=CANCELLED)
    return evolve(_ended(record, Status.PENDING), failures=failures, error=text, due_in=max(0.0, retry_in))


def released(record: ChunkRecord, claim: Claim, error: str = "") -> ChunkRecord:
    """End an attempt without counting a failure; fail the chunk if a cancel was requested."""
    if _checked(record, claim).cancel_requested:
        return evolve(_ended(record, Status.FAILED), error=CANCELLED)
    return evolve(_ended(record, Status.PENDING), error=_storable(error))


def reopened(record: ChunkRecord) -> ChunkRecord:
    """Make a finished chunk pending again. It keeps its last result until a new one replaces it."""
    if record.status in UNFINISHED:
        return record
    return evolve(record, status=Status.PENDING, failures=0, cancel_requested=False)


def revised(record: ChunkRecord, quality: Quality, attempt: int, *, rebuild: bool) -> ChunkRecord:
    """Give a chunk other rules; with ``rebuild``, make it pending so that its archive is rebuilt.

    Change nothing if a worker holds the chunk or if its last attempt is not ``attempt``.
    """
    if record.attempt != attempt or (record.status is Status.PROCESSING and not expired(record)):
        return record
    if rebuild and record.result is None:
        raise InvalidRequest(f"chunk {record.chunk.key} has no archive to rebuild; it is {record.status}")
    request = evolve(record.chunk.request, quality=quality)
    changed = evolve(_lease_ended(record), chunk=evolve(record.chunk, request=request))
    if record.result:
        settled = changed.status is Status.COMPLETED and not rebuild
        changed = evolve(changed, result=evolve(record.result, quality=quality if settled else record.followed))
    if rebuild:
        changed = evolve(changed, status=Status.PENDING, failures=0, due_in=0.0, cancel_requested=False, rebuild=True)
    return record if changed == record else changed


def cancelled(record: ChunkRecord) -> ChunkRecord:
    """Request that a processing chunk stops; fail a pending one at once, because no worker would see the request."""
    if record.status is Status.PENDING:
        return evolve(_ended(record, Status.FAILED), cancel_requested=True, error=CANCELLED)
    if record.status is Status.PROCESSING:
        return evolve(record, cancel_requested=True)
    return record


def unknown_chunk(key: ChunkKey) -> ChunkUnknown:
    """Build the error to raise for a chunk that does not exist."""
    return ChunkUnknown(f"the status database has no chunk {key}; plan its dataset first")


def _checked(record: ChunkRecord, claim: Claim) -> ChunkRecord:
    """Return the record; raise ``ClaimLost`` if the claim's attempt no longer holds it."""
    if record.status is not Status.PROCESSING or record.attempt != claim.attempt:
        raise ClaimLost(
            f"attempt {claim.attempt} no longer holds chunk {claim.chunk}: the chunk is {record.status} at attempt"
            f" {record.attempt}"
        )
    return record


def _ready_or_failed(record: ChunkRecord, max_failures: int) -> ChunkRecord:
    """Count an expired lease as a failure; fail the chunk if its budget is spent or a cancel was requested."""
    record = _lease_ended(record)
    if record.cancel_requested:
        return evolve(_ended(record, Status.FAILED), error=CANCELLED)
    if record.failures >= max_failures:
        error = f"gave up after {record.failures} failures; the last one: {record.error}"
        return evolve(_ended(record, Status.FAILED), error=error)
    return record


def _lease_ended(record: ChunkRecord) -> ChunkRecord:
    """Make a chunk whose lease has expired pending, and count that as a failure."""
    if not expired(record):
        return record
    return evolve(_ended(record, Status.PENDING), failures=record.failures + 1, error=LEASE_EXPIRED)


def _ended(record: ChunkRecord, status: Status) -> ChunkRecord:
    return evolve(record, status=status, owner="", lease_left=0.0, running=0.0, due_in=0.0)


def _storable(error: str) -> str:
    # An error may contain text that is not UTF-8, or NUL, which not every database stores: write \\udcff and \\x00.
    return error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
