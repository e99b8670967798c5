"""Upload what an attempt made: the archive first, then the blobs about its candidates."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.events import BlobStored
from pixcore.chunk.outcome_log import OutcomeLog
from pixcore.chunk.publish import archive_at, publish
from pixcore.chunk.rejects import RejectedImages
from pixcore.chunk.workspace import local_disk
from pixcore.errors import StoreNotFound
from pixcore.model.archives import Archive, Blob, StoredBlob
from pixcore.model.chunks import Phase
from pixcore.model.outcomes import OUTCOMES, PREVIEWS, REJECTED


def upload_archive(context: AttemptContext, archive: Archive) -> Blob:
    """Store the chunk's archive.

    Raises:
        ClaimLost, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: As ``publish`` raises them.
    """
    archiver = context.using.archiver
    return _upload(context, archive, context.claim.chunk.blob_key(archiver.suffix), archiver.content_type)


def upload_outcomes(context: AttemptContext, outcomes: OutcomeLog, folder: Path) -> StoredBlob:
    """Store the outcomes of the chunk's candidates.

    Raises:
        ClaimLost, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: As ``publish`` raises them.
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    with context.stopwatch.measure(Phase.UPLOAD):
        written = context.retrying(context.using.policies.upload)(outcomes.write, folder / "outcomes.gz")
    return upload_written_outcomes(context, written)


def upload_written_outcomes(context: AttemptContext, written: Archive) -> StoredBlob:
    """Store the file of the outcomes.

    Raises:
        ClaimLost, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: As ``publish`` raises them.
    """
    return _beside(context, written, OUTCOMES, "application/gzip")


def upload_previews(context: AttemptContext, rejects: RejectedImages, folder: Path) -> StoredBlob | None:
    """Store the previews of rejected images; return None if there are none.

    Raises:
        ClaimLost, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: As ``publish`` raises them.
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    return _beside_or_none(context, rejects.previews(), PREVIEWS, "application/zip", lambda: _no_previews(folder))


def upload_rejected(context: AttemptContext, rejects: RejectedImages, folder: Path) -> StoredBlob | None:
    """Store an archive of the rejected images whose bytes the dataset keeps; return None if there are none.

    Raises:
        ClaimLost, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: As ``publish`` raises them.
        WorkspaceFull, TransientError: As the archiver raises them.
    """
    archiver = context.using.archiver

    def pack() -> Archive:
        target = folder / f"rejected{archiver.suffix}"
        return context.retrying(context.using.policies.compress, Phase.COMPRESS)(archiver.pack, rejects.images, target)

    packed = pack() if rejects.images else None
    return _beside_or_none(context, packed, f"{REJECTED}{archiver.suffix}", archiver.content_type, pack)


def _beside_or_none(
    context: AttemptContext, made: Archive | None, suffix: str, content_type: str, empty: Callable[[], Archive]
) -> StoredBlob | None:
    """Store a blob. If there is nothing to store, replace that of an earlier attempt, if any, by an empty one."""
    if made:
        return _beside(context, made, suffix, content_type)
    if context.claim.attempt > 1 and _exists(context, suffix):
        _beside(context, empty(), suffix, content_type)
    return None


def _beside(context: AttemptContext, made: Archive, suffix: str, content_type: str) -> StoredBlob:
    _upload(context, made, context.claim.chunk.outcomes_key(suffix), content_type)
    return StoredBlob(made.size, made.sha256)


def _upload(context: AttemptContext, archive: Archive, key: str, content_type: str) -> Blob:
    using = context.using
    began = time.monotonic()
    with context.stopwatch.measure(Phase.UPLOAD):
        blob = context.retrying(using.policies.upload)(
            lambda: publish(
                using.store,
                archive,
                key=key,
                content_type=content_type,
                claim=context.claim,
                identity=using.status.identity,
            )
        )
    context.observe(BlobStored(*context.ids, key=key, bytes=archive.size, seconds=time.monotonic() - began))
    return blob


def _exists(context: AttemptContext, suffix: str) -> bool:
    key = context.claim.chunk.outcomes_key(suffix)
    try:
        context.retrying(context.using.policies.upload)(context.using.store.head, key)
    except StoreNotFound:
        return False
    return True


def _no_previews(folder: Path) -> Archive:
    path = folder / "no-previews.zip"
    with local_disk("writing the previews"):
        zipfile.ZipFile(path, "w").close()
    return archive_at(path, 0)
