"""The archives of completed chunks, brought back from their store one at a time and measured on the way."""

import hashlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from attrs import frozen

from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.chunk.workspace import local_disk, workspace
from pixcore.errors import InvalidRequest
from pixcore.model.chunks import ChunkRecord
from pixcore.model.rows import complete
from pixcore.ports import Archiver, BlobStore, Contents

_PIECE = 1 << 20  # bytes


@frozen
class Shard:
    """An archive on the local disk as it is, whole or not: ``size`` bytes with that ``sha256`` at ``path``."""

    path: Path
    size: int
    sha256: str
    archiver: Archiver

    def contents(self) -> Contents:
        """What it holds; every call reads it from its beginning.

        Raises:
            InvalidRequest: It is no whole archive; also while the files are being read.
        """
        return self.archiver.contents(self.path)


@frozen
class Shards:
    """Brings archives back: one on the local disk at a time, and of it one image in memory.

    Attributes:
        store: Where they are.
        archivers: Every kind that there may be: a dataset's chunks need not all be of one.
        work: Below this folder each has a private work directory while it is in use.
        policy: How often fetching is tried.
        sleep: Waits that many seconds between tries.
    """

    store: BlobStore
    archivers: Sequence[Archiver]
    work: Path
    policy: RetryPolicy = Policies().upload
    sleep: Callable[[float], None] = time.sleep

    def key(self, record: ChunkRecord) -> str:
        """Key of a completed chunk's blob.

        Raises:
            InvalidRequest: The chunk has no archive, or one of a kind that is not known.
        """
        return record.chunk.key.blob_key(self._archiver(record).suffix)

    @contextmanager
    def fetched(self, record: ChunkRecord) -> Generator[Shard]:
        """A completed chunk's archive, as long as the block lasts. What it holds is not looked at: see ``images``.

        Raises:
            InvalidRequest: As for ``key``.
            StoreNotFound, StoreDenied, StoreUnavailable: As the store says.
            WorkspaceFull, TransientError: As the local disk says.
        """
        archiver, key = self._archiver(record), self.key(record)
        with workspace(self.work, lambda _path, _error: None) as folder:
            target = folder / f"chunk_{record.chunk.id}{archiver.suffix}"
            size, sha256 = retrying(self.policy, self.sleep)(self._fetch, key, target)
            yield Shard(target, size, sha256, archiver)

    def rows(self, record: ChunkRecord) -> tuple[Mapping[str, object], ...]:
        """Return the rows of a completed chunk's images, in the archive's order, as they are stored.

        Raises:
            InvalidRequest: As for ``key``; or what is stored is not the archive that was recorded.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``fetched``.
        """
        with self._recorded(record) as contents:
            return contents.rows

    def images(self, record: ChunkRecord) -> Generator[tuple[Mapping[str, object], bytes]]:
        """Yield the row and the bytes of each image of a completed chunk, in the archive's order.

        A row has all columns of this version of pixcore: see ``pixcore.model.rows.complete``.

        Raises:
            InvalidRequest: As for ``rows``; or a row lacks a column that it must have.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for ``fetched``.
        """
        with self._recorded(record) as contents:
            rows = {row["file_name"]: row for row in contents.rows}
            for name, data in contents.files:
                yield complete(rows[name]), data

    @contextmanager
    def _recorded(self, record: ChunkRecord) -> Generator[Contents]:
        with self.fetched(record) as shard:
            if record.result is None or (shard.sha256, shard.size) != (record.result.sha256, record.result.bytes):
                raise InvalidRequest(
                    f"{self.key(record)} is not the archive that chunk {record.chunk.key} was recorded with;"
                    " `pixcore verify` says what is wrong with it"
                )
            yield shard.contents()

    def _archiver(self, record: ChunkRecord) -> Archiver:
        if record.result is None:
            raise InvalidRequest(f"chunk {record.chunk.key} has no archive; it is {record.status}")
        for archiver in self.archivers:
            if record.result.url.endswith(archiver.suffix):
                return archiver
        raise InvalidRequest(f"chunk {record.chunk.key}: {record.result.url} is no archive of a known kind")

    def _fetch(self, key: str, target: Path) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with closing(self.store.open(key)) as blob, local_disk("fetching an archive"), target.open("wb") as file:
            while piece := blob.read(_PIECE):
                digest.update(piece)
                size += file.write(piece)
        return size, digest.hexdigest()
