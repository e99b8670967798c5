"""Blobs in memory, for tests and demos."""

import io
import itertools
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import quote

from pixcore.errors import StoreNotFound
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import check_key, check_version, described


class MemoryBlobStore:
    """A ``BlobStore`` in the memory of one process, shared by its threads. URLs are ``memory:///key``."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[Blob, bytes]] = {}
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - memory has no options
        """Return an empty store for a ``memory:`` URL."""
        return cls()

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
        """See ``BlobStore.put``."""
        check_key(key)
        data = b"".join(described(source, sha256=sha256, size=size))
        url = f"memory:///{quote(key)}"
        with self._lock:
            check_version(key, current=self._blobs[key][0].etag if key in self._blobs else None, replacing=replacing)
            blob = Blob(key, url, size, sha256, f"{next(self._versions):x}", content_type, dict(metadata))
            self._blobs[key] = blob, data
            return blob

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``."""
        return self._get(key)[0]

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        return io.BytesIO(self._get(key)[1])

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``."""
        if prefix:
            check_key(prefix)
        with self._lock:
            blobs = sorted(self._blobs.items())
        for key, (blob, _) in blobs:
            if not prefix or key == prefix or key.startswith(f"{prefix}/"):
                yield blob

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``."""
        check_key(key)
        with self._lock:
            self._blobs.pop(key, None)

    def _get(self, key: str) -> tuple[Blob, bytes]:
        check_key(key)
        with self._lock:
            if key not in self._blobs:
                raise StoreNotFound(f"there is no blob {key!r} in memory")
            return self._blobs[key]
