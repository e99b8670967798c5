"""Conversion of chunk records and attempts to rows of the database and back."""

from collections.abc import Mapping
from hashlib import sha256

from attrs import evolve
from sqlalchemy import Row

from pixcore.model.chunks import Attempt, Chunk, ChunkKey, ChunkRecord, ChunkResult, Phase, Priority, Progress, Status
from pixcore.model.positions import Allocation
from pixcore.model.requests import ChunkRequest, Slice
from pixcore_adapters.status_repo import codec, overviews
from pixcore_adapters.status_repo.allocating import ListKey


def new(record: ChunkRecord, now: float = 0.0) -> Mapping[str, object]:
    """Build the row of a chunk that is created."""
    request = record.chunk.request
    return {
        "dataset": request.dataset,
        "id": record.chunk.id,
        "chunk_index": request.index,
        "keyword_sha256": text_sha256(request.keyword),
        "request": codec.text(request),
        "revision": 0,
        **columns(record, now),
    }


def text_sha256(text: str) -> str:
    """Hash a text for an index, which cannot hold texts of any length and of any characters."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def list_key(key: ListKey) -> Mapping[str, str]:
    """Build the columns that identify a list."""
    dataset, keyword, *names = key
    return {
        "dataset": dataset,
        "scope_sha256": text_sha256(keyword),
        "list_sha256": text_sha256(codec.text(names)),
    }


def list_columns(allocation: Allocation) -> Mapping[str, object]:
    """Build the columns of a list that change; ``allocation`` reads them back."""
    return {"next_position": allocation.next, "list": codec.text(evolve(allocation, next=0))}


def allocation(row: Row[tuple[object, ...]]) -> Allocation:
    """Build the allocation from a row."""
    return evolve(codec.value(Allocation, row.list), next=row.next_position)


def columns(record: ChunkRecord, now: float) -> Mapping[str, object]:
    """Build the columns that a change may write; ``record`` reads them back."""
    return {
        "taken": codec.text(record.chunk.taken) if record.chunk.taken else "",
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
        "error_kind": overviews.masked(record.error),
        "queue": record.queue,
        "store": record.store,
        "priority": record.priority,
        "rebuild": record.rebuild,
    }


def record(row: Row[tuple[object, ...]]) -> ChunkRecord:
    """Build the record from a row; times are relative to the row's ``now``."""
    status = Status(row.status)
    running = status is Status.PROCESSING
    return ChunkRecord(
        chunk=Chunk(row.id, codec.value(ChunkRequest, row.request), taken(row.taken)),
        status=status,
        phase=Phase(row.phase),
        attempt=row.attempt,
        failures=row.failures,
        owner=row.owner,
        lease_left=row.lease_expires_at - row.now if running else 0.0,
        running=max(0.0, row.now - row.claimed_at) if running else 0.0,
        due_in=max(0.0, row.due_at - row.now) if status is Status.PENDING else 0.0,
        cancel_requested=row.cancel_requested,
        progress=codec.value(Progress, row.progress),
        result=codec.value(ChunkResult, row.result) if row.result else None,
        error=row.error,
        queue=row.queue,
        store=row.store,
        priority=Priority(row.priority),
        rebuild=row.rebuild,
    )


def taken(text: str) -> tuple[Slice, ...]:
    """Build the slices of the column ``taken``."""
    return tuple(codec.value(list[Slice], text)) if text else ()


def new_attempt(record: ChunkRecord, now: float) -> Mapping[str, object]:
    """Build the row of an attempt that begins; ``attempt`` reads it back."""
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
    """Build the attempt from a row."""
    return Attempt(
        chunk=ChunkKey(row.dataset, row.chunk_id),
        attempt=row.attempt,
        began=row.began_at,
        ended=row.ended_at,
        status=Status(row.status) if row.status else None,
        phase=Phase(row.phase),
        error=row.error,
    )
