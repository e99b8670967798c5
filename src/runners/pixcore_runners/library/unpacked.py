"""Keep the unpacked archives that were read last on the local disk, for reading single images in any order."""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from attrs import define, field, frozen

from pixcore import ChunkKey, ChunkRecord, InvalidRequest
from pixcore.chunk.workspace import local_disk, sweep, workspace
from pixcore.stored.archives import StoredArchives

_MOST = 8  # archives, of about 500 images each


@frozen
class Unpacked:
    """An archive's rows, and the folder that holds each image in a file named by its place in the archive."""

    rows: tuple[Mapping[str, object], ...]
    folder: Path
    _removed: ExitStack

    def read(self, place: int) -> bytes:
        """Return the bytes of an image.

        Raises:
            MachineUnfit: The file cannot be read.
        """
        with local_disk("reading an image"):
            return (self.folder / str(place)).read_bytes()

    def remove(self) -> None:
        """Remove the folder."""
        self._removed.close()


@define(eq=False)
class UnpackedArchives:
    """Unpacks archives on first use, one image in memory at a time, and keeps the last eight.

    Threads may share it. A forked process unpacks its own. The folders are in the work directory. They are removed with
    this object, or at the end of the process.
    """

    archives: StoredArchives
    _kept: OrderedDict[ChunkKey, Unpacked] = field(init=False, factory=OrderedDict[ChunkKey, Unpacked])
    _lock: threading.Lock = field(init=False, factory=threading.Lock)
    _process: int = field(init=False, factory=os.getpid)

    def __attrs_post_init__(self) -> None:
        weakref.finalize(self, _remove, self._kept, os.getpid())

    def row(self, record: ChunkRecord, place: int) -> Mapping[str, object]:
        """Return the row of an image of a completed chunk.

        Raises:
            InvalidRequest: The stored archive is not the one that was recorded, or holds another number of images.
            StoreNotFound, StoreDenied, StoreUnavailable, WorkspaceFull, TransientError: As for
                ``StoredArchives.fetch``.
        """
        self._forget_if_forked()
        with self._lock:
            return self._unpacked(record).rows[place]

    def data(self, record: ChunkRecord, place: int) -> bytes:
        """Return the bytes of an image of a completed chunk.

        Raises:
            PixcoreError: As for ``row``.
        """
        self._forget_if_forked()
        with self._lock:
            return self._unpacked(record).read(place)

    def _unpacked(self, record: ChunkRecord) -> Unpacked:
        key = record.chunk.key
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if not self._kept:
            sweep(self.archives.work)  # what killed processes left, such as those that load data for training
        while len(self._kept) >= _MOST:
            self._kept.popitem(last=False)[1].remove()
        with ExitStack() as folders:
            folder = folders.enter_context(workspace(self.archives.work, lambda _path, _error: None))
            rows = self._write(record, folder)
            self._kept[key] = unpacked = Unpacked(rows, folder, folders.pop_all())
        return unpacked

    def _write(self, record: ChunkRecord, folder: Path) -> tuple[Mapping[str, object], ...]:
        rows = []
        with closing(self.archives.images(record)) as images:
            for place, (row, data) in enumerate(images):
                with local_disk("unpacking an image"):
                    (folder / str(place)).write_bytes(data)
                rows.append(row)
        if record.result is None or len(rows) != record.result.progress.accepted:
            raise InvalidRequest(
                f"{self.archives.key(record)} does not hold the images that were recorded; `pixcore verify"
                f" {record.chunk.key.dataset}` says what is wrong with it"
            )
        return tuple(rows)

    def _forget_if_forked(self) -> None:
        """Leave the folders to the parent process, which removes them."""
        if self._process != os.getpid():
            self._kept, self._lock, self._process = OrderedDict(), threading.Lock(), os.getpid()
            weakref.finalize(self, _remove, self._kept, self._process)


def _remove(kept: OrderedDict[ChunkKey, Unpacked], process: int) -> None:
    if process == os.getpid():
        while kept:
            kept.popitem()[1].remove()
