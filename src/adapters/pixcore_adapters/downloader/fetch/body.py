"""The body of an answer: what kinds are taken, decoding under the byte cap, and a file that is whole or not there."""

import zlib
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from aiohttp import ClientResponse

from pixcore.chunk.workspace import local_disk
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed

_PIECE = 1 << 18
_FOREIGN = frozenset({"text", "application", "audio", "video", "font", "multipart", "message"})
_PLAIN = frozenset({"", "identity"})
_ZLIB = frozenset({"gzip", "x-gzip", "deflate"})
_DOING = "writing a download"


def refuse_foreign_type(response: ClientResponse) -> None:
    """Accept image types, octet-stream and what is missing or unheard of: the bytes decide in the end.

    Raises:
        FetchFailed: The type belongs to something that is no image.
    """
    stated = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    family, _, kind = stated.partition("/")
    if family in _FOREIGN and kind != "octet-stream":
        raise FetchFailed(MissReason.CONTENT_TYPE, stated)


async def decoded(response: ClientResponse) -> AsyncGenerator[bytes]:
    """Yield the decoded body in parts of a bounded size; close it with ``aclosing``.

    Raises:
        FetchFailed: It is encoded in an unknown way, or wrongly, or ends early.
    """
    inflater = _inflater(response)
    async for piece in response.content.iter_any():
        if inflater:
            for part in inflater.parts(piece):
                yield part
        else:
            yield piece
    if inflater:
        inflater.finish()


async def receive(response: ClientResponse, write: Callable[[bytes], object], max_bytes: int) -> int:
    """Write the decoded body part by part and give its size in bytes; memory does not grow with it.

    Raises:
        FetchFailed: It is larger than ``max_bytes``, or as for ``decoded``.
    """
    length = response.content_length
    if (length or 0) > max_bytes:
        raise FetchFailed(MissReason.TOO_LARGE, f"{length} bytes announced")
    if length is not None and length <= _PIECE and _inflater(response) is None:
        whole = await response.read()  # of that length, as aiohttp sees to; most pictures are no larger
        write(whole)
        return len(whole)
    size = 0
    async with aclosing(decoded(response)) as parts:
        async for part in parts:
            size += len(part)
            if size > max_bytes:
                raise FetchFailed(MissReason.TOO_LARGE, f"more than {max_bytes} bytes")
            write(part)
    return size


@contextmanager
def new_file(path: Path) -> Generator[Callable[[bytes], None]]:
    """Give what writes to the file; when the block fails, the file is gone.

    Raises:
        WorkspaceFull, TransientError: As ``local_disk`` says.
    """
    with local_disk(_DOING):
        file = path.open("wb", buffering=0)  # nothing is left to flush when closing, so closing does not fail

    def write(piece: bytes) -> None:
        rest = memoryview(piece)
        with local_disk(_DOING):
            while rest:
                rest = rest[file.write(rest) :]

    try:
        with file:
            yield write
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _inflater(response: ClientResponse) -> "_Inflater | None":
    name = response.headers.get("Content-Encoding", "").strip().lower()
    if name in _PLAIN:
        return None
    if name in _ZLIB:
        return _Inflater()
    raise FetchFailed(MissReason.ENCODING, name)


class _Inflater:
    """Gives decoded parts of a bounded size, however much a piece inflates to."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, whichever it is

    def parts(self, piece: bytes) -> Iterator[bytes]:
        while True:
            try:
                part = self._zlib.decompress(piece, _PIECE)
            except zlib.error as exc:
                raise FetchFailed(MissReason.ENCODING, str(exc)) from exc
            if part:
                yield part
            piece = self._zlib.unconsumed_tail
            if not piece and len(part) < _PIECE:
                break
        if self._zlib.unused_data:
            raise FetchFailed(MissReason.ENCODING, "bytes after the end of the encoded body")

    def finish(self) -> None:
        if not self._zlib.eof:
            raise FetchFailed(MissReason.TRUNCATED, "the encoded body ends early", permanent=False)
