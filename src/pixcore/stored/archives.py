"""Fetch the archives of completed chunks from their blob store, one at a time."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from pixcore.chunk.fetching import fetch_blob
from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.chunk.workspace import workspace
from pixcore.errors import InvalidRequest
from pixcore.model.chunks import ChunkRecord
from pixcore.model.rows import complete
from pixcore.ports import Archiver, BlobStore, Contents


@frozen
class StoredArchive:
    """A fetched archive on the local disk, which may be damaged: ``size`` bytes with that ``sha256`` at ``path``."""

    path: Path
    size: int
    sha256: str
    archiver: Archiver

    def contents(self) -> Contents:
        """Return the archive's contents. Every call reads it from its beginning.

        Raises:
            InvalidRequest: It is not a whole archive. Also raised while the files are read.
        """
        return self.archiver.contents(self.path)


@frozen
class StoredArchives:
    """Fetches archives. At most one is on the local disk at a time, and one of its images in memory.

    Attributes:
        store: The blob store that holds them.
        archivers: One for each kind of archive that may occur: the chunks of a dataset may differ in theirs.
        work: A fetched archive is kept in a private work directory below this folder while it is in use.
        policy: How often fetching is tried.
        sleep: Waits that many seconds between tries.
    """

    store: BlobStore
    archivers: Sequence[Archiver]
    work: Path
    policy: RetryPolicy = Policies().upload
    sleep: Callable[[float], None] = time.sleep

    def key(self, record: ChunkRecord) -> str:
        """Return the key of a completed chunk's blob.

        Raises:
            InvalidRequest: The chunk has no archive, or none of the ``archivers`` reads it.
        """
        return record.chunk.key.blob_key(self.archiver(record).suffix)

    @contextmanager
    def fetch(self, record: ChunkRecord, most: int | None = None) -> Generator[StoredArchive]:
        """Fetch a completed chunk's archive, and keep it until the end of the block. Its contents are not checked.

        Raises:
            InvalidRequest: As for ``key``; or the blob has more than ``most`` bytes, by default those that were
                recorded. The rest of it is not fetched.
            StoreNotFound, StoreDenied, StoreUnavailable: As ``BlobStore.open`` raises them.
            WorkspaceFull, TransientError: As ``local_disk`` raises them.
        """
        archiver = self.archiver(record)
        if most is None:
            most = record.result.bytes if record.result else 0
        with self.fetch_key(self.key(record), most) as (path, size, sha256):
            yield StoredArchive(path, size, sha256, archiver)

    @contextmanager
    def fetch_key(self, key: str, most: int) -> Generator[tuple[Path, int, str]]:
        """Fetch a blob of at most ``most`` bytes; give the block its file, size and sha256, and remove the file then.

        Raises:
            InvalidRequest: The blob has more bytes.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``fetch``.
        """
        with workspace(self.work, lambda _path, _error: None) as folder:
            target = folder / "blob"
            yield target, *retrying(self.policy, self.sleep)(fetch_blob, self.store, key, target, most)

    def rows(self, record: ChunkRecord) -> tuple[Mapping[str, object], ...]:
        """Return the rows of a completed chunk's images, in the archive's order, as they are stored.

        Raises:
            InvalidRequest: As for ``key``; or the stored archive is not the one that was recorded.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``fetch``.
        """
        with self._recorded(record) as contents:
            return contents.rows

    def images(self, record: ChunkRecord) -> Generator[tuple[Mapping[str, object], bytes]]:
        """Yield the row and the bytes of each image of a completed chunk, in the archive's order.

        A row has all columns of this version of pixcore: see ``pixcore.model.rows.complete``.

        Raises:
            InvalidRequest: As for ``rows``; or a row lacks a column that it must have.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``fetch``.
        """
        with self._recorded(record) as contents:
            rows = {row["file_name"]: row for row in contents.rows}
            for name, data in contents.files:
                yield complete(rows[name]), data

    @contextmanager
    def _recorded(self, record: ChunkRecord) -> Generator[Contents]:
        """Fetch a completed chunk's archive, compare it with what was recorded, and give its contents to the block."""
        with self.fetch(record) as archive:
            if record.result is None or (archive.sha256, archive.size) != (record.result.sha256, record.result.bytes):
                raise InvalidRequest(
                    f"{self.key(record)} is not the archive that chunk {record.chunk.key} was recorded with;"
                    " `pixcore verify` says what is wrong with it"
                )
            yield archive.contents()

    def archiver(self, record: ChunkRecord) -> Archiver:
        """Return the archiver that reads a completed chunk's archive.

        Raises:
            InvalidRequest: As for ``key``.
        """
        if record.result is None:
            raise InvalidRequest(f"chunk {record.chunk.key} has no archive; it is {record.status}")
        for archiver in self.archivers:
            if record.result.url.endswith(archiver.suffix):
                return archiver
        raise InvalidRequest(f"chunk {record.chunk.key}: {record.result.url} is not an archive of a known kind")
