"""What to do with a chunk's blob: create it, recognise it as ours, replace an older attempt, or refuse."""

from collections.abc import Mapping
from pathlib import Path

from pixcore.errors import ClaimLost, StoreConflict, StoreDenied, StoreNotFound
from pixcore.model.archives import Archive, Blob
from pixcore.model.chunks import Claim
from pixcore.ports import BlobStore

_STATUS, _CHUNK, _ATTEMPT = "pixcore_status", "pixcore_chunk", "pixcore_attempt"

# Each round loses a race against another, older attempt of the same chunk; that many cannot be alive at once.
_ROUNDS = 4


def publish(store: BlobStore, archive: Archive, *, key: str, content_type: str, claim: Claim, identity: str) -> Blob:
    """Make ``archive`` the blob at ``key``; idempotent.

    ``identity`` is the status database's: blobs of another database's chunks are never replaced.

    Raises:
        ClaimLost: A newer attempt of the same chunk has published already.
        StoreConflict: Something else stands there; it is left as it is.
        StoreDenied, StoreNotFound, StoreUnavailable: As the store says.
    """
    metadata = _metadata(claim, identity)
    there: Blob | None = None  # an older attempt's
    for _ in range(_ROUNDS):
        try:
            return store.put(
                key,
                archive.path,
                sha256=archive.sha256,
                size=archive.size,
                content_type=content_type,
                metadata=metadata,
                replacing=there.etag if there else None,
            )
        except StoreDenied:
            if there and _same(there, archive):
                return there  # a store that cannot replace, so that no attempt in between can
            raise
        except StoreConflict as conflict:
            try:
                found = store.head(key)
            except StoreNotFound:
                raise conflict from None
            written = _attempt(found.metadata, claim, identity)
            if written is not None and written < claim.attempt:
                # even if it holds the same: under the older attempt's name, one in between could replace it
                there = found
            elif _same(found, archive):
                return found
            elif written is None:
                raise StoreConflict(
                    f"{found.url} holds something that is not this chunk's; move it away or choose another store or"
                    " dataset name"
                ) from conflict
            else:
                raise ClaimLost(
                    f"attempt {written} of chunk {claim.chunk} has published already; this is {claim.attempt}"
                ) from conflict
    raise StoreConflict(
        f"{key} kept changing under attempt {claim.attempt} of chunk {claim.chunk}; nothing was written"
    )


def hand_over(
    store: BlobStore, there: Blob, source: Path, *, sha256: str, size: int, claim: Claim, identity: str
) -> None:
    """Put the name of a completed attempt on what stands at its chunk's key; ``source`` holds its bytes, which stay.

    After a mix-up or damage, a blob may no longer say whose it is, and ``publish`` would refuse to replace it for ever.
    Only for blobs that somebody has asked to be replaced.

    Raises:
        StoreConflict: It is no longer that version.
        StoreDenied, StoreNotFound, StoreUnavailable: As the store says.
    """
    store.put(
        there.key,
        source,
        sha256=sha256,
        size=size,
        content_type=there.content_type,
        metadata=_metadata(claim, identity),
        replacing=there.etag,
    )


def replaceable(blob: Blob, claim: Claim, identity: str) -> bool:
    """Whether the next attempt after the claim's would replace the blob."""
    written = _attempt(blob.metadata, claim, identity)
    return written is not None and written <= claim.attempt


def _metadata(claim: Claim, identity: str) -> Mapping[str, str]:
    return {_STATUS: identity, _CHUNK: str(claim.chunk.id), _ATTEMPT: str(claim.attempt)}


def _same(blob: Blob, archive: Archive) -> bool:
    return (blob.sha256, blob.size) == (archive.sha256, archive.size)


def _attempt(metadata: Mapping[str, str], claim: Claim, identity: str) -> int | None:
    """The attempt that wrote a blob of this chunk, or None for a blob of something else."""
    written = metadata.get(_ATTEMPT, "")
    if metadata.get(_STATUS) != identity or metadata.get(_CHUNK) != str(claim.chunk.id) or not written.isdecimal():
        return None
    return int(written)
