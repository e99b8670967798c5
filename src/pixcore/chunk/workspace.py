"""The work directory of one attempt: private, locked while it is in use, and removed however the attempt ends.

The directories of a killed process remain, without their locks. ``sweep`` removes them at a later start. POSIX only.
"""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pixcore.errors import MachineUnfit, PixcoreError, WorkspaceFull, WorkspaceUnusable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNUSABLE = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS})
_PREFIX = "chunk-"
_LOCK = ".lock"
_STEP = 1 << 14  # bytes
_BLOCK = 512  # bytes, of `st_blocks`


@contextmanager
def local_disk(doing: str, *, temporary: bool = False) -> Generator[None]:
    """Translate the OSErrors of the block. ``doing`` says in the message what it does, such as "writing the archive".

    ``temporary`` says that the block writes to the system's folder for temporary files, and not to the work directory.

    Raises:
        WorkspaceFull: The disk, a quota or the largest file size is used up.
        MachineUnfit: Any other OSError.
    """
    try:
        yield
    except PixcoreError:
        raise
    except OSError as exc:
        where = f" {exc.filename}" if exc.filename else ""
        if exc.errno in _FULL:
            remedy = "free some room or point `work` at a larger disk"
            if temporary:
                remedy = f"free some room in {tempfile.gettempdir()}, or set TMPDIR to a folder on a larger disk"
            raise WorkspaceFull(f"{doing}{where}: {exc.strerror}; {remedy}") from exc
        raise MachineUnfit(f"{doing}{where}: {exc.strerror or exc}") from exc


@contextmanager
def temporary_file() -> Generator[IO[bytes]]:
    """Open a temporary file for the block, outside of the work directory.

    Call ``flush`` inside ``local_disk``: bytes that cannot be written when the block ends are dropped.

    Raises:
        WorkspaceFull, MachineUnfit: As ``local_disk`` raises them.
    """
    with local_disk("creating a temporary file", temporary=True):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    try:
        yield file
    finally:
        with suppress(OSError):  # of a full disk, which would replace the error of the block
            file.close()


@contextmanager
def workspace(root: Path, left_behind: Callable[[Path, OSError], None]) -> Generator[Path]:
    """Create a directory of mode 0700 below ``root``. It is locked until the end of the block, and then removed.

    ``left_behind`` is called with each path that cannot be removed and its error; that raises nothing.

    Raises:
        WorkspaceUnusable: ``root`` cannot be used.
        WorkspaceFull, MachineUnfit: As ``local_disk`` raises them.
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
    """Remove the directories below ``root`` whose process has ended; return their paths. Keep those in use.

    Raises:
        WorkspaceUnusable, WorkspaceFull, MachineUnfit: As for ``workspace``.
    """
    swept: list[Path] = []
    with _root_locked(root):
        for folder in sorted(root.glob(f"{_PREFIX}*")):
            if folder.is_dir() and not folder.is_symlink() and not _in_use(folder):
                _remove(folder, lambda _path, _error: None)
                swept.append(folder)
    return swept


def room_wanted(folder: Path, error: BaseException) -> int:
    """Return how many bytes a work directory needs, at least, to get beyond the point at which it was full.

    More than it holds now, and more than its disk had left: an attempt that begins with less fails again.
    """
    held = sum(path.stat().st_blocks * _BLOCK for path in folder.rglob("*") if path.is_file())
    cause = error.__cause__ or error
    free = 0
    if (
        isinstance(cause, OSError) and cause.errno == errno.ENOSPC
    ):  # else a quota or a limit is used up, and not the disk
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
    return held + free + max(_STEP, held // 16)


@contextmanager
def _root_locked(root: Path) -> Generator[None]:
    # Without this lock, a sweep could remove a directory between its creation and its locking.
    with local_disk("preparing the work directory"):
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(handle)
                if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
                    raise WorkspaceUnusable(
                        f"the work directory {root} belongs to another user or is writable by others;"
                        " set `work` to a folder of your own"
                    )
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)
        except OSError as exc:
            if exc.errno not in _UNUSABLE:
                raise
            raise WorkspaceUnusable(
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
    def report(_: object, path: str, info: tuple[type[BaseException], BaseException, object]) -> None:
        error = info[1]
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            left_behind(Path(path), error)

    try:
        shutil.rmtree(folder, onerror=report)
    except BaseException:
        # Interrupted: finish the removal, then let the interrupt go on.
        shutil.rmtree(folder, ignore_errors=True)
        raise
