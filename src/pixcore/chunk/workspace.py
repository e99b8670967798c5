"""The work directory of one attempt: private, locked while in use, gone afterwards whatever happened.

Directories of a process that was killed stay behind unlocked; ``sweep`` removes them at a later start. POSIX only.
"""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from pixcore.errors import InvalidRequest, PixcoreError, TransientError, WorkspaceFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNUSABLE = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS})
_PREFIX = "chunk-"
_LOCK = ".lock"


@contextmanager
def local_disk(doing: str) -> Generator[None]:
    """Translate what the local disk raises while ``doing`` something, such as "writing the archive".

    Raises:
        WorkspaceFull: No space, quota or file size left.
        TransientError: Any other OSError.
    """
    try:
        yield
    except PixcoreError:
        raise
    except OSError as exc:
        where = f" {exc.filename}" if exc.filename else ""
        if exc.errno in _FULL:
            raise WorkspaceFull(
                f"{doing}{where}: {exc.strerror}; free some room or point `work` at a larger disk"
            ) from exc
        raise TransientError(f"{doing}{where}: {exc.strerror or exc}") from exc


@contextmanager
def workspace(root: Path, left_behind: Callable[[Path, OSError], None]) -> Generator[Path]:
    """Make a directory of mode 0700 below ``root``, locked for as long as the block lasts, then removed.

    What cannot be removed is handed to ``left_behind`` and raises nothing.

    Raises:
        InvalidRequest: ``root`` cannot be used.
        WorkspaceFull, TransientError: As ``local_disk`` says.
    """
    folder: Path | None = None
    lock = -1
    try:
        with _root_locked(root):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        try:
            if folder is not None:
                _remove(folder, left_behind)
        finally:
            if lock >= 0:
                os.close(lock)


def sweep(root: Path) -> list[Path]:
    """Remove the directories below ``root`` whose process is gone; give their paths. Live ones are left alone.

    Raises:
        InvalidRequest, WorkspaceFull, TransientError: As for ``workspace``.
    """
    swept: list[Path] = []
    with _root_locked(root):
        for folder in sorted(root.glob(f"{_PREFIX}*")):
            if folder.is_dir() and not folder.is_symlink() and not _in_use(folder):
                _remove(folder, lambda _path, _error: None)
                swept.append(folder)
    return swept


@contextmanager
def _root_locked(root: Path) -> Generator[None]:
    # without this lock a sweep could meet a directory between its making and its locking
    with local_disk("preparing the work directory"):
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                about = os.fstat(handle)
                if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o022:
                    raise InvalidRequest(
                        f"the work directory {root} belongs to somebody else or is open to others for writing;"
                        " set `work` to a folder of your own"
                    )
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)
        except OSError as exc:
            if exc.errno not in _UNUSABLE:
                raise
            raise InvalidRequest(
                f"the work directory {root} cannot be used ({exc.strerror}); set `work` to a folder of your own"
            ) from exc


def _in_use(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _remove(folder: Path, left_behind: Callable[[Path, OSError], None]) -> None:
    def note(_: object, path: str, info: tuple[type[BaseException], BaseException, object]) -> None:
        error = info[1]
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            left_behind(Path(path), error)

    try:
        shutil.rmtree(folder, onerror=note)
    except BaseException:
        # interrupted half-way: the interrupt stands, but so does the promise
        shutil.rmtree(folder, ignore_errors=True)
        raise
