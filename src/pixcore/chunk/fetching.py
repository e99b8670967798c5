"""Fetch a blob into a file, or into another blob."""

import hashlib
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest
from pixcore.model.archives import Blob
from pixcore.ports import BlobStore

_BLOCK = 1 << 20  # bytes


def fetch_blob(store: BlobStore, key: str, target: Path, most: int, *, temporary: bool = False) -> tuple[int, str]:
    """Write a blob to ``target``; return its size in bytes and its sha256 in hex. For ``temporary`` see ``local_disk``.

    Raises:
        InvalidRequest: The blob has more than ``most`` bytes. The rest was not read.
        StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.open`` raises them.
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    digest, size = hashlib.sha256(), 0
    disk = local_disk(f"fetching {key}", temporary=temporary)
    with closing(store.open(key)) as blob, disk, target.open("wb") as file:
        while block := blob.read(_BLOCK):
            if size + len(block) > most:
                raise InvalidRequest(f"{key} holds more than {most} bytes, so it was not fetched to its end")
            digest.update(block)
            size += file.write(block)
    return size, digest.hexdigest()


def copy_blob(store: BlobStore, source: str, key: str) -> Blob:
    """Store a copy of the blob ``source`` under ``key``, by way of a temporary file; return its description.

    Raises:
        StoreConflict: The key exists.
        StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.open`` and ``put`` raise them.
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    blob = store.head(source)
    with local_disk("copying a blob", temporary=True), TemporaryDirectory() as folder:
        path = Path(folder, "blob")
        size, sha256 = fetch_blob(store, source, path, blob.size, temporary=True)
        return store.put(
            key, path, sha256=sha256, size=size, content_type=blob.content_type, metadata=dict(blob.metadata)
        )
