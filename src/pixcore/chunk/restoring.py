"""Restore the images of a chunk's last archive, so that another attempt does not fetch them again."""

from collections.abc import Iterator
from pathlib import Path

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.fetching import fetch_blob
from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.model.images import Download
from pixcore.model.originals import original
from pixcore.model.positions import from_text, listed_key
from pixcore.model.rows import candidate, complete, fetched_at


def restored(context: AttemptContext, into: Path) -> Iterator[tuple[int, Download]]:
    """Yield the images of lists that the last archive holds, in its order, each with its candidate's number.

    Yield none if the archive differs from its record. Leave out images of searches: a search may give other results at
    the same positions.

    Raises:
        StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: The archive cannot be fetched now.
    """
    using, result = context.using, context.claimed.result
    if result is None or not result.kept or not result.url.endswith(using.archiver.suffix):
        return
    key = context.claim.chunk.blob_key(using.archiver.suffix)
    archive = into / f"earlier{using.archiver.suffix}"
    try:
        fetched = context.retrying(using.policies.upload)(fetch_blob, using.store, key, archive, result.bytes)
    except (StoreNotFound, InvalidRequest):
        return
    if fetched != (result.bytes, result.sha256):
        return
    contents = using.archiver.contents(archive)
    rows = {row["file_name"]: (number, row) for number, row in enumerate(contents.rows)}
    numbers = from_text(result.kept)
    for name, data in contents.files:
        place, row = rows[name]
        if key_ := listed_key(context.chunk.slices, numbers[place]):
            path = into / f"earlier-{place:06d}"
            with local_disk("writing an image"):
                path.write_bytes(data)
            values = complete(row)
            download = Download(candidate(values, key_), path, len(data), fetched_at(values), original(values))
            yield numbers[place], download
    archive.unlink(missing_ok=True)
