"""The operating system's errors as store errors, each with its remedy, for blobs that are files."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pixcore.errors import BlobRefused, StoreDenied, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_RIGHTS = "give this user the right to read and write there, or take another store"
_SPACE = "free some space there, or take another store"
_NAME = "its file system does not allow this name; take another key"
_SHAPE = "a file is where a folder is needed, or a folder where a file is; take another key or store"
_LOCKS = "its file system has no locks, so two writers could overwrite each other; take another store"
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
    errno.ELOOP: "its symlinks form a loop; remove the loop",
    errno.EXDEV: "a folder below it is on another disk, so no file can be moved there atomically; use one disk",
    errno.ENOLCK: _LOCKS,
    errno.ENOTSUP: _LOCKS,
    errno.ENOSYS: _LOCKS,
}


_KINDS = {
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EFBIG: StoreFull,
    errno.ENAMETOOLONG: BlobRefused,
    errno.EILSEQ: BlobRefused,
}


@contextmanager
def store_errors(failure: str) -> Iterator[None]:
    """Translate an OSError. The message begins with ``failure`` and names the file and the remedy.

    Raises:
        StoreFull: The disk, a quota or the largest file size is used up.
        BlobRefused: The file system allows no such name.
        StoreDenied: Trying again cannot help: rights, or the kind of file or file system.
        StoreUnavailable: Any other OSError.
    """
    try:
        yield
    except OSError as error:
        where = f" ({str(error.filename)!r})" if error.filename else ""
        if remedy := _REMEDIES.get(error.errno or 0):
            kind = _KINDS.get(error.errno or 0, StoreDenied)
            raise kind(f"{failure}: {error.strerror}{where}; {remedy}") from error
        raise StoreUnavailable(f"{failure}: {error.strerror}{where}; try again, or check its disk") from error


class BlobFile(io.FileIO):
    """A blob opened for reading. Translates errors during reads into store errors too."""

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """See ``io.FileIO``."""
        with store_errors(f"cannot read blob {str(self.name)!r}"):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """See ``io.FileIO``."""
        with store_errors(f"cannot read blob {str(self.name)!r}"):
            return super().readall()
