"""Verify a dataset: compare its blobs with the status database, byte by byte and image by image."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from attrs import define, evolve, field

from pixcore.chunk.publish import relabel, replaceable
from pixcore.chunk.workspace import workspace
from pixcore.errors import InvalidRequest, StoreNotFound, one_line
from pixcore.model.chunks import ChunkKey, ChunkRecord, ChunkResult, Claim, Status
from pixcore.ports import Archiver, StatusRepo, Validator
from pixcore.stored.archives import StoredArchive, StoredArchives
from pixcore.stored.belonging import BESIDE, chunk_of, is_known
from pixcore.stored.check import ArchiveCheck, check_archive
from pixcore.stored.outcomes import stored_outcomes

# An archive that another program changed may be larger than recorded, and is fetched to say what is wrong with it. One
# of more than twice the recorded size is not.
_ADDED = 1 << 20  # bytes
_OTHER = "differs from what was recorded"


def verify_dataset(
    dataset: str, *, archives: StoredArchives, status: StatusRepo, validator: Validator
) -> Generator[ArchiveCheck]:
    """Yield one check for each blob that belongs to no chunk, then one for each completed chunk, by rising index.

    Changes nothing. A chunk that is processed again meanwhile is checked in its new state, or left out. One archive is
    on the local disk at a time, and one of its images in memory.

    Raises:
        StoreNotFound: The store's container does not exist.
        StoreDenied, StoreUnavailable, StatusUnavailable, WorkspaceFull, TransientError: As the ports raise them.
    """
    for blob in archives.store.list(dataset):
        if not _belongs(blob.key, archives, status):
            yield ArchiveCheck(
                blob.key, None, ("belongs to no chunk, yet loaders may take it; move it away",), is_archive=False
            )
    recorded = _Recorded(dataset, status)
    for record in status.find(dataset, Status.COMPLETED):
        yield from _check_chunk(record, archives, recorded, validator)


def verify_archives(
    paths: Iterable[Path], *, archivers: Sequence[Archiver], validator: Validator, work: Path
) -> Generator[ArchiveCheck]:
    """Yield one check for each of these archives, named by its path. Uses neither a store nor a status database.

    Raises:
        WorkspaceFull, TransientError: As ``local_disk`` and the validator raise them.
    """
    kinds = {archiver.suffix: archiver for archiver in archivers}
    for path in paths:
        with workspace(work, lambda _path, _error: None) as spare:
            contents = partial(kinds[path.suffix].contents, path)
            yield check_archive(str(path), None, contents, validator=validator, spare=spare)


def archives_below(folder: Path, archivers: Sequence[Archiver]) -> list[Path]:
    """Return the chunks' archives at or below a folder, by rising path."""
    suffixes = {archiver.suffix for archiver in archivers}
    found = [folder] if folder.is_file() else folder.rglob("chunk_*")
    return sorted(
        path for path in found if path.suffix in suffixes and not BESIDE.fullmatch(path.name) and path.is_file()
    )


def repair(chunk: ChunkKey, *, archives: StoredArchives, status: StatusRepo) -> bool:
    """Open a completed chunk again, so that the next run replaces its archive. The old blob stays until then.

    If the blob's metadata do not name this chunk, as after a mix-up, they are corrected first, because the next attempt
    would refuse to replace the blob; the bytes stay. Returns False and changes nothing when the chunk is no longer
    completed.

    Raises:
        StoreConflict: The blob was replaced meanwhile; verify again.
        StoreDenied: The store cannot replace a blob, or this user may not.
        StoreUnavailable, StatusUnavailable, WorkspaceFull, TransientError: As the ports raise them.
    """
    record = status.get(chunk)
    if record.status is not Status.COMPLETED:
        return False
    claim = Claim(chunk, record.owner, record.attempt)
    for key in (archives.key(record), *stored_outcomes(record, archives)):
        with suppress(StoreNotFound):  # then there is no blob that the next attempt would have to replace
            blob = archives.store.head(key)
            if not replaceable(blob, claim, status.identity):
                with archives.fetch_key(key, blob.size) as (path, size, sha256):
                    relabel(archives.store, blob, path, sha256=sha256, size=size, claim=claim, identity=status.identity)
    return status.reopen(chunk)


def _belongs(key: str, archives: StoredArchives, status: StatusRepo) -> bool:
    """Return whether a blob belongs to the dataset's chunks or to its card and lists."""
    if (chunk := chunk_of(key)) is None:
        return is_known(key)
    try:
        record = status.get(chunk)
    except InvalidRequest:
        return False
    if BESIDE.fullmatch(key.rpartition("/")[2]) or record.status in (Status.PENDING, Status.PROCESSING):
        return True  # left by an earlier attempt; the next attempt replaces it
    return record.result is not None and archives.key(record) == key


def _check_chunk(
    record: ChunkRecord, archives: StoredArchives, recorded: "_Recorded", validator: Validator
) -> Iterator[ArchiveCheck]:
    """Yield the check of a completed chunk, or nothing when the chunk is no longer completed."""
    while record.status is Status.COMPLETED and record.result:
        checks = [_check_blob(record, record.result, archives, recorded, validator)]
        checks += _check_outcomes(record, archives)
        now = recorded.status.get(record.chunk.key) if any(check.faults for check in checks) else record
        if (now.status, now.result) == (record.status, record.result):
            yield from checks
            return
        record = now  # the chunk was opened again during the check, so the faults may be those of an old state


def _check_blob(
    record: ChunkRecord, result: ChunkResult, archives: StoredArchives, recorded: "_Recorded", validator: Validator
) -> ArchiveCheck:
    chunk, key = record.chunk.key, archives.key(record)
    try:
        with archives.fetch(record, 2 * result.bytes + _ADDED) as archive:
            stated = archives.store.head(key).sha256
            if archive.sha256 != result.sha256 and (owner := recorded.owner(archive.sha256, chunk)):
                return ArchiveCheck(key, chunk, (f"is the archive of chunk {owner}",))
            check = check_archive(
                key,
                chunk,
                archive.contents,
                validator=validator,
                spare=archive.path.parent,
                accepted=result.progress.accepted,
            )
            return evolve(check, faults=(*_differences(archive, result, stated), *check.faults))
    except StoreNotFound:
        return ArchiveCheck(key, chunk, (f"is missing; it was stored as {result.url}",))
    except InvalidRequest as oversized:
        fault = one_line(oversized).removeprefix(f"{key} ")  # the check names the blob
        return ArchiveCheck(key, chunk, (f"{fault}; {result.bytes} were recorded",))


def _check_outcomes(record: ChunkRecord, archives: StoredArchives) -> Iterator[ArchiveCheck]:
    """Yield a check for each blob about the chunk's candidates that is missing or not the recorded one."""
    for key, recorded in stored_outcomes(record, archives).items():
        try:
            with archives.fetch_key(key, recorded.size) as (_, size, sha256):
                fault = "" if (size, sha256) == (recorded.size, recorded.sha256) else _OTHER
        except StoreNotFound:
            fault = "is missing"
        except InvalidRequest:  # it is larger
            fault = _OTHER
        if fault:
            yield ArchiveCheck(key, record.chunk.key, (fault,), is_archive=False)


def _differences(archive: StoredArchive, result: ChunkResult, stated: str) -> Iterator[str]:
    """Yield where a blob differs from its record and from ``stated``, the sha256 in its own metadata, if any."""
    if archive.size != result.bytes:
        yield f"holds {archive.size} bytes, {result.bytes} were recorded"
    if archive.sha256 != result.sha256:
        yield f"its sha256 is {archive.sha256}, {result.sha256} was recorded"
    if stated not in ("", archive.sha256):
        yield f"its sha256 is {archive.sha256}, its own metadata say {stated}"


@define
class _Recorded:
    """The archives that completed chunks of a dataset have recorded.

    They are read when an archive is first found to be another one than its chunk recorded. They then take 250 bytes a
    chunk.
    """

    dataset: str
    status: StatusRepo
    _chunks: dict[str, int] | None = field(init=False, default=None)  # ids by the sha256 of the archive

    def owner(self, sha256: str, chunk: ChunkKey) -> ChunkKey | None:
        """Return the other chunk that has recorded the archive with this sha256 as its own, or None."""
        if self._chunks is None:
            self._chunks = {}
            for record in self.status.find(self.dataset, Status.COMPLETED):
                if record.result:
                    self._chunks.setdefault(record.result.sha256, record.chunk.id)
        id_ = self._chunks.get(sha256)
        return None if id_ is None or id_ == chunk.id else ChunkKey(self.dataset, id_)
