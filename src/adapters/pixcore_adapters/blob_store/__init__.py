"""Blob stores, one file or folder for each technology, and the checks they share: keys, versions and source files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pixcore.errors import BlobRefused, StoreConflict

PRIVATE = ".pixcore"
_BLOCK = 1 << 20


def check_key(key: str) -> None:
    """Check a blob key or a prefix. Every store accepts the same keys, so that blobs can move between stores.

    Raises:
        BlobRefused: The key is empty, has an empty, ``.`` or ``..`` part, holds a NUL, cannot be encoded as UTF-8, or
            is ``.pixcore`` or below it, which is reserved for the stores.
    """
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise BlobRefused(f"blob key {key!a} cannot be encoded as UTF-8; use valid Unicode text") from error
    parts = key.split("/")
    if "\0" in key or not {"", ".", ".."}.isdisjoint(parts):
        raise BlobRefused(f"blob key {key!r} is invalid; its parts must not be empty, '.' or '..', or contain NUL")
    if parts[0] == PRIVATE:
        raise BlobRefused(f"blob key {key!r} is invalid: {PRIVATE!r} is reserved for the store; use another name")


def check_version(key: str, *, current: str | None, replacing: str | None) -> None:
    """Check that a blob is at the version (etag) that a ``put`` replaces, or absent when ``replacing`` is None.

    Raises:
        StoreConflict: The blob is at another version, or it is absent although ``replacing`` names a version.
    """
    if replacing is None and current is not None:
        raise StoreConflict(f"blob {key!r} already exists at version {current}; pass that version to replace it")
    if current != replacing:
        found = f"at version {current}" if current else "gone"
        raise StoreConflict(
            f"blob {key!r} is {found}, no longer at {replacing}; read its current version and try again"
        )


def described(source: Path, *, sha256: str, size: int) -> Iterator[bytes]:
    """Yield a file in blocks of at most 1 MiB and check its size (bytes) and sha256 (hex) after the last block.

    Raises:
        StoreConflict: The file cannot be read; or, after the last block, its size or sha256 differs.
    """
    digest, length = hashlib.sha256(), 0
    try:
        with source.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                length += len(block)
                yield block
    except OSError as error:
        raise StoreConflict(f"cannot read {str(source)!r} to store it: {error.strerror}") from error
    if (length, digest.hexdigest()) != (size, sha256):
        raise StoreConflict(
            f"{str(source)!r} has {length} bytes and sha256 {digest.hexdigest()}, but {size} bytes and sha256 {sha256}"
            " were expected; do not write to it while it is being stored"
        )
