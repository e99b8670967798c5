"""One request by libcurl: what it asks for, and the callbacks that take its response."""

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import pycurl
from attrs import define, field, frozen

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.address import is_public
from pixcore_adapters.downloader.fetch.failures import FetchFailed, transfer_failed
from pixcore_adapters.downloader.fetch.response import Response

_MAX_HEAD = 128 * 1024  # bytes of all headers, also of provisional responses; libcurl itself stops at 300 kB
_DISCARDED = 16 * 1024  # bytes of an unwanted body, such as an error page, read so that the connection can be reused
_BLANK = frozenset({b"\r\n", b"\n"})  # ends the head of a response
_PROVISIONAL = re.compile(rb"\S+\s+1")
_CUT = "the connection was closed before the end of the headers"
_NO_SOCKET: int = pycurl.SOCKET_BAD
_ABORT = -1  # what a callback returns to end the transfer
_IP = frozenset({socket.AF_INET, socket.AF_INET6})

Options = tuple[tuple[int, object], ...]
"""Options of libcurl and their values, which can be hashed."""

Sink = Callable[[bytes], bool | None]
"""Takes the body block by block; returns True if it wants no more."""

Opened = Callable[[Response], Sink | None]
"""Called with the head of a response; returns what takes its body, None to discard it, or raises FetchFailed."""


@frozen
class Request:
    """One GET request.

    Attributes:
        url: The URL as it is sent.
        seconds: When it times out.
        pinned: ``HOST:PORT:ADDRESS,ADDRESS``: the addresses to connect to, for a host that is a name.
        guarded: Whether it may connect to public addresses only.
        cookies: The cookies that earlier responses of a chain of redirects set, as ``Transfers.get`` returns them.
        options: Further options of libcurl. Requests with equal options share handles.
    """

    url: str
    seconds: float
    pinned: str = ""
    guarded: bool = True
    cookies: Sequence[str] = ()
    options: Options = ()


class _Socket(socket.socket):
    """A socket that pycurl duplicates before it releases this one."""

    def __del__(self) -> None:
        self.close()


def open_socket(address: tuple[int, int, int, tuple[str, int]], *, guarded: bool) -> socket.socket:
    """Create the socket for a connection. This is the last check, after all caches and redirects.

    Raises:
        FetchFailed: The address is not public.
    """
    family, kind, protocol, place = address
    if guarded and (family not in _IP or not is_public(ip_address(place[0]))):
        raise FetchFailed(MissReason.ADDRESS, f"{place[0]} is not public")
    return _Socket(family, kind, protocol)


def _last_head(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Return the lines of the head that is not provisional, without trailers; none if it is incomplete.

    Raises:
        FetchFailed: The lines are more than ``_MAX_HEAD`` bytes.
    """
    if sum(map(len, lines)) > _MAX_HEAD:
        raise FetchFailed(MissReason.MALFORMED, f"its headers have more than {_MAX_HEAD // 1024} kB")
    start = 0
    for position, line in enumerate(lines):
        if line[:5] == b"HTTP/":
            start = position
        if line in _BLANK and not _PROVISIONAL.match(lines[start]):
            return lines[start : position + 1]
    return ()


@define(eq=False)
class Handle:
    """One handle of libcurl, which serves one request after another, and the state of the present request.

    libcurl appends the lines of the head to ``lines`` without running any Python code. They are parsed with the first
    block of the body, or at the end of a response without one.
    """

    options: Options
    curl: pycurl.Curl
    request: Request | None = None
    opened: Opened | None = None
    done: asyncio.Future[tuple[Response, Sequence[str]]] | None = None
    sink: Sink | None = None
    response: Response | None = None
    failure: BaseException | None = None
    enough: bool = False
    discarded: int = 0
    lines: list[bytes] = field(factory=list[bytes])
    refused: FetchFailed | None = None
    tried: bool = False
    pinned: str = ""

    def prepare(self, request: Request, opened: Opened, done: asyncio.Future[tuple[Response, Sequence[str]]]) -> None:
        """Set the handle up for a request."""
        curl = self.curl
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(1000 * request.seconds)))
        if request.pinned != self.pinned:
            curl.setopt(pycurl.RESOLVE, [request.pinned] if request.pinned else [])
            self.pinned = request.pinned
        curl.setopt(pycurl.COOKIELIST, "ALL")  # forgets those of the last request
        for cookie in request.cookies:
            curl.setopt(pycurl.COOKIELIST, cookie)
        self.request, self.opened, self.done = request, opened, done
        self.sink = self.response = self.failure = self.refused = None
        self.enough = self.tried = False
        self.discarded = 0

    def release(self) -> None:
        """Forget the request that has ended, with what its caller gave."""
        self.request = self.opened = self.done = self.sink = self.response = self.failure = None
        self.lines.clear()

    def on_block(self, block: bytes) -> int | None:
        """Pass a block of the body on."""
        sink = self.sink
        if sink is None:
            if self.response is None:
                self.begin()
                sink = self.sink
            if sink is None:
                return self._discard(len(block))
        try:
            self.enough = bool(sink(block))
        except BaseException as error:  # noqa: BLE001 - raised by `result`; libcurl could only print it
            self.failure = error
            return _ABORT
        return _ABORT if self.enough else None

    def begin(self) -> None:
        """Parse the head, and let the caller decide about the body."""
        try:
            head = _last_head(self.lines)
            if head:
                self.response = Response(head)
                self.sink = self.opened(self.response) if self.opened else None
        except BaseException as error:  # noqa: BLE001 - as in `on_block`
            self.failure = error

    def _discard(self, size: int) -> int | None:
        self.discarded += size
        length = self.response and self.response.length
        return _ABORT if self.discarded > _DISCARDED or (length or 0) > _DISCARDED else None

    def on_socket(self, _purpose: int, address: tuple[int, int, int, tuple[str, int]]) -> socket.socket | int:
        """Create the socket for a connection, or refuse its address."""
        try:
            created = open_socket(address, guarded=self.request is None or self.request.guarded)
        except FetchFailed as refused:
            self.refused = refused
            return _NO_SOCKET
        except OSError as error:
            self.failure = FetchFailed(MissReason.UNREACHABLE, str(error), permanent=False)
            return _NO_SOCKET
        self.tried = True
        return created

    def result(self, code: int, message: str) -> tuple[Response, Sequence[str]]:
        """Return the response of the request that has ended, and the cookies that are set.

        Raises:
            FetchFailed, TimeoutError: It failed; or any error of the caller's functions.
        """
        if self.response is None:
            self.begin()
        if self.failure:
            raise self.failure
        if self.refused and not self.tried:
            raise self.refused
        if self.response is None or (code and not self.enough and self.sink):
            raise transfer_failed(code, message or _CUT, answered=self.response is not None)
        kept = self.request is not None and self.request.cookies
        set_cookies = kept or self.response.get("set-cookie")
        return self.response, self.curl.getinfo(pycurl.INFO_COOKIELIST) if set_cookies else ()
