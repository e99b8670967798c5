"""Send the files of an export while its layout writes further ones."""

import hashlib
import itertools
import shutil
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import BoundedSemaphore
from types import TracebackType
from typing import Self

from pixcore.chunk.workspace import local_disk
from pixcore_adapters.outputs.export.destinations import check_name
from pixcore_adapters.outputs.export.destinations.remote import Stored


class Sending:
    """The ``Files`` of an export that is sent elsewhere; a context manager.

    A file is written below ``spool`` and removed there once it is sent. At most twice as many finished files as threads
    wait there. The block ends when all files are sent, and raises the first error of ``send``.

    Attributes:
        files: The finished files by name, in the order in which they were finished.
    """

    def __init__(self, spool: Path, send: Callable[[Path, Stored], None], threads: int) -> None:
        self.files: dict[str, Stored] = {}
        self._spool, self._send = spool, send
        self._numbers = itertools.count()
        self._pool = ThreadPoolExecutor(threads)
        self._slots = BoundedSemaphore(2 * threads)
        self._errors: list[BaseException] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self._raise_error()

    @contextmanager
    def create(self, name: str) -> Generator[Path]:
        """See ``Files``."""
        check_name(name)
        self._raise_error()
        with local_disk("writing a file of the export"):
            folder = self._spool / str(next(self._numbers))
            folder.mkdir()
            path = folder / PurePosixPath(name).name
            yield path
            with path.open("rb") as written:
                file = Stored(name, path.stat().st_size, hashlib.file_digest(written, "sha256").hexdigest())
        self.files[name] = file
        self._slots.acquire()
        self._pool.submit(self._sent, path, file)

    def _sent(self, path: Path, file: Stored) -> None:
        try:
            if not self._errors:
                self._send(path, file)
        except BaseException as error:  # noqa: BLE001 - the thread of the layout raises it
            self._errors.append(error)
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)
            self._slots.release()

    def _raise_error(self) -> None:
        if self._errors:
            raise self._errors[0]
