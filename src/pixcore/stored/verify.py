"""Whether a dataset's blobs are what the status database says: read back byte by byte and picture by picture."""

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from attrs import evolve

from pixcore.chunk.publish import hand_over, replaceable
from pixcore.chunk.workspace import workspace
from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.model.chunks import ChunkKey, ChunkRecord, ChunkResult, Claim, Status
from pixcore.ports import Archiver, StatusRepo, Validator
from pixcore.stored.archives import Shard, Shards
from pixcore.stored.check import ArchiveCheck, check_archive

_SHARD = re.compile(r"chunk_(0|[1-9][0-9]{0,17})\.[a-z]+")  # ids are 64-bit numbers
# what stands beside a dataset's archives: its card, and what its sources held when it was planned
_BESIDE = re.compile(r"README\.md|croissant\.json|lists/.+")


def verify_dataset(
    dataset: str, *, shards: Shards, status: StatusRepo, validator: Validator
) -> Generator[ArchiveCheck]:
    """Yield the dataset's blobs that belong to no chunk, then what is found of each completed chunk, by rising index.

    Changes nothing. A chunk that is made anew meanwhile counts as it is then, or not at all. One archive is on the
    local disk at a time, and of it one image in memory.

    Raises:
        StoreNotFound: The store's container does not exist.
        StoreDenied, StoreUnavailable, StatusUnavailable, WorkspaceFull, TransientError: As the ports say.
    """
    for blob in shards.store.list(dataset):
        if not _belongs(blob.key, dataset, shards, status):
            yield ArchiveCheck(
                blob.key, None, ("belongs to no chunk, yet loaders may take it; move it away",), is_archive=False
            )
    for record in status.find(dataset, Status.COMPLETED):
        yield from _settled(record, shards, status, validator)


def verify_archives(
    paths: Iterable[Path], *, archivers: Sequence[Archiver], validator: Validator, work: Path
) -> Generator[ArchiveCheck]:
    """Yield what is found of each of these archives, named by its path; no store and no status database is asked.

    Raises:
        WorkspaceFull, TransientError: As the local disk and the validator say.
    """
    kinds = {archiver.suffix: archiver for archiver in archivers}
    for path in paths:
        with workspace(work, lambda _path, _error: None) as spare:
            contents = partial(kinds[path.suffix].contents, path)
            yield check_archive(str(path), None, contents, validator=validator, spare=spare)


def archives_below(folder: Path, archivers: Sequence[Archiver]) -> list[Path]:
    """The chunks' archives at or below a folder, by rising path."""
    suffixes = {archiver.suffix for archiver in archivers}
    found = [folder] if folder.is_file() else folder.rglob("chunk_*")
    return sorted(path for path in found if path.suffix in suffixes and path.is_file())


def repair(chunk: ChunkKey, *, shards: Shards, status: StatusRepo) -> bool:
    """Open a completed chunk again, so that the next run makes its archive anew; the old blob stays until then.

    If what stands there is not known as this chunk's, as after a mix-up, it is handed over to it first: its bytes stay,
    but the next attempt may replace it. Gives false and changes nothing when the chunk is not completed any more.

    Raises:
        StoreConflict: The blob was replaced meanwhile; verify again.
        StoreDenied: The store cannot replace a blob, or this user may not.
        StoreUnavailable, StatusUnavailable, WorkspaceFull, TransientError: As the ports say.
    """
    record = status.get(chunk)
    if record.status is not Status.COMPLETED:
        return False
    claim = Claim(chunk, record.owner, record.attempt)
    with suppress(StoreNotFound):  # then nothing stands in the way
        there = shards.store.head(shards.key(record))
        if not replaceable(there, claim, status.identity):
            with shards.fetched(record) as shard:
                hand_over(
                    shards.store,
                    there,
                    shard.path,
                    sha256=shard.sha256,
                    size=shard.size,
                    claim=claim,
                    identity=status.identity,
                )
    return status.reopen(chunk)


def _belongs(key: str, dataset: str, shards: Shards, status: StatusRepo) -> bool:
    name = key.removeprefix(f"{dataset}/")
    shard = _SHARD.fullmatch(name.removeprefix("data/")) if name.startswith("data/") else None
    if shard is None:
        return bool(_BESIDE.fullmatch(name))
    try:
        record = status.get(ChunkKey(dataset, int(shard[1])))
    except InvalidRequest:
        return False
    if record.status in (Status.PENDING, Status.PROCESSING):
        return True  # the next attempt replaces what an earlier one left
    return record.result is not None and shards.key(record) == key


def _settled(record: ChunkRecord, shards: Shards, status: StatusRepo, validator: Validator) -> Iterator[ArchiveCheck]:
    while record.status is Status.COMPLETED and record.result:
        inspection = _inspected(record, record.result, shards, status, validator)
        now = status.get(record.chunk.key) if inspection.faults else record
        if (now.status, now.result) == (record.status, record.result):
            yield inspection
            return
        record = now  # the chunk was opened again while its archive was looked at


def _inspected(
    record: ChunkRecord, result: ChunkResult, shards: Shards, status: StatusRepo, validator: Validator
) -> ArchiveCheck:
    chunk, key = record.chunk.key, shards.key(record)
    try:
        with shards.fetched(record) as shard:
            told = shards.store.head(key).sha256
            if shard.sha256 != result.sha256 and (owner := _owner(shard, chunk, status)):
                return ArchiveCheck(key, chunk, (f"is the archive of chunk {owner}",))
            found = check_archive(
                key,
                chunk,
                shard.contents,
                validator=validator,
                spare=shard.path.parent,
                accepted=result.progress.accepted,
            )
            return evolve(found, faults=(*_measured(shard, result, told), *found.faults))
    except StoreNotFound:
        return ArchiveCheck(key, chunk, (f"is not there; it was stored as {result.url}",))


def _measured(shard: Shard, result: ChunkResult, told: str) -> Iterator[str]:
    if shard.size != result.bytes:
        yield f"holds {shard.size} bytes, {result.bytes} were recorded"
    if shard.sha256 != result.sha256:
        yield f"its sha256 is {shard.sha256}, {result.sha256} was recorded"
    if told not in ("", shard.sha256):
        yield f"its sha256 is {shard.sha256}, its own metadata say {told}"


def _owner(shard: Shard, chunk: ChunkKey, status: StatusRepo) -> ChunkKey | None:
    """The other chunk of the dataset whose archive this is."""
    for other in status.find(chunk.dataset, Status.COMPLETED):
        if other.result and other.result.sha256 == shard.sha256 and other.chunk.key != chunk:
            return other.chunk.key
    return None
