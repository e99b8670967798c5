"""Keep many small blobs in one file without a name, so that they take disk space instead of memory."""

import tempfile
import threading
from collections.abc import Hashable
from pathlib import Path
from typing import IO, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Spool(Generic[K]):
    """A cache of bytes by key, in a temporary file of at most about ``most`` bytes. Threads may share it.

    A full spool is emptied, because what it holds can be made again. About 200 bytes of memory a blob.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.most = most
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`
        self._places: dict[K, tuple[int, int]] = {}
        self._end = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return self._end

    def get(self, key: K) -> bytes | None:
        """Return the blob of a key; None if there is none."""
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            self._file.seek(place[0])
            return self._file.read(place[1])

    def put(self, key: K, blob: bytes) -> None:
        """Keep a blob.

        Raises:
            OSError: The disk is full, for example.
        """
        with self._lock:
            if self._end + len(blob) > self.most:
                self._places.clear()
                self._file.truncate(0)
                self._end = 0
            self._file.seek(self._end)
            self._file.write(blob)
            self._places[key] = self._end, len(blob)
            self._end += len(blob)

    def close(self) -> None:
        """Remove the file. Only ``close`` may be called after that."""
        self._file.close()
