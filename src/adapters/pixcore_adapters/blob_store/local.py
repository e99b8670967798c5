"""Blobs as plain files below a folder: what is stored can be opened, copied and moved with any tool.

The blob ``a/b`` is the file ``a/b`` of the folder. The rename that puts it there is the one moment of truth: what a
file cannot hold (sha256, content type, metadata) lies beside it on a card, written before and found by the file's own
size and modification time. So whatever else a crash leaves behind describes no version, is never seen, and goes with
a later put.
"""

import errno
import fcntl
import hashlib
import io
import itertools
import os
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import cattrs
from attrs import field, frozen
from cattrs.preconf.json import make_converter

from pixcore.errors import StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import PRIVATE, check_key, check_version, described

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SWEPT_AT_ONCE = 100

_RIGHTS = "give this user the right to read and write there, or take another store"
_SPACE = "free some space there, or take another store"
_NAME = "its file system takes no such name; take another key"
_SHAPE = "a file stands where a folder is needed, or the other way round; take another key or store"
_LOCKS = "its file system has no locks, so two writers could not be told apart; take another store"
_REMEDIES = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "the file system, or a limit of this process, allows no file of this size; take another store",
    errno.ENAMETOOLONG: _NAME,
    errno.EILSEQ: _NAME,
    errno.ENOTDIR: _SHAPE,
    errno.EEXIST: _SHAPE,
    errno.EISDIR: _SHAPE,
    errno.ELOOP: "its links go in circles; mend them",
    errno.EXDEV: "a folder below it is on another disk, so nothing can be moved there at once; make a store of it",
    errno.ENOLCK: _LOCKS,
    errno.ENOTSUP: _LOCKS,
    errno.ENOSYS: _LOCKS,
}

_json = make_converter()


@frozen
class _Card:
    """What is known of one version of a blob beyond its file; a file that a user put there has an empty one."""

    sha256: str
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(factory=dict)


class LocalBlobStore:
    """A ``BlobStore`` in the folder ``root``, made on demand, shared by any number of processes. URLs are ``file://``.

    Being a folder, it cannot hold the blobs ``a`` and ``a/b`` at once: the second is refused with ``StoreDenied``.
    Files that users copy into it are blobs like any other; reading is needed to describe them. A whole store is copied
    with the files' times (``cp -a``): a blob with another time has lost its content type and metadata. Links to
    folders are not listed, nor names that are not Unicode. The folder ``.pixcore`` is private.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

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
        path = self._path(key)
        card = _Card(sha256, content_type, dict(metadata))
        with _store_errors(f"cannot store blob {key!r} in {self._root}"), self._temporary_file() as file:
            for block in described(source, sha256=sha256, size=size):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())  # now, so that the lock is not held while the bulk of it goes to the disk
            with self._locked():
                old = self._status(key)
                check_version(key, current=_etag(old) if old else None, replacing=replacing)
                etag = _stamp(file, after=old.st_mtime_ns if old else 0)
                try:
                    self._write_card(key, etag, card)
                    _make_folder(path.parent)
                    Path(file.name).rename(path)
                    _sync(path.parent)
                finally:
                    self._tidy(key)
        return self._blob(key, etag, size, card)

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``. A file that was not put there by a store is read whole."""
        path = self._path(key)
        with _store_errors(f"cannot describe blob {key!r} in {self._root}"):
            if blob := self._describe(key):
                return blob
        raise StoreNotFound(f"there is no blob {str(path)!r}")

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``."""
        path = self._path(key)
        with _store_errors(f"cannot read blob {key!r} in {self._root}"), self._passing_over_the_absent():
            if self._status(key):
                return io.BufferedReader(_BlobFile(path))
        raise StoreNotFound(f"there is no blob {str(path)!r}")

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``."""
        if prefix:
            check_key(prefix)
        with _store_errors(f"cannot list {prefix!r} in {self._root}"):
            for key in self._keys(prefix):
                if blob := self._describe(key):
                    yield blob

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``. Folders that it leaves empty go too."""
        path = self._path(key)
        with _store_errors(f"cannot delete blob {key!r} in {self._root}"):
            if self._status(key):
                with self._locked():
                    with self._passing_over_the_absent():  # another may have deleted it meanwhile, and its folder
                        path.unlink()
                        _sync(path.parent)
                    self._tidy(key)

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key

    def _cards(self, key: str) -> Path:
        # not under the key itself: its cards could then be taken for the folders of longer keys
        return self._root / PRIVATE / "meta" / hashlib.sha256(key.encode()).hexdigest()

    def _status(self, key: str) -> os.stat_result | None:
        with self._passing_over_the_absent():
            status = self._path(key).stat()
            if stat.S_ISREG(status.st_mode):
                return status
        return None

    @contextmanager
    def _passing_over_the_absent(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except NotADirectoryError:  # the key goes on below a blob; but a root that is a file is an error
            if not self._root.is_dir():
                raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        private = self._root / PRIVATE
        _make_folder(private)
        with (private / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)  # closing alone would leave it with a child forked meanwhile

    @contextmanager
    def _temporary_file(self) -> Iterator[BinaryIO]:
        """Make a file to write to, locked as long as its writer lives; remove it unless it was moved away."""
        folder = self._root / PRIVATE / "tmp"
        with self._locked():
            _make_folder(folder)
            _sweep(folder)
            path = folder / uuid.uuid4().hex
            file = path.open("xb")
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file
        finally:
            path.unlink(missing_ok=True)
            file.close()

    def _write_card(self, key: str, etag: str, card: _Card) -> None:
        folder = self._cards(key)
        _make_folder(folder)
        with (folder / f"{etag}.json").open("w", encoding="utf-8") as file:
            file.write(_json.dumps(card))
            file.flush()
            os.fsync(file.fileno())
        _sync(folder)

    def _read_card(self, key: str, etag: str) -> _Card | None:
        try:
            return _json.loads((self._cards(key) / f"{etag}.json").read_bytes(), _Card)
        except (FileNotFoundError, TypeError, ValueError, cattrs.BaseValidationError):  # none, or a damaged one
            return None

    def _tidy(self, key: str) -> None:
        """Remove, under the lock, the cards of versions that are gone and the folders left empty; as far as possible.

        Neither is ever seen, so failing at it fails nothing.
        """
        with suppress(OSError):
            status = self._status(key)
            live = f"{_etag(status)}.json" if status else None
            for card in self._cards(key).iterdir():
                if card.name != live:
                    card.unlink()
        for folder in (self._cards(key), *self._path(key).parents):
            if folder == self._root:
                break
            with suppress(OSError):  # not empty
                folder.rmdir()

    def _describe(self, key: str) -> Blob | None:
        """Describe one version, whatever writers do meanwhile; None when there is none."""
        while status := self._status(key):
            etag = _etag(status)
            if card := self._read_card(key, etag) or self._measure(key, etag):
                return self._blob(key, etag, status.st_size, card)
        return None

    def _measure(self, key: str, etag: str) -> _Card | None:
        """Read what has no card; None when it is at another version by now, or gone."""
        with self._passing_over_the_absent(), self._path(key).open("rb") as file:
            if _etag(os.fstat(file.fileno())) == etag:
                return _Card(hashlib.file_digest(file, "sha256").hexdigest())
        return None

    def _blob(self, key: str, etag: str, size: int, card: _Card) -> Blob:
        url = self._path(key).as_uri()
        return Blob(key, url, size, card.sha256, etag, card.content_type, card.metadata)

    def _keys(self, prefix: str) -> Iterator[str]:
        """Yield by rising order what may be a blob at or below the prefix, reading one folder at a time."""
        waiting = [prefix] if prefix and self._status(prefix) else [f"{prefix}/" if prefix else ""]
        while waiting:
            key = waiting.pop()
            if key and not key.endswith("/"):
                yield key
                continue
            with self._passing_over_the_absent(), os.scandir(self._root / key) as entries:
                # a folder sorts as the beginning of the keys in it: "a-b" comes before "a/b", though "a" before "a-b"
                below = [
                    f"{key}{entry.name}{'/' if entry.is_dir(follow_symlinks=False) else ''}"
                    for entry in entries
                    if _is_unicode(entry.name) and (key or entry.name != PRIVATE)
                ]
                waiting += sorted(below, reverse=True)


class _BlobFile(io.FileIO):
    """A blob being read: errors that come only then are a store's errors, too."""

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        with _store_errors(f"cannot read blob {str(self.name)!r}"):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with _store_errors(f"cannot read blob {str(self.name)!r}"):
            return super().readall()


@contextmanager
def _store_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" ({str(error.filename)!r})" if error.filename else ""
        if remedy := _REMEDIES.get(error.errno or 0):
            raise StoreDenied(f"{what}: {error.strerror}{where}; {remedy}") from error
        raise StoreUnavailable(f"{what}: {error.strerror}{where}; try again, or look after its disk") from error


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _stamp(file: BinaryIO, *, after: int) -> str:
    """Give a file a modification time after that one (nanoseconds), and so an etag that its key never had."""
    moment, step = max(time.time_ns(), after + 1), 1
    os.utime(file.fileno(), ns=(moment, moment))
    while os.fstat(file.fileno()).st_mtime_ns <= after:  # a file system with a coarser clock rounds it down
        moment, step = moment + step, step * 10
        os.utime(file.fileno(), ns=(moment, moment))
    os.fsync(file.fileno())
    return _etag(os.fstat(file.fileno()))


def _sweep(folder: Path) -> None:
    """Remove what dead writers left, some of it at a time; under the lock, because a new file is not locked at once."""
    with os.scandir(folder) as entries:
        for entry in itertools.islice(entries, _SWEPT_AT_ONCE):
            with suppress(OSError), Path(entry.path).open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the writer lives
                Path(entry.path).unlink()


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they outlive a power cut."""
    missing = list(itertools.takewhile(lambda each: not each.exists(), (folder, *folder.parents)))
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync(each.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
