"""Fetch a blob into a file."""

import hashlib
from contextlib import closing
from pathlib import Path

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest
from pixcore.ports import BlobStore

_BLOCK = 1 << 20  # bytes


def fetch_blob(store: BlobStore, key: str, target: Path, most: int) -> tuple[int, str]:
    """Write a blob to ``target``; return its size in bytes and its sha256 in hex.

    Raises:
        InvalidRequest: The blob has more than ``most`` bytes. The rest was not read.
        StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.open`` raises them.
        WorkspaceFull, TransientError: As ``local_disk`` raises them.
    """
    digest, size = hashlib.sha256(), 0
    with closing(store.open(key)) as blob, local_disk("fetching an archive"), target.open("wb") as file:
        while block := blob.read(_BLOCK):
            if size + len(block) > most:
                raise InvalidRequest(f"{key} holds more than {most} bytes, so it was not fetched to its end")
            digest.update(block)
            size += file.write(block)
    return size, digest.hexdigest()
