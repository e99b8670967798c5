"""A response's body: accepted content types, bounded decoding, and a file that is either complete or absent."""

import zlib
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from aiohttp import ClientResponse

from pixcore.chunk.workspace import local_disk
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed

_BLOCK = 1 << 18
_REFUSED_FAMILIES = frozenset({"text", "application", "audio", "video", "font", "multipart", "message"})
_UNENCODED = frozenset({"", "identity"})
_ZLIB = frozenset({"gzip", "x-gzip", "deflate"})
_ACTIVITY = "writing a download"


def check_content_type(response: ClientResponse) -> None:
    """Check that the content type may belong to an image: image types, octet-stream, unknown and missing types.

    The validator later decides by the bytes.

    Raises:
        FetchFailed: The type belongs to something else, such as text.
    """
    stated = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    family, _, kind = stated.partition("/")
    if family in _REFUSED_FAMILIES and kind != "octet-stream":
        raise FetchFailed(MissReason.CONTENT_TYPE, stated)


async def decoded(response: ClientResponse) -> AsyncGenerator[bytes]:
    """Yield the decoded body in blocks of bounded size. Close the generator with ``aclosing``.

    Raises:
        FetchFailed: The content encoding is unknown, the encoded data is invalid, or it ends early.
    """
    inflater = _inflater(response)
    async for block in response.content.iter_any():
        if inflater:
            for part in inflater.inflate(block):
                yield part
        else:
            yield block
    if inflater:
        inflater.finish()


async def receive(response: ClientResponse, write: Callable[[bytes], object], max_bytes: int) -> int:
    """Write the decoded body block by block, in bounded memory. Return its size in bytes.

    Raises:
        FetchFailed: The body is larger than ``max_bytes``; or as for ``decoded``.
    """
    length = response.content_length
    if (length or 0) > max_bytes:
        raise FetchFailed(MissReason.TOO_LARGE, f"Content-Length is {length} bytes")
    if length is not None and length <= _BLOCK and _inflater(response) is None:
        whole = await response.read()  # faster, for most pictures; aiohttp checks the length
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
    """Create a file and yield a function that writes to it. Remove the file if the block raises.

    Raises:
        WorkspaceFull, TransientError: The file cannot be written; see ``local_disk``.
    """
    with local_disk(_ACTIVITY):
        file = path.open("wb", buffering=0)  # unbuffered, so that closing has nothing to flush and cannot fail

    def write(block: bytes) -> None:
        rest = memoryview(block)
        with local_disk(_ACTIVITY):
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
