"""A response's body: accepted content types, bounded decoding, and a file that is either complete or absent."""

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pixcore.chunk.workspace import local_disk
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.response import Response

_BLOCK = 1 << 18
_REFUSED_FAMILIES = frozenset({"text", "application", "audio", "video", "font", "multipart", "message"})
_UNENCODED = frozenset({"", "identity"})
_ZLIB = frozenset({"gzip", "x-gzip", "deflate"})
_ACTIVITY = "writing a download"


def check_content_type(response: Response) -> None:
    """Check that the content type may belong to an image: image types, octet-stream, unknown and missing types.

    The validator later decides by the bytes.

    Raises:
        FetchFailed: The type belongs to something else, such as text.
    """
    stated = (response.get("content-type") or "").partition(";")[0].strip().lower()
    family, _, kind = stated.partition("/")
    if family in _REFUSED_FAMILIES and kind != "octet-stream":
        raise FetchFailed(MissReason.CONTENT_TYPE, stated)


class Body:
    """Decodes a body block by block, in bounded memory, and passes it on.

    Attributes:
        size: The number of decoded bytes so far.
    """

    def __init__(
        self, response: Response, write: Callable[[bytes], object], max_bytes: int, *, only_start: bool = False
    ) -> None:
        """``write`` gets the decoded blocks. With ``only_start``, what follows ``max_bytes`` is not wanted.

        Raises:
            FetchFailed: The declared length is larger than ``max_bytes``, or the content encoding is unknown.
        """
        self.size = 0
        self._write, self._max_bytes, self._only_start = write, max_bytes, only_start
        self._inflater = _inflater(response)
        if (response.length or 0) > max_bytes and not only_start:
            raise FetchFailed(MissReason.TOO_LARGE, f"Content-Length is {response.length} bytes")

    def take(self, block: bytes) -> bool:
        """Take a block as the server sent it. Return True if no more is wanted.

        Raises:
            FetchFailed: The body is larger than ``max_bytes``, or it cannot be decoded.
        """
        for part in self._inflater.inflate(block) if self._inflater else (block,):
            left = self._max_bytes - self.size
            self.size += len(part)
            if left < len(part):
                if not self._only_start:
                    raise FetchFailed(MissReason.TOO_LARGE, f"more than {self._max_bytes} bytes")
                self._inflater = None
                self._write(part[:left])
                return True
            self._write(part)
        return False

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            FetchFailed: The encoded body ends early.
        """
        if self._inflater:
            self._inflater.finish()


class NewFile:
    """A file that is complete or absent. A context manager, which removes the file if the block raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def create(self) -> None:
        """Create the file.

        Raises:
            WorkspaceFull, TransientError: It cannot be created; see ``local_disk``.
        """
        with local_disk(_ACTIVITY):
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def write(self, block: bytes) -> None:
        """Append to the file.

        Raises:
            WorkspaceFull, TransientError: It cannot be written; see ``local_disk``.
        """
        with local_disk(_ACTIVITY):
            written = os.write(self._descriptor, block)
            while written < len(block):
                block = block[written:]
                written = os.write(self._descriptor, block)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        if error:
            self._path.unlink(missing_ok=True)


def _inflater(response: Response) -> "_Inflater | None":
    name = (response.get("content-encoding") or "").strip().lower()
    if name in _UNENCODED:
        return None
    if name in _ZLIB:
        return _Inflater()
    raise FetchFailed(MissReason.ENCODING, name)


class _Inflater:
    """Decode gzip or zlib data into parts of bounded size, however much a block inflates to."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: detect gzip or zlib by the header

    def inflate(self, block: bytes) -> Iterator[bytes]:
        while True:
            try:
                part = self._zlib.decompress(block, _BLOCK)
            except zlib.error as exc:
                raise FetchFailed(MissReason.ENCODING, str(exc)) from exc
            if part:
                yield part
            block = self._zlib.unconsumed_tail
            if not block and len(part) < _BLOCK:
                break
        if self._zlib.unused_data:
            raise FetchFailed(MissReason.ENCODING, "bytes follow the end of the encoded body")

    def finish(self) -> None:
        if not self._zlib.eof:
            raise FetchFailed(MissReason.TRUNCATED, "the encoded body ends early", permanent=False)
