"""Pictures out of a folder. What the folder held when the plan was made is fixed in a listing of its files' paths.

Files that are added later come at the end of a later listing and shift no slice. Hidden files and folders (a leading
dot) are left out.
"""

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
from pixcore.ports.downloader import at_leisure
from pixcore_adapters.downloader.listing import Listing, listed, read

SOURCE = "folder"
_PIECE = 1 << 20


@frozen
class FolderDownloader:
    """Copies files of a folder into the work directory; a file above ``max_bytes`` is a miss.

    A slice's query is the folder's absolute path, its snapshot the listing's key. Symlinks that lead out of the folder
    are not followed. ``fetched_at`` is the file's modification time, so that the same folder gives the same rows.
    """

    store: BlobStore
    max_bytes: int = 50 * 2**20

    def listing(self, folder: Path, dataset: str, planned: Iterable[Slice] = ()) -> AbstractContextManager[Listing]:
        """List what the folder holds now; the lane is what lies behind the slices ``planned`` already.

        Raises:
            InvalidRequest: The folder is not there or cannot be listed.
            StoreDenied, StoreNotFound, StoreUnavailable: The earlier listing cannot be read.
        """
        root = Path(os.path.realpath(folder))  # not Path.resolve, which raises over a loop of symlinks

        def grow(known: Iterator[str]) -> Iterator[str]:
            there = set()
            for name in known:
                there.add(name)
                yield name
            yield from (name for name in _files(root) if name not in there)

        return listed(SOURCE, str(root), grow, store=self.store, dataset=dataset, planned=planned)

    def download(
        self,
        slices: Sequence[Slice],
        into: Path,
        skip: frozenset[CandidateKey] = frozenset(),
        waiting: Callable[[], None] = at_leisure,  # noqa: ARG002 - nothing here is waited for
    ) -> Generator[Download | Miss]:
        """See ``pixcore.ports.Downloader``; copies one file at a time, for a local disk gains nothing from more."""
        number = 0
        for piece in slices:
            if piece.source != SOURCE:
                raise InvalidRequest(f"{piece.source!r} is no folder; its slices belong to another downloader")
            root = _root(piece.query)
            for position, name in enumerate(read(self.store, piece.snapshot, piece.start, piece.stop), piece.start):
                key = CandidateKey(SOURCE, piece.query, position)
                if key not in skip:
                    yield self._copy(Candidate(key, url=name), root, into / f"{number:06d}-{position}")
                number += 1

    def _copy(self, candidate: Candidate, root: Path, target: Path) -> Download | Miss:
        try:
            with _opened(root, candidate.url, self.max_bytes) as source:
                modified = os.fstat(source.fileno()).st_mtime
                size = _copy_bytes(source, target, self.max_bytes)
        except _Missed as missed:
            target.unlink(missing_ok=True)
            if missed.reason is MissReason.GONE:
                _root(candidate.key.query)  # or is it the folder that is gone, such as an unmounted disk?
            return Miss(candidate, missed.reason, missed.permanent, missed.detail)
        return Download(candidate, target, size, _moment(modified))


class _Missed(Exception):
    """Never leaves this module: it becomes a Miss."""

    def __init__(self, reason: MissReason, detail: str = "", *, permanent: bool = True) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.permanent = reason, detail, permanent


def _root(query: str) -> Path:
    root = Path(os.path.realpath(query))  # it may have been moved since the plan, and linked back
    if not os.path.isdir(root):  # noqa: PTH112 - unlike Path.is_dir, it never raises
        raise SourceUnavailable(f"the folder {query} is not there; mount it or put it back")
    return root


def _opened(root: Path, name: str, max_bytes: int) -> BinaryIO:
    try:
        real = (root / name).resolve(strict=True)
        if not real.is_relative_to(root):
            raise _Missed(MissReason.OUTSIDE, "a symlink leads out of the folder")
        # not to follow a link put there since, and not to hang on a pipe
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise _Missed(MissReason.GONE) from exc
    except (OSError, RuntimeError) as exc:  # RuntimeError: a loop of symlinks
        raise _Missed(MissReason.UNREADABLE, one_line(exc)) from exc
    about = os.fstat(handle)
    if stat.S_ISREG(about.st_mode) and about.st_size <= max_bytes:
        return os.fdopen(handle, "rb", buffering=0)
    os.close(handle)
    if stat.S_ISREG(about.st_mode):
        raise _Missed(MissReason.TOO_LARGE, f"{about.st_size} bytes")
    raise _Missed(MissReason.NOT_A_FILE)


def _copy_bytes(source: BinaryIO, target: Path, max_bytes: int) -> int:
    size = 0
    with local_disk("writing a download"), target.open("wb") as copy:
        while True:
            try:
                piece = source.read(_PIECE)
            except OSError as exc:
                raise _Missed(MissReason.UNREADABLE, one_line(exc), permanent=False) from exc
            if not piece:
                return size
            size += copy.write(piece)
            if size > max_bytes:  # it grows while it is read
                raise _Missed(MissReason.TOO_LARGE, f"more than {max_bytes} bytes")


def _files(root: Path) -> list[str]:
    def refuse(exc: OSError) -> None:
        raise InvalidRequest(f"the folder {exc.filename} cannot be listed: {exc.strerror}") from exc

    found: list[str] = []
    for folder, below, files in os.walk(root, onerror=refuse):
        below[:] = [name for name in below if not name.startswith(".")]
        found += (os.path.relpath(Path(folder, name), root) for name in files if not name.startswith("."))
    # by bytes: the same order in every locale, and file names need not be UTF-8
    return sorted(found, key=os.fsencode)


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
