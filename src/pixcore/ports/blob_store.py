"""BlobStore: where archives end up. It raises Store errors only; pixcore.chunk.publish decides what they mean."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from pixcore.model.archives import Blob


class BlobStore(Protocol):
    """A flat map from keys to whole blobs. Keys are non-empty Unicode paths with ``/`` between their parts."""

    def put(
        self,
        key: str,
        source: Path,
        *,
        sha256: str,
        size: int,
        content_type: str,
        metadata: Mapping[str, str],
        replacing: str | None = None,
    ) -> Blob:
        """Store the file ``source`` under ``key``, atomically: until it is whole, nobody sees it.

        Creates only; with ``replacing``, replaces exactly the version with that etag. The store itself enforces
        both, so of two writers one wins whole. ``size`` (bytes) and ``sha256`` (hex) are what ``source`` holds, and
        what is stored was compared with them. ``metadata`` keys are ``[a-z0-9_]+``, values printable ASCII.

        Raises:
            StoreConflict: The key exists, or is no longer at ``replacing``; or ``source`` is not as described.
            StoreNotFound: The container does not exist.
            StoreDenied: The credentials, the rights or the key were refused, or there is no room.
            StoreUnavailable: Worth trying again; the blob may or may not have been stored.
        """
        ...

    def head(self, key: str) -> Blob:
        """Describe a blob without reading it.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Read a blob from its start; the caller closes it. A version opened stays readable while it is replaced.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``; the last also while reading.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield the blobs at or below a prefix of whole path parts, by rising key: ``a`` covers ``a/b``, not ``aa``.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove a blob. Idempotent: a blob that is not there is no error, nor is, on some servers, its container.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``.
        """
        ...
