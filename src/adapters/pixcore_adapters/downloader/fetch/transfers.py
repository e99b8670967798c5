"""Requests by libcurl, driven by the event loop: no thread, no polling, connections kept alive.

libcurl's sockets are watched by one epoll object, and the loop watches that object. Registering each socket with the
loop, as ``pycurl.AsyncCurlMulti`` does, costs a fifth of a fetch.
"""

import asyncio
import select
import socket
from collections.abc import Callable
from ipaddress import ip_address
from itertools import chain
from types import TracebackType
from typing import Self

import pycurl
from attrs import define, field, frozen

from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.address import is_public
from pixcore_adapters.downloader.fetch.failures import FetchFailed, transfer_failed
from pixcore_adapters.downloader.fetch.response import Response

_MAX_HEAD = 128 * 1024  # bytes of all headers, also of provisional responses
_DISCARDED = 16 * 1024  # bytes of an unwanted body, such as an error page, read so that the connection can be reused
_BLOCK = 128 * 1024
_IDLE_SECONDS = 2  # a list of many hosts would run out of file handles if this were much longer
_BLANK = frozenset({b"\r\n", b"\n"})  # ends the head of a response
_CUT = "the connection was closed before the end of the headers"
_SUPPRESS_CONNECT_HEADERS = 265  # libcurl's option without a name in pycurl: leaves out the responses of proxies
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
        options: Further options of libcurl. Requests with equal options share handles.
    """

    url: str
    seconds: float
    pinned: str = ""
    guarded: bool = True
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
        raise FetchFailed(MissReason.ADDRESS, str(place[0]))
    return _Socket(family, kind, protocol)


@define(eq=False)
class _Transfer:
    """One handle of libcurl, which serves one request after another, and the state of the present request."""

    options: Options
    curl: pycurl.Curl
    request: Request | None = None
    opened: Opened | None = None
    done: asyncio.Future[Response] | None = None
    sink: Sink | None = None
    response: Response | None = None
    failure: BaseException | None = None
    enough: bool = False
    discarded: int = 0
    head: list[bytes] = field(factory=list[bytes])
    head_bytes: int = 0
    refused: FetchFailed | None = None
    tried: bool = False

    def prepare(self, request: Request, opened: Opened, done: asyncio.Future[Response]) -> None:
        """Set the handle up for a request."""
        curl = self.curl
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(1000 * request.seconds)))
        curl.setopt(pycurl.RESOLVE, [request.pinned] if request.pinned else [])
        self.request, self.opened, self.done = request, opened, done
        self.sink = self.response = self.failure = self.refused = None
        self.enough = self.tried = False
        self.discarded = self.head_bytes = 0
        self.head = []

    def on_header(self, line: bytes) -> int | None:
        """Keep a line of the head."""
        self.head_bytes += len(line)
        if self.head_bytes > _MAX_HEAD:
            self.failure = FetchFailed(MissReason.MALFORMED, f"its headers have more than {_MAX_HEAD // 1024} kB")
            return _ABORT
        if line.startswith(b"HTTP/"):  # a provisional response came before
            self.head = []
        self.head.append(line)
        if line in _BLANK and not self.head[0].split(None, 1)[1].startswith(b"1"):
            self.begin()
            return self._discard(0) if self.sink is None else None
        return None

    def on_block(self, block: bytes) -> int | None:
        """Pass a block of the body on."""
        if self.sink is None:
            return self._discard(len(block))
        try:
            self.enough = bool(self.sink(block))
        except BaseException as error:  # noqa: BLE001 - raised by `result`; libcurl could only print it
            self.failure = error
            return _ABORT
        return _ABORT if self.enough else None

    def begin(self) -> None:
        """Parse the head, and let the caller decide about the body."""
        try:
            self.response = Response.parse(self.head)
            self.sink = self.opened(self.response) if self.opened else None
        except BaseException as error:  # noqa: BLE001 - as in `on_block`
            self.failure = error
            self.response = self.response or Response(0, {})

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

    def result(self, code: int, message: str) -> Response:
        """Return the response of the request that has ended.

        Raises:
            FetchFailed, TimeoutError: It failed; or any error of the caller's functions.
        """
        if self.failure:
            raise self.failure
        if self.refused and not self.tried:
            raise self.refused
        if self.response is None or (code and not self.enough and self.sink):
            raise transfer_failed(code, message or _CUT, answered=self.response is not None)
        return self.response


class Transfers:
    """Requests that share a pool of connections. An asynchronous context manager; closes what is open at its end."""

    def __init__(self, options: Options) -> None:
        """``options`` are those of libcurl for all requests."""
        self._options = {
            pycurl.NOSIGNAL: 1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.HTTP09_ALLOWED: 0,
            pycurl.FOLLOWLOCATION: 0,  # the caller checks and follows redirects
            pycurl.NETRC: pycurl.NETRC_IGNORED,
            pycurl.PROXY: "",  # ignores the environment
            pycurl.PATH_AS_IS: 1,
            _SUPPRESS_CONNECT_HEADERS: 1,
            pycurl.BUFFERSIZE: _BLOCK,
            pycurl.DNS_CACHE_TIMEOUT: -1,  # the addresses are given with each request
            pycurl.MAXAGE_CONN: _IDLE_SECONDS,
            **dict(options),
        }
        self._idle: dict[Options, list[_Transfer]] = {}
        self._running: dict[pycurl.Curl, _Transfer] = {}
        self._timer: asyncio.Handle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._on_ready)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transfer in list(self._running.values()):
            self._end(transfer)
        for transfer in chain.from_iterable(self._idle.values()):
            transfer.curl.close()
        self._multi.close()
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    async def get(self, request: Request, opened: Opened) -> Response:
        """Send a request; return its response once ``opened`` and the sink that it returned have taken the body.

        A small body that is not wanted is read and dropped; else the connection is closed.

        Raises:
            TimeoutError: It took longer than ``request.seconds``.
            FetchFailed: It failed; or any error of ``opened`` or the sink.
        """
        idle = self._idle.setdefault(request.options, [])
        transfer = idle.pop() if idle else self._new(request.options)
        done = self._loop.create_future()
        transfer.prepare(request, opened, done)
        self._running[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)
        try:
            response: Response = await done
            return response
        finally:
            if transfer.done is done and transfer.curl in self._running:  # cancelled
                self._end(transfer)

    def _new(self, options: Options) -> _Transfer:
        transfer = _Transfer(options, pycurl.Curl())
        for option, value in (self._options | dict(options)).items():
            transfer.curl.setopt(option, value)
        transfer.curl.setopt(pycurl.HEADERFUNCTION, transfer.on_header)
        transfer.curl.setopt(pycurl.WRITEFUNCTION, transfer.on_block)
        transfer.curl.setopt(pycurl.OPENSOCKETFUNCTION, transfer.on_socket)
        return transfer

    def _end(self, transfer: _Transfer) -> None:
        del self._running[transfer.curl]
        self._multi.remove_handle(transfer.curl)
        self._idle[transfer.options].append(transfer)

    def _watch(self, what: int, descriptor: int, _multi: object, known: object) -> None:
        """Watch a socket as libcurl wishes."""
        if what == pycurl.POLL_REMOVE:
            if known:
                self._epoll.unregister(descriptor)
            return
        events = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        if known:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
            self._multi.assign(descriptor, True)  # handed back as `known`

    def _set_timer(self, milliseconds: int) -> None:
        """Call libcurl after this time; -1 for never."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if milliseconds == 0:
            self._timer = self._loop.call_soon(self._on_timer)
        elif milliseconds > 0:
            self._timer = self._loop.call_later(milliseconds / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _on_ready(self) -> None:
        for descriptor, events in self._epoll.poll(0):
            readable = pycurl.CSELECT_IN if events & (select.EPOLLIN | select.EPOLLHUP) else 0
            writable = pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
            failed = pycurl.CSELECT_ERR if events & select.EPOLLERR else 0
            self._multi.socket_action(descriptor, readable | writable | failed)
        self._collect()

    def _collect(self) -> None:
        """Deliver the results of the requests that have ended."""
        left = 1
        while left:
            left, ended, failed = self._multi.info_read()
            for curl in ended:
                self._deliver(curl, 0, "")
            for curl, code, message in failed:
                self._deliver(curl, code, message)

    def _deliver(self, curl: pycurl.Curl, code: int, message: str) -> None:
        transfer = self._running[curl]
        self._end(transfer)
        done = transfer.done
        if done is None or done.done():
            return
        try:
            done.set_result(transfer.result(code, message))
        except BaseException as error:  # noqa: BLE001 - raised by `get`
            done.set_exception(error)
