"""Fetch a blob into a file."""

import hashlib
from contextlib import closing
from pathlib import Path

from pixcore.chunk.workspace import local_disk
from pixcore.ports import BlobStore

_BLOCK = 1 << 20  # bytes


def fetch_blob(store: BlobStore, key: str, target: Path) -> tuple[int, str]:
    """Write a blob to ``target``; return its size in bytes and its sha256 in hex.

    Raises:
        StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.open`` raises them.
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    digest, size = hashlib.sha256(), 0
    with closing(store.open(key)) as blob, local_disk("fetching an archive"), target.open("wb") as file:
        while block := blob.read(_BLOCK):
            digest.update(block)
            size += file.write(block)
    return size, digest.hexdigest()
