"""A chunk's record as a row of the database, and back."""

from collections.abc import Mapping
from hashlib import sha256

from sqlalchemy import Row

from pixcore.model.chunks import (
    Attempt,
    Chunk,
    ChunkKey,
    ChunkRecord,
    ChunkRequest,
    ChunkResult,
    Phase,
    Progress,
    Status,
)
from pixcore_adapters.status_repo import codec, transitions


def new(chunk: Chunk) -> Mapping[str, object]:
    """The row of a chunk that nobody has claimed yet."""
    request = chunk.request
    return {
        "dataset": request.dataset,
        "id": chunk.id,
        "chunk_index": request.index,
        "keyword_sha256": keyword_sha256(request.keyword),
        "request": codec.text(request),
        "revision": 0,
        **columns(transitions.planned(chunk), now=0.0),
    }


def keyword_sha256(keyword: str) -> str:
    """What a keyword is found by: of any length, and of any characters, it fits into an index."""
    return sha256(keyword.encode("utf-8", "surrogatepass")).hexdigest()


def columns(record: ChunkRecord, now: float) -> Mapping[str, object]:
    """What a change may write, by column; ``record`` reads it back."""
    return {
        "status": record.status,
        "phase": record.phase,
        "attempt": record.attempt,
        "failures": record.failures,
        "owner": record.owner,
        "lease_expires_at": now + record.lease_left,
        "claimed_at": now - record.running if record.status is Status.PROCESSING else 0.0,
        "due_at": now + record.due_in,
        "cancel_requested": record.cancel_requested,
        "progress": codec.text(record.progress),
        "accepted": record.progress.accepted,
        "result": codec.text(record.result) if record.result else None,
        "error": record.error,
        "queue": record.queue,
    }


def record(row: Row[tuple[object, ...]]) -> ChunkRecord:
    """What a row says at its ``now``."""
    status = Status(row.status)
    runs = status is Status.PROCESSING
    return ChunkRecord(
        chunk=Chunk(row.id, codec.value(ChunkRequest, row.request)),
        status=status,
        phase=Phase(row.phase),
        attempt=row.attempt,
        failures=row.failures,
        owner=row.owner,
        lease_left=row.lease_expires_at - row.now if runs else 0.0,
        running=max(0.0, row.now - row.claimed_at) if runs else 0.0,
        due_in=max(0.0, row.due_at - row.now) if status is Status.PENDING else 0.0,
        cancel_requested=row.cancel_requested,
        progress=codec.value(Progress, row.progress),
        result=codec.value(ChunkResult, row.result) if row.result else None,
        error=row.error,
        queue=row.queue,
    )


def new_attempt(record: ChunkRecord, now: float) -> Mapping[str, object]:
    """The row of an attempt that begins; ``attempt`` reads it back."""
    return {
        "dataset": record.chunk.request.dataset,
        "chunk_id": record.chunk.id,
        "attempt": record.attempt,
        "chunk_index": record.chunk.request.index,
        "began_at": now,
        "phase": record.phase,
        "error": "",
    }


def attempt(row: Row[tuple[object, ...]]) -> Attempt:
    """What a row says of an attempt."""
    return Attempt(
        chunk=ChunkKey(row.dataset, row.chunk_id),
        attempt=row.attempt,
        began=row.began_at,
        ended=row.ended_at,
        status=Status(row.status) if row.status else None,
        phase=Phase(row.phase),
        error=row.error,
    )
