"""Blobs as plain files below a folder. Any tool can open, copy and move them.

The blob ``a/b`` is the file ``a/b`` in the folder. A rename creates it atomically. What a file cannot hold (sha256,
content type, metadata) is in a sidecar file, written before the rename and found by the blob file's size and
modification time. A sidecar that a crash leaves without its blob matches no version: it is never read, and a later put
removes it.
"""

import fcntl
import hashlib
import io
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import unquote, urlsplit

import cattrs
from attrs import field, frozen
from cattrs.preconf.json import make_converter

from pixcore.errors import InvalidRequest, StoreConflict, StoreNotFound
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import PRIVATE, check_key, check_version, described
from pixcore_adapters.blob_store.durable import make_folder, sync_folder
from pixcore_adapters.blob_store.os_errors import BlobFile, store_errors
from pixcore_adapters.blob_store.temporary import temporary_file

_json = make_converter()


@frozen
class _Sidecar:
    """What a blob's file itself cannot hold, for one version. A file that a user copied in has only the sha256."""

    sha256: str
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(factory=dict)


class LocalBlobStore:
    """A ``BlobStore`` in the folder ``root``, created on first use. Processes may share it. URLs are ``file://``.

    A folder cannot hold both blobs ``a`` and ``a/b``: the second is refused with ``StoreDenied``. Files that users copy
    into the folder are blobs too; ``head`` and ``list`` read them whole to compute the sha256. To copy a store, keep
    the files' times (``cp -a``): a blob whose time changed loses its content type and metadata. Symlinks to folders
    and names that are not Unicode are not listed. The folder ``.pixcore`` is private.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - a folder needs no credentials
        """Return the store in the folder of a ``file:relative``, ``file:/absolute`` or ``file:///absolute`` URL.

        Raises:
            InvalidRequest: The URL names no folder of this machine.
        """
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise InvalidRequest(f"store {url!r} names no folder of this machine; write file:./out or file:///data/out")
        return cls(Path(unquote(parts.path)).expanduser())

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
        with self._storing(key), self._temporary_file() as file:
            for block in described(source, sha256=sha256, size=size):
                file.write(block)
            file.flush()
            return self._publish(key, file, _Sidecar(sha256, content_type, dict(metadata)), replacing)

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
        """See ``FileStore.take_over``. Links to the file if it is on the same file system; otherwise copies it."""
        with self._storing(key), self._temporary_file(source) as file:
            if os.fstat(file.fileno()).st_nlink == 1:  # the file system did not link it
                shutil.copyfile(source, file.name)  # within the kernel
            if (found := os.fstat(file.fileno()).st_size) != size:
                raise StoreConflict(f"{str(source)!r} has {found} bytes, but {size} were expected")
            return self._publish(key, file, _Sidecar(sha256, content_type, dict(metadata)), replacing)

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``. A file that no store wrote is read whole."""
        path = self._path(key)
        with store_errors(f"cannot describe blob {key!r} in {self._root}"):
            if blob := self._describe(key):
                return blob
        raise StoreNotFound(f"there is no blob {str(path)!r}")

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        path = self._path(key)
        with store_errors(f"cannot read blob {key!r} in {self._root}"), self._ignoring_absent():
            if self._status(key):
                return io.BufferedReader(BlobFile(path))
        raise StoreNotFound(f"there is no blob {str(path)!r}")

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``."""
        if prefix:
            check_key(prefix)
        with store_errors(f"cannot list {prefix!r} in {self._root}"):
            for key in self._keys(prefix):
                if blob := self._describe(key):
                    yield blob

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``. Also removes folders that become empty."""
        path = self._path(key)
        with store_errors(f"cannot delete blob {key!r} in {self._root}"):
            if self._status(key):
                with self._locked():
                    with self._ignoring_absent():  # another process may have deleted it and its folder meanwhile
                        path.unlink()
                        sync_folder(path.parent)
                    self._tidy(key)

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key

    def _storing(self, key: str) -> AbstractContextManager[None]:
        check_key(key)
        return store_errors(f"cannot store blob {key!r} in {self._root}")

    def _publish(self, key: str, file: BinaryIO, sidecar: _Sidecar, replacing: str | None) -> Blob:
        """Make a temporary file, complete and flushed, the blob of that key."""
        path = self._path(key)
        os.fsync(file.fileno())  # before locking, so that the lock is not held while most bytes go to the disk
        with self._locked():
            old = self._status(key)
            check_version(key, current=_etag(old) if old else None, replacing=replacing)
            etag = _set_unique_time(file, after=old.st_mtime_ns if old else 0)
            try:
                self._write_sidecar(key, etag, sidecar)
                make_folder(path.parent)
                Path(file.name).rename(path)
                sync_folder(path.parent)
            finally:
                self._tidy(key)
        return self._blob(key, etag, os.fstat(file.fileno()).st_size, sidecar)

    def _sidecars(self, key: str) -> Path:
        # hashed, because a sidecar below the key itself could collide with the folder of a longer key
        return self._root / PRIVATE / "meta" / hashlib.sha256(key.encode()).hexdigest()

    def _status(self, key: str) -> os.stat_result | None:
        with self._ignoring_absent():
            status = self._path(key).stat()
            if stat.S_ISREG(status.st_mode):
                return status
        return None

    @contextmanager
    def _ignoring_absent(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except NotADirectoryError:  # a parent of the key is a blob: no error, unless the root itself is a file
            if not self._root.is_dir():
                raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        private = self._root / PRIVATE
        make_folder(private)
        with (private / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)  # a child forked meanwhile would hold the lock after a mere close

    def _temporary_file(self, source: Path | None = None) -> AbstractContextManager[BinaryIO]:
        return temporary_file(self._root / PRIVATE / "tmp", self._locked, source)

    def _write_sidecar(self, key: str, etag: str, sidecar: _Sidecar) -> None:
        folder = self._sidecars(key)
        make_folder(folder)
        with (folder / f"{etag}.json").open("w", encoding="utf-8") as file:
            file.write(_json.dumps(sidecar))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)

    def _read_sidecar(self, key: str, etag: str) -> _Sidecar | None:
        try:
            return _json.loads((self._sidecars(key) / f"{etag}.json").read_bytes(), _Sidecar)
        except (FileNotFoundError, TypeError, ValueError, cattrs.BaseValidationError):  # missing or damaged
            return None

    def _tidy(self, key: str) -> None:
        """Remove the sidecars of earlier versions and empty folders. Call it under the lock.

        Errors are ignored: what remains is never read.
        """
        with suppress(OSError):
            status = self._status(key)
            live = f"{_etag(status)}.json" if status else None
            for sidecar in self._sidecars(key).iterdir():
                if sidecar.name != live:
                    sidecar.unlink()
        for folder in (self._sidecars(key), *self._path(key).parents):
            if folder == self._root:
                break
            with suppress(OSError):  # not empty
                folder.rmdir()

    def _describe(self, key: str) -> Blob | None:
        """Return one consistent version of a blob even while writers replace it; None if it does not exist."""
        while status := self._status(key):
            etag = _etag(status)
            if sidecar := self._read_sidecar(key, etag) or self._measure(key, etag):
                return self._blob(key, etag, status.st_size, sidecar)
        return None

    def _measure(self, key: str, etag: str) -> _Sidecar | None:
        """Compute the sidecar of a file that has none; None if the file was replaced or removed meanwhile."""
        with self._ignoring_absent(), self._path(key).open("rb") as file:
            if _etag(os.fstat(file.fileno())) == etag:
                return _Sidecar(hashlib.file_digest(file, "sha256").hexdigest())
        return None

    def _blob(self, key: str, etag: str, size: int, sidecar: _Sidecar) -> Blob:
        url = self._path(key).as_uri()
        return Blob(key, url, size, sidecar.sha256, etag, sidecar.content_type, sidecar.metadata)

    def _keys(self, prefix: str) -> Iterator[str]:
        """Yield what may be keys at or below the prefix in ascending order, reading one folder at a time."""
        pending = [prefix] if prefix and self._status(prefix) else [f"{prefix}/" if prefix else ""]
        while pending:
            key = pending.pop()
            if key and not key.endswith("/"):
                yield key
                continue
            with self._ignoring_absent(), os.scandir(self._root / key) as entries:
                # sort a folder with its slash, as its keys sort: "a-b" comes before "a/b", although "a" precedes "a-b"
                below = [
                    f"{key}{entry.name}{'/' if entry.is_dir(follow_symlinks=False) else ''}"
                    for entry in entries
                    if _is_unicode(entry.name) and (key or entry.name != PRIVATE)
                ]
                pending += sorted(below, reverse=True)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _set_unique_time(file: BinaryIO, *, after: int) -> str:
    """Set a modification time later than ``after`` (nanoseconds). Return the etag, which the key never had before."""
    moment, step = max(time.time_ns(), after + 1), 1
    os.utime(file.fileno(), ns=(moment, moment))
    while os.fstat(file.fileno()).st_mtime_ns <= after:  # a file system with coarser times rounds down
        moment, step = moment + step, step * 10
        os.utime(file.fileno(), ns=(moment, moment))
    os.fsync(file.fileno())
    return _etag(os.fstat(file.fileno()))


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
