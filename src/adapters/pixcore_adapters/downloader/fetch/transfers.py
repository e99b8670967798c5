"""Requests by libcurl, driven by the event loop: no thread, no polling, connections kept alive.

libcurl's sockets are watched by one epoll object, and the loop watches that object. Registering each socket with the
loop, as ``pycurl.AsyncCurlMulti`` does, costs a fifth of a fetch.
"""

import asyncio
import select
from collections.abc import Sequence
from itertools import chain
from types import TracebackType
from typing import Self

import pycurl

from pixcore_adapters.downloader.fetch.handle import Handle, Opened, Options, Request
from pixcore_adapters.downloader.fetch.response import Response

_BLOCK = 512 * 1024
_IDLE_SECONDS = 2  # a list of many hosts would run out of file handles if this were much longer
_SUPPRESS_CONNECT_HEADERS = 265  # libcurl's option without a name in pycurl: leaves out the responses of proxies


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
            pycurl.COOKIEFILE: "",  # keeps cookies, and reads none from a file
            pycurl.PATH_AS_IS: 1,
            _SUPPRESS_CONNECT_HEADERS: 1,
            pycurl.BUFFERSIZE: _BLOCK,
            pycurl.DNS_CACHE_TIMEOUT: -1,  # the addresses are given with each request
            pycurl.MAXAGE_CONN: _IDLE_SECONDS,
            **dict(options),
        }
        self._idle: dict[Options, list[Handle]] = {}
        self._running: dict[pycurl.Curl, Handle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None  # when libcurl wants to be called

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
        for handle in list(self._running.values()):
            self._end(handle)
        for handle in chain.from_iterable(self._idle.values()):
            handle.curl.close()
        self._multi.close()
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    async def get(self, request: Request, opened: Opened) -> tuple[Response, Sequence[str]]:
        """Send a request; return its response once ``opened`` and the sink that it returned have taken the body.

        The second value are the cookies that are now set, each for the hosts and paths that may get it.

        A small body that is not wanted is read and dropped; else the connection is closed.

        Raises:
            TimeoutError: It took longer than ``request.seconds``.
            FetchFailed: It failed; or any error of ``opened`` or the sink.
        """
        idle = self._idle.setdefault(request.options, [])
        handle = idle.pop() if idle else self._new(request.options)
        done = self._loop.create_future()
        handle.prepare(request, opened, done)
        self._running[handle.curl] = handle
        self._multi.add_handle(handle.curl)
        try:
            result: tuple[Response, Sequence[str]] = await done
            return result
        finally:
            if handle.done is done and handle.curl in self._running:  # cancelled
                self._end(handle)

    def _new(self, options: Options) -> Handle:
        handle = Handle(options, pycurl.Curl())
        for option, value in (self._options | dict(options)).items():
            handle.curl.setopt(option, value)
        handle.curl.setopt(pycurl.HEADERFUNCTION, handle.lines.append)
        handle.curl.setopt(pycurl.WRITEFUNCTION, handle.on_block)
        handle.curl.setopt(pycurl.OPENSOCKETFUNCTION, handle.on_socket)
        return handle

    def _end(self, handle: Handle) -> None:
        del self._running[handle.curl]
        self._multi.remove_handle(handle.curl)
        handle.release()
        self._idle[handle.options].append(handle)

    def _watch(self, what: int, descriptor: int, _multi: object, known: object) -> None:
        """Watch a socket, or stop watching it, as libcurl requests."""
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
        """Call libcurl after this time; -1 for never.

        libcurl moves its timer with every request. A timer of the loop that rings too early is set again then, which
        costs less than to cancel it each time.
        """
        if milliseconds < 0:
            self._due = None
            return
        due = self._due = self._loop.time() + milliseconds / 1000
        if self._timer is None or self._timer.when() > due:
            self._set_loop_timer(due)

    def _set_loop_timer(self, due: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._set_loop_timer(self._due)
            return
        self._due = None
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
        handle = self._running[curl]
        done = handle.done
        if done is not None and not done.done():
            try:
                done.set_result(handle.result(code, message))
            except BaseException as error:  # noqa: BLE001 - raised by `get`
                done.set_exception(error)
        self._end(handle)
