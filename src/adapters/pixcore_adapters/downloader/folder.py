"""Pictures from a folder. Planning fixes the folder's contents in a listing of its files' paths.

A later listing appends files that were added since, so no slice shifts. Hidden files and folders (with a leading dot)
are ignored.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest, SourceUnavailable, one_line
from pixcore.model.images import Candidate, CandidateKey, Download, Miss, MissReason
from pixcore.model.requests import Slice
from pixcore.ports import BlobStore
from pixcore.ports.downloader import do_nothing, held_nowhere
from pixcore_adapters.downloader.listing import Listing, new_listing, path_below, read

SOURCE = "folder"
_BLOCK = 1 << 20  # bytes

_Labelled = dict[str, str]  # {"file": path, "label": …}; an entry without a label is the path alone


@frozen
class FolderDownloader:
    """Copy files of a folder into the work directory. A file larger than ``max_bytes`` is a miss.

    A slice's query is the folder's absolute path; its snapshot is the listing's key. If the folder is below the
    current one when it is listed, the listing has its path below that. Once the absolute path does not exist any
    more, the folder is looked for below the folder that is the current one then, so a dataset goes on when its whole
    project was moved. Symlinks that lead out of the folder are not followed. ``fetched_at`` is the file's
    modification time, so the same folder gives the same rows.

    Attributes:
        store: Where listings are kept.
        max_bytes: The largest file to copy.
    """

    store: BlobStore
    max_bytes: int = 50 * 2**20

    def listing(
        self, folder: Path, dataset: str, planned: Iterable[Slice] = (), *, labels: bool = False
    ) -> AbstractContextManager[Listing]:
        """List the folder's present files. The listing's lane begins after the slices that are already ``planned``.

        With ``labels``, the name of a file's folder is its label if all files are in sub-folders of one level. An
        extended listing has labels if the earlier one has.

        Raises:
            InvalidRequest: The folder does not exist or cannot be listed.
            StoreDenied, StoreNotFound, StoreUnavailable: The earlier listing cannot be read.
        """
        root = Path(os.path.realpath(folder))  # not Path.resolve, which raises on a loop of symlinks
        planned = list(planned)

        def grow(known: Iterator[str | _Labelled]) -> Iterator[str | _Labelled]:
            listed: set[str] = set()
            labelled: bool | None = None
            for entry in known:
                labelled = not isinstance(entry, str)
                listed.add(_name(entry))
                yield entry
            names = _files(root)
            if labelled is None:
                labelled = labels and all(name.count(os.sep) == 1 for name in names)
            for name in names:
                if name not in listed:
                    yield {"file": name, "label": Path(name).parts[0]} if labelled and os.sep in name else name

        same = (slice_.query for slice_ in planned if slice_.source == SOURCE and self._located(slice_) == root)
        here = Path(os.path.realpath("."))
        return new_listing(
            SOURCE,
            next(same, str(root)),
            grow,
            store=self.store,
            dataset=dataset,
            planned=planned,
            below=str(root.relative_to(here)) if root.is_relative_to(here) else "",
        )

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = do_nothing,  # noqa: ARG002 - a folder never waits
        held: Callable[[Candidate], str] = held_nowhere,  # noqa: ARG002 - copying costs nothing
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``. Copies one file at a time: on a local disk, concurrency gains nothing."""
        number = 0
        for slice_ in slices:
            if slice_.source != SOURCE:
                raise InvalidRequest(f"source {slice_.source!r} is not a folder; use the downloader of that source")
            root = self._root(slice_)
            folder = hashlib.sha256(os.fsencode(slice_.query)).hexdigest()[:16]
            for candidate in listed_files(self.store, slice_):
                if candidate.key not in skip:
                    yield self._copy(candidate, slice_, root, into / f"{number:06d}-{candidate.key.position}-{folder}")
                number += 1

    def _located(self, slice_: Slice) -> Path | None:
        """Return where the folder of a slice is now; None if it does not exist."""
        root = Path(os.path.realpath(slice_.query))  # after planning, it may have been replaced by a symlink to it
        if _is_folder(root):
            return root
        below = path_below(self.store, slice_)
        moved = Path(os.path.realpath(below))
        return moved if below and _is_folder(moved) else None

    def _root(self, slice_: Slice) -> Path:
        root = self._located(slice_)
        if root is None:
            raise SourceUnavailable(
                f"the folder {slice_.query} does not exist; mount it or restore it, or, if its project was moved, run"
                " pixcore there"
            )
        return root

    def _copy(self, candidate: Candidate, slice_: Slice, root: Path, target: Path) -> Download | Miss:
        try:
            with _open(root, candidate.address, self.max_bytes) as source:
                modified = os.fstat(source.fileno()).st_mtime
                size = _copy_bytes(source, target, self.max_bytes)
        except _Missed as missed:
            target.unlink(missing_ok=True)
            if missed.reason is MissReason.GONE:
                self._root(slice_)  # raises if the whole folder is gone, as after unmounting a disk
            return Miss(candidate, missed.reason, missed.permanent, missed.detail)
        return Download(candidate, target, size, _utc(modified))


def listed_files(store: BlobStore, slice_: Slice) -> Iterator[Candidate]:
    """Yield the candidates of a folder's slice as they were listed, in order.

    Raises:
        StoreDenied, StoreNotFound, StoreUnavailable: The listing cannot be read.
    """
    entries = read(store, slice_.snapshot, slice_.start, slice_.stop)
    for position, entry in enumerate(entries, slice_.start):
        label = "" if isinstance(entry, str) else entry["label"]
        yield Candidate(CandidateKey(SOURCE, slice_.query, position), _name(entry), label=label)


def _name(entry: str | _Labelled) -> str:
    return entry if isinstance(entry, str) else entry["file"]


class _Missed(Exception):
    """A file cannot be copied. Never leaves this module: it becomes a Miss."""

    def __init__(self, reason: MissReason, detail: str = "", *, permanent: bool = True) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.permanent = reason, detail, permanent


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - unlike Path.is_dir, it never raises


def _open(root: Path, name: str, max_bytes: int) -> BinaryIO:
    try:
        # strings: the same with paths takes twice as long
        real = os.path.realpath(os.path.join(root, name), strict=True)  # noqa: PTH118
        if not real.startswith(os.path.join(root, "")):  # noqa: PTH118
            raise _Missed(MissReason.OUTSIDE, "a symlink leads out of the folder")
        # do not follow a symlink created since the check, and do not block on a named pipe
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise _Missed(MissReason.GONE) from exc
    except (OSError, RuntimeError) as exc:  # RuntimeError: a loop of symlinks
        raise _Missed(MissReason.UNREADABLE, one_line(exc)) from exc
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes:
        return os.fdopen(handle, "rb", buffering=0)
    os.close(handle)
    if stat.S_ISREG(status.st_mode):
        raise _Missed(MissReason.TOO_LARGE, f"{status.st_size} bytes")
    raise _Missed(MissReason.NOT_A_FILE)


def _copy_bytes(source: BinaryIO, target: Path, max_bytes: int) -> int:
    size = 0
    with local_disk("writing a download"), target.open("wb") as copy:
        while True:
            try:
                block = source.read(_BLOCK)
            except OSError as exc:
                raise _Missed(MissReason.UNREADABLE, one_line(exc), permanent=False) from exc
            if not block:
                return size
            size += copy.write(block)
            if size > max_bytes:  # the file grows while it is read
                raise _Missed(MissReason.TOO_LARGE, f"more than {max_bytes} bytes")


def _files(root: Path) -> list[str]:
    def refuse(exc: OSError) -> None:
        raise InvalidRequest(
            f"the folder {exc.filename} cannot be listed: {exc.strerror}; check its path and its rights"
        ) from exc

    found: list[str] = []
    for folder, below, files in os.walk(root, onerror=refuse):
        below[:] = [name for name in below if not name.startswith(".")]
        found += (os.path.relpath(Path(folder, name), root) for name in files if not name.startswith("."))
    # sorted by bytes: the order does not depend on the locale, and file names need not be UTF-8
    return sorted(found, key=os.fsencode)


def _utc(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
