"""Blob stores, one technology a file, and the rules they share: for keys, for versions and for sources."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pixcore.errors import StoreConflict, StoreDenied

PRIVATE = ".pixcore"
_BLOCK = 1 << 20


def check_key(key: str) -> None:
    """Refuse what is no key, or no prefix of one: every store takes the same ones, so that blobs can move.

    Raises:
        StoreDenied: Empty, or with an empty, ``.`` or ``..`` part, with a NUL, not to be written as UTF-8, or at or
            below ``.pixcore``, which is the stores' own.
    """
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise StoreDenied(f"blob key {key!a} cannot be written as UTF-8; take Unicode text") from error
    parts = key.split("/")
    if "\0" in key or not {"", ".", ".."}.isdisjoint(parts):
        raise StoreDenied(f"blob key {key!r} cannot be used; its parts must not be empty, '.' or '..', nor hold NUL")
    if parts[0] == PRIVATE:
        raise StoreDenied(f"blob key {key!r} cannot be used; {PRIVATE!r} is the store's own, take another name")


def check_version(key: str, *, current: str | None, replacing: str | None) -> None:
    """Refuse a ``put`` unless the blob is at the version (etag) to be replaced, or absent when there is none.

    Raises:
        StoreConflict: It is at another version, or absent.
    """
    if replacing is None and current is not None:
        raise StoreConflict(f"blob {key!r} exists already, at version {current}; only who names it may replace it")
    if current != replacing:
        found = f"at version {current}" if current else "gone"
        raise StoreConflict(f"blob {key!r} is {found}, no longer at {replacing}; look at it again")


def described(source: Path, *, sha256: str, size: int) -> Iterator[bytes]:
    """Yield the blocks of a file, of 1 MiB at most, and compare it at the end with what was said of it.

    Raises:
        StoreConflict: It cannot be read, or is not as described; in this case after the last block.
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
            f"{str(source)!r} has {length} bytes of sha256 {digest.hexdigest()}, not {size} of {sha256} as was said;"
            " let nothing write to it while it is stored"
        )
