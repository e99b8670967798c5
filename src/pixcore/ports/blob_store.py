"""BlobStore: keep archives. It raises Store errors only; ``pixcore.chunk.publish`` decides what they mean."""

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
        """Store the file ``source`` under ``key``. Atomic: no reader sees the blob until it is complete.

        Creates a blob only; with ``replacing``, replaces exactly the version with that etag. The store itself enforces
        both, so one of two concurrent writers wins entirely. ``size`` (bytes) and ``sha256`` (hex) describe ``source``;
        the stored bytes are compared with them. ``metadata`` keys are ``[a-z0-9_]+``, values printable ASCII.

        Raises:
            StoreConflict: The key exists, or is no longer at ``replacing``; or ``source`` is not as described.
            StoreNotFound: The container does not exist.
            StoreDenied: The credentials, the rights or the key were refused, or the store is full.
            StoreUnavailable: A retry may help. The blob may or may not have been stored.
        """
        ...

    def head(self, key: str) -> Blob:
        """Return a blob's description without reading its bytes.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Open a blob for reading from its start. The caller closes it. An opened version stays readable when replaced.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``. The last is also raised while reading.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Yield the blobs at or below a prefix of whole path parts, by rising key: ``a`` covers ``a/b``, not ``aa``.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``.
        """
        ...

    def delete(self, key: str) -> None:
        """Delete a blob. Idempotent: a missing blob is no error; on some servers, a missing container is none either.

        Raises:
            StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``.
        """
        ...


class FileStore(BlobStore, Protocol):
    """A store of files, which may take a file over instead of copying it. A store need not be one."""

    def take_over(
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
        """Store the file ``source`` as ``put`` does, without reading it: it may become the blob itself.

        From then on, nobody may write to ``source``; removing it is allowed. The caller vouches for ``sha256``: the
        bytes need not be compared with it.

        Raises:
            StoreConflict, StoreNotFound, StoreDenied, StoreUnavailable: As for ``put``.
        """
        ...


class FallbackStore(BlobStore, Protocol):
    """A store that works in another way where its server does not support the usual one. A store need not be one."""

    @property
    def fallbacks(self) -> Mapping[str, int]:
        """How many blobs this instance has stored in another way, by a sentence that says why and how."""
        ...
