"""A response's body: accepted content types, bounded decoding, and a file that is either complete or absent."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from pixcore.chunk.workspace import local_disk
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.encodings import Gzip, decoder, is_gzip
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.response import Response

_BUFFER = 1 << 18
_DOUBTFUL_FAMILIES = frozenset({"text", "application", "audio", "video", "font", "multipart", "message"})
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_BOXED = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"})  # brands of AVIF and HEIF
_DECISIVE = 12  # bytes that show whether a body is an image


def _looks_like_an_image(start: bytes) -> bool:
    riff = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    return riff or start.startswith(_SIGNATURES) or (start[4:8] == b"ftyp" and start[8:12] in _BOXED)


def doubtful_type(response: Response) -> str:
    """Return the stated content type if it belongs to something else than an image, such as text; else ``""``."""
    stated = (response.get("content-type") or "").partition(";")[0].strip().lower()
    family, _, kind = stated.partition("/")
    return stated if family in _DOUBTFUL_FAMILIES and kind != "octet-stream" else ""


class Body:
    """Decodes a body block by block, in bounded memory, and passes it on.

    Attributes:
        size: The number of decoded bytes so far.
    """

    def __init__(
        self, response: Response, write: Callable[[bytes], object], max_bytes: int, *, decoded: bool = False
    ) -> None:
        """``write`` gets the decoded blocks. ``decoded``: libcurl decodes the body.

        Raises:
            FetchFailed: The declared length is larger than ``max_bytes``, or the body cannot be decoded.
        """
        self.size = self._received = 0
        self._write, self._max_bytes = write, max_bytes
        self._decoder = None if decoded else decoder(response)
        self._decoded = decoded
        if (response.length or 0) > max_bytes:
            raise FetchFailed(MissReason.TOO_LARGE, f"Content-Length is {response.length} bytes")

    def take(self, block: bytes) -> bool:
        """Take a block as the server sent it. Return True if no more is wanted.

        Raises:
            FetchFailed: The body is larger than ``max_bytes``, or it cannot be decoded, or it is not wanted.
        """
        if self._decoder is None:
            self.size += len(block)
            if self.size > self._max_bytes:
                raise FetchFailed(MissReason.TOO_LARGE, f"more than {self._max_bytes} bytes")
            self._write(block)
            return False
        self._received += len(block)
        for part in self._decoder.decode(block):
            self.size += len(part)
            if self.size > self._max_bytes:
                raise FetchFailed(MissReason.TOO_LARGE, f"more than {self._max_bytes} bytes")
            self._write(part)
        if self._received > self._max_bytes:
            raise FetchFailed(MissReason.TOO_LARGE, f"more than {self._max_bytes} bytes")
        return False

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            FetchFailed: The encoded body ends early, or nothing of it could be decoded.
        """
        if self._decoder:
            self._decoder.finish()
        if self._decoded and not self.size:  # libcurl does not tell that brotli data ends early
            raise FetchFailed(MissReason.ENCODING, "nothing can be decoded")


class ImageBody(Body):
    """The body of an image. Whatever its content type, its bytes decide: those of a web page never pass as an image."""

    def __init__(
        self, response: Response, write: Callable[[bytes], object], max_bytes: int, *, decoded: bool = False
    ) -> None:
        """See ``Body``."""
        super().__init__(response, self._checked if doubtful_type(response) else write, max_bytes, decoded=decoded)
        self._doubtful = doubtful_type(response)
        self._pass_on = write
        self._start = b""

    def _checked(self, part: bytes) -> None:
        self._start += part
        if len(self._start) >= _DECISIVE:
            self._check()
            self._pass_on(self._start)
            self._write, self._doubtful = self._pass_on, ""

    def _check(self) -> None:
        if not _looks_like_an_image(self._start):
            raise FetchFailed(MissReason.CONTENT_TYPE, self._doubtful)

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            FetchFailed: The encoded body ends early, or a short body of a doubtful type is no image.
        """
        super().finish()
        if self._doubtful:
            self._check()
            self._pass_on(self._start)


class RobotsBody(Body):
    """The first ``max_bytes`` of a robots.txt, gzipped or not, whatever the server says about that."""

    def __init__(
        self, response: Response, write: Callable[[bytes], object], max_bytes: int, *, decoded: bool = False
    ) -> None:
        """See ``Body``. The file may be larger than ``max_bytes``."""
        self.size = self._received = 0
        self._write, self._max_bytes = write, max_bytes
        self._decoder = None if decoded else decoder(response)
        self._begun = self._decoded = decoded

    def take(self, block: bytes) -> bool:
        """See ``Body``."""
        if not self._begun:
            self._begun = True
            if self._decoder is None and is_gzip(block):
                self._decoder = Gzip()
            elif isinstance(self._decoder, Gzip) and not is_gzip(block):
                self._decoder = None
        for part in self._decoder.decode(block) if self._decoder else (block,):
            self._write(part[: self._max_bytes - self.size])
            self.size = min(self.size + len(part), self._max_bytes)
        self._received += len(block)
        enough = max(self.size, self._received) >= self._max_bytes
        if enough:
            self._decoder = None
        return enough


class NewFile:
    """A file that is complete or absent. A context manager, which removes the file if the block raises.

    libcurl delivers blocks of 16 kB; they are collected, because a system call for each costs more than a copy.
    For ``temporary`` see ``local_disk``.
    """

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        self._path = path
        self._temporary = temporary
        self._descriptor = -1
        self._collected: list[bytes] = []
        self._size = 0

    def create(self) -> None:
        """Create the file.

        Raises:
            WorkspaceFull, MachineUnfit: It cannot be created; see ``local_disk``.
        """
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            self._fail(error)

    def write(self, block: bytes) -> None:
        """Append to the file.

        Raises:
            WorkspaceFull, MachineUnfit: It cannot be written; see ``local_disk``.
        """
        self._collected.append(block)
        self._size += len(block)
        if self._size >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what was collected.

        Raises:
            WorkspaceFull, MachineUnfit: It cannot be written; see ``local_disk``.
        """
        collected, size = self._collected, self._size
        self._collected, self._size = [], 0
        try:
            written = os.writev(self._descriptor, collected) if collected else 0
            while written < size:
                written += os.write(self._descriptor, b"".join(collected)[written:])
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        with local_disk("writing a download", temporary=self._temporary):
            raise error

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
