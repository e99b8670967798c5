"""Content encodings: decode a body in parts of bounded size, however much a block inflates to."""

import zlib
from collections.abc import Iterator
from typing import Protocol

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import FetchFailed
from pixcore_adapters.downloader.fetch.response import Response

_PART = 1 << 18
_GZIP = frozenset({"gzip", "x-gzip"})
_KNOWN = _GZIP | {"deflate", "br", "zstd"}
_GZIP_MAGIC = b"\x1f\x8b"
_ZLIB_METHOD = 8  # deflate, in the lower half of the first byte
_BROTLI = "br"


class Decoder(Protocol):
    """Decodes a body block by block."""

    def decode(self, block: bytes) -> Iterator[bytes]:
        """Yield what a block decodes to, in parts of bounded size.

        Raises:
            FetchFailed: The data is invalid.
        """
        ...

    def finish(self) -> None:
        """Check that the data is complete.

        Raises:
            FetchFailed: It ends early.
        """
        ...


def encodings(response: Response) -> list[str]:
    """Return the content encodings of a body, in the order in which they were applied.

    Words that name no encoding, such as ``utf-8``, ``binary`` or ``aws-chunked``, are left out: servers that send them
    send the body as it is.
    """
    words = ",".join(response.all("content-encoding")).lower().split(",")
    return [word.strip() for word in words if word.strip() in _KNOWN]


def needs_brotli(response: Response) -> bool:
    """Return whether only libcurl can decode the body, which must know that before it sends the request."""
    return encodings(response) == [_BROTLI]


def decoder(response: Response) -> Decoder | None:
    """Return the decoder of a body; None if it is not encoded.

    Raises:
        FetchFailed: It cannot be decoded.
    """
    applied = encodings(response)
    if not applied:
        return None
    if len(applied) == 1 and applied[0] in _GZIP:
        return Gzip()
    if applied == ["deflate"]:
        return _Deflate()
    raise FetchFailed(MissReason.ENCODING, ", ".join(applied))


def is_gzip(start: bytes) -> bool:
    """Return whether data that begins like this is gzipped."""
    return start.startswith(_GZIP_MAGIC)


class Gzip:
    """Decodes gzip data of one or more members. Also zlib's format, which some servers call gzip."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: detect gzip or zlib by the header
        self._rest = b""  # the start of what may be another member

    def decode(self, block: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        block = self._rest + block
        while block:
            if self._zlib.eof:
                if len(block) < len(_GZIP_MAGIC) and _GZIP_MAGIC.startswith(block):
                    break
                if not is_gzip(block):
                    raise FetchFailed(MissReason.ENCODING, "bytes follow the end of the encoded body")
                self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield from _parts(self._zlib, block)
            block = self._zlib.unused_data
        self._rest = block

    def finish(self) -> None:
        """See ``Decoder``."""
        if self._rest:
            raise FetchFailed(MissReason.ENCODING, "bytes follow the end of the encoded body")
        _check_end(self._zlib)


class _Deflate:
    """Decodes what servers call deflate: zlib's format, as HTTP says, or bare deflate data."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj()
        self._start: bytes | None = b""

    def decode(self, block: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        if self._start is not None:
            block = self._start + block
            if len(block) < 2:  # noqa: PLR2004 - the size of zlib's header
                self._start = block
                return
            self._start = None
            if block[0] & 0xF != _ZLIB_METHOD or int.from_bytes(block[:2]) % 31:  # as RFC 1950 defines the header
                self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        yield from _parts(self._zlib, block)
        if self._zlib.unused_data:
            raise FetchFailed(MissReason.ENCODING, "bytes follow the end of the encoded body")

    def finish(self) -> None:
        """See ``Decoder``."""
        _check_end(self._zlib)


def _parts(inflater: "zlib._Decompress", block: bytes) -> Iterator[bytes]:
    while True:
        try:
            part = inflater.decompress(block, _PART)
        except zlib.error as exc:
            raise FetchFailed(MissReason.ENCODING, str(exc)) from exc
        if part:
            yield part
        block = inflater.unconsumed_tail
        if not block and len(part) < _PART:
            return


def _check_end(inflater: "zlib._Decompress") -> None:
    if not inflater.eof:
        raise FetchFailed(MissReason.TRUNCATED, "the encoded body ends early", permanent=False)
