"""Publish a chunk's archive: create its blob, accept an equal one, replace an older attempt's, or refuse."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pixcore.chunk.workspace import local_disk
from pixcore.errors import ClaimLost, StoreConflict, StoreDenied, StoreNotFound
from pixcore.model.archives import Archive, Blob
from pixcore.model.chunks import Claim
from pixcore.ports import BlobStore

if TYPE_CHECKING:
    from pixcore.ports.blob_store import FileStore

_STATUS, _CHUNK, _ATTEMPT = "pixcore_status", "pixcore_chunk", "pixcore_attempt"

# A round is lost when an older attempt of the same chunk writes in between. More such attempts are not alive at once.
_ROUNDS = 4


def publish(store: BlobStore, archive: Archive, *, key: str, content_type: str, claim: Claim, identity: str) -> Blob:
    """Store ``archive`` under ``key``. Idempotent. The file may become the blob: do not write to it afterwards.

    ``identity`` is the status database's: a blob of another database's chunk is never replaced.

    Raises:
        ClaimLost: A newer attempt of the same chunk has published already.
        StoreConflict: Another blob has that key; it is left as it is.
        StoreDenied, StoreNotFound, StoreUnavailable: As ``BlobStore.put`` raises them.
    """
    metadata = _metadata(claim, identity)
    older: Blob | None = None  # what an older attempt stored, once it was found
    for _ in range(_ROUNDS):
        try:
            return _storing(store)(
                key,
                archive.path,
                sha256=archive.sha256,
                size=archive.size,
                content_type=content_type,
                metadata=metadata,
                replacing=older.etag if older else None,
            )
        except StoreDenied:
            if older and _same(older, archive):
                return older  # safe to accept: the store cannot replace blobs, so no other attempt can overwrite it
            raise
        except StoreConflict as conflict:
            try:
                found = store.head(key)
            except StoreNotFound:
                raise conflict from None
            written = _attempt(found.metadata, claim, identity)
            if written is not None and written < claim.attempt:
                # Replace even identical bytes: under the older attempt's number, an attempt between the two could
                # overwrite them.
                older = found
            elif _same(found, archive):
                return found
            elif written is None:
                raise StoreConflict(
                    f"{found.url} was not written for this chunk; move it away, or choose another store or dataset name"
                ) from conflict
            else:
                raise ClaimLost(
                    f"attempt {written} of chunk {claim.chunk} has published already; this is attempt {claim.attempt}"
                ) from conflict
    raise StoreConflict(
        f"{key} changed {_ROUNDS} times while attempt {claim.attempt} of chunk {claim.chunk} tried to replace it;"
        " nothing was written; stop the other writers of that blob"
    )


def archive_at(path: Path, images: int) -> Archive:
    """Describe a file for ``publish``; ``images`` is the number of its members or lines.

    Raises:
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    with local_disk("reading a packed file"), path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Archive(path, file.tell(), sha256, images)


def relabel(store: BlobStore, blob: Blob, source: Path, *, sha256: str, size: int, claim: Claim, identity: str) -> None:
    """Write the claim's attempt into the metadata of a blob, so that the next attempt may replace it.

    ``source`` holds the blob's bytes, which stay as they are. After a mix-up or damage, a blob's metadata may no longer
    name its chunk, and ``publish`` would refuse to replace it for ever. Call this only for a blob that a user has asked
    to be replaced.

    Raises:
        StoreConflict: The blob is no longer at that version.
        StoreDenied, StoreNotFound, StoreUnavailable: As ``BlobStore.put`` raises them.
    """
    store.put(
        blob.key,
        source,
        sha256=sha256,
        size=size,
        content_type=blob.content_type,
        metadata=_metadata(claim, identity),
        replacing=blob.etag,
    )


def replaceable(blob: Blob, claim: Claim, identity: str) -> bool:
    """Return whether the next attempt after the claim's would replace the blob."""
    written = _attempt(blob.metadata, claim, identity)
    return written is not None and written <= claim.attempt


def _storing(store: BlobStore) -> Callable[..., Blob]:
    """Return the method of the store that costs least. A wrapper of a store has only those that it defines itself."""
    return cast("FileStore", store).take_over if hasattr(type(store), "take_over") else store.put


def attempt_of(blob: Blob) -> int | None:
    """Return the number of the attempt that wrote a blob, or None if no attempt did."""
    written = blob.metadata.get(_ATTEMPT, "")
    return int(written) if written.isdecimal() else None


def status_of(blob: Blob) -> str:
    """Return the identity of the status database that a blob was written for; ``""`` if it names none."""
    return blob.metadata.get(_STATUS, "")


def _metadata(claim: Claim, identity: str) -> Mapping[str, str]:
    return {_STATUS: identity, _CHUNK: str(claim.chunk.id), _ATTEMPT: str(claim.attempt)}


def _same(blob: Blob, archive: Archive) -> bool:
    return (blob.sha256, blob.size) == (archive.sha256, archive.size)


def _attempt(metadata: Mapping[str, str], claim: Claim, identity: str) -> int | None:
    """Return the attempt that wrote a blob, or None if the blob was not written for this chunk."""
    written = metadata.get(_ATTEMPT, "")
    if metadata.get(_STATUS) != identity or metadata.get(_CHUNK) != str(claim.chunk.id) or not written.isdecimal():
        return None
    return int(written)
