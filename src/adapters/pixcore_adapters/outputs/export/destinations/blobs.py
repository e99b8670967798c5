"""A blob store as a place for exports."""

import mimetypes
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

from attrs import frozen

from pixcore.chunk.fetching import copy_blob
from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.errors import StoreConflict
from pixcore.model.archives import Blob
from pixcore.ports import BlobStore
from pixcore_adapters.outputs.export.destinations.remote import Stored

_TYPE = "application/octet-stream"


@frozen
class Blobs:
    """A ``Remote``: a blob store. If it has a method ``prepare_copy``, the server copies its blobs.

    Attributes:
        store: The blob store.
        url: The URL of the store, without a final ``/``.
        policy: How often a request is tried.
        sleep: Waits that many seconds between tries.
    """

    store: BlobStore
    url: str
    policy: RetryPolicy = Policies().upload
    sleep: Callable[[float], None] = time.sleep

    at_once = 8
    rename = None

    def list(self, folder: str) -> Iterator[Stored]:
        """See ``Remote``."""
        for blob in self.store.list(folder):
            yield Stored(blob.key.removeprefix(folder).lstrip("/"), blob.size, blob.sha256)

    def read(self, name: str) -> bytes:
        """See ``Remote``."""
        with closing(self.store.open(name)) as blob:
            return blob.read()

    def put(self, name: str, source: Path, sent: Stored) -> None:
        """See ``Remote``."""
        kind = mimetypes.guess_type(name)[0] or _TYPE
        put = partial(self.store.put, name, source, sha256=sent.sha256, size=sent.size, content_type=kind, metadata={})
        try:
            retrying(self.policy, self.sleep)(put)
        except StoreConflict:
            if not _equal(self.store.head(name), sent):
                raise

    def prepare(self, name: str, to: str) -> Callable[[], object]:
        """See ``Remote``. The blob keeps its old key too."""
        copying: Callable[[str, str], Callable[[], Blob]] | None = getattr(self.store, "prepare_copy", None)
        again = retrying(self.policy, self.sleep)
        copy = again(copying, name, to) if copying else partial(copy_blob, self.store, name, to)

        def show() -> None:
            try:
                again(copy)
            except StoreConflict:
                blob = self.store.head(name)
                if not _equal(self.store.head(to), Stored(name, blob.size, blob.sha256)):
                    raise

        return show

    def clear(self, folder: str) -> None:
        """See ``Remote``."""
        delete = partial(retrying(self.policy, self.sleep), self.store.delete)
        with ThreadPoolExecutor(self.at_once) as pool:
            for _ in pool.map(delete, [blob.key for blob in self.store.list(folder)]):
                pass


def _equal(blob: Blob, sent: Stored) -> bool:
    return (blob.size, blob.sha256) == (sent.size, sent.sha256)
