"""Read what a chunk stores about its candidates: their outcomes, and the previews of rejected images."""

import gzip
import json
import zipfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pixcore.chunk.publish import attempt_of
from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.model.archives import StoredBlob
from pixcore.model.chunks import ChunkRecord, Status
from pixcore.model.outcomes import OUTCOMES, PREVIEWS, REJECTED
from pixcore.stored.archives import StoredArchives


def stored_outcomes(record: ChunkRecord, archives: StoredArchives) -> dict[str, StoredBlob]:
    """Return the keys of the blobs about a completed chunk's candidates, each with what was recorded of it."""
    result = record.result
    if result is None:
        return {}
    recorded = {
        OUTCOMES: result.outcomes,
        PREVIEWS: result.previews,
        f"{REJECTED}{archives.archiver(record).suffix}": result.rejected,
    }
    return {record.chunk.key.outcomes_key(suffix): blob for suffix, blob in recorded.items() if blob}


def outcome_lines(
    record: ChunkRecord, archives: StoredArchives, containing: bytes = b""
) -> Generator[dict[str, object]]:
    """Yield the outcome of each candidate of a chunk, in order; nothing if none are stored.

    Those of a failed chunk are stored if it had no valid image.

    With ``containing``, yield only those whose JSON contains these bytes, which is faster.

    Raises:
        InvalidRequest: The stored outcomes are not those that were recorded.
        StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``StoredArchives.fetch``.
    """
    key, recorded = record.chunk.key.outcomes_key(OUTCOMES), _outcomes(record, archives)
    if recorded is None:
        return
    with _recorded(archives, key, recorded) as path:
        try:
            with gzip.open(path) as lines:
                for line in lines:
                    if containing in line:
                        yield json.loads(line)
        except (OSError, EOFError, zlib.error, ValueError) as exc:
            raise InvalidRequest(
                f"{key} cannot be read ({exc}); `pixcore verify --repair` opens its chunk again"
            ) from exc


def previews(record: ChunkRecord, archives: StoredArchives) -> Mapping[str, bytes]:
    """Return the previews of a chunk's rejected images, by sha256: at most 16 MiB.

    Raises:
        InvalidRequest: The stored previews are not those that were recorded.
        StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``StoredArchives.fetch``.
    """
    result = record.result
    if result is None or result.previews is None:
        return {}
    key = record.chunk.key.outcomes_key(PREVIEWS)
    with _recorded(archives, key, result.previews) as path, zipfile.ZipFile(path) as packed:
        return {name.removesuffix(".webp"): packed.read(name) for name in packed.namelist()}


def has_outcomes(record: ChunkRecord, archives: StoredArchives) -> bool:
    """Return whether the outcomes of a chunk's candidates are stored.

    Raises:
        StoreDenied, StoreUnavailable: The store cannot be asked.
    """
    return _outcomes(record, archives) is not None


def _outcomes(record: ChunkRecord, archives: StoredArchives) -> StoredBlob | None:
    """Return what the outcomes of a completed chunk were recorded as, or what its failed last attempt stored."""
    if record.result or record.status is not Status.FAILED:
        return record.result.outcomes if record.result else None
    try:
        blob = archives.store.head(record.chunk.key.outcomes_key(OUTCOMES))
    except StoreNotFound:
        return None
    return StoredBlob(blob.size, blob.sha256) if attempt_of(blob) == record.attempt else None


@contextmanager
def _recorded(archives: StoredArchives, key: str, recorded: StoredBlob) -> Generator[Path]:
    """Fetch a blob, compare it with what was recorded, and give its file to the block."""
    other = f"{key} is not the blob that was recorded; `pixcore verify --repair` opens its chunk again"
    with ExitStack() as fetched:
        try:
            path, size, sha256 = fetched.enter_context(archives.fetch_key(key, recorded.size))
        except InvalidRequest as exc:  # it is larger
            raise InvalidRequest(other) from exc
        if (size, sha256) != (recorded.size, recorded.sha256):
            raise InvalidRequest(other)
        yield path
