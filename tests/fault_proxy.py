"""A proxy between an HTTP client and a server on loopback, which does to each request what a script says.

Connections to the client are kept alive; the server gets a new one for each request. It supports no TLS, and no request
bodies of unknown length.
"""

import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self, cast

from attrs import frozen

_BLOCK = 1 << 16
_NO_LINGER = struct.pack("ii", 1, 0)  # makes close send a reset


@frozen
class Pass:
    """Forward the request and the response unchanged."""


@frozen
class Reset:
    """Forward ``after`` bytes of the request's body, then reset both connections."""

    after: int = 0


@frozen
class Stall:
    """Forward ``after`` bytes of the request's body, then nothing more until the client gives up."""

    after: int = 0


@frozen
class Answer:
    """Read the request and respond in place of the server, which does not receive it."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@frozen
class Drop:
    """Let the server handle the whole request, then reset the client's connection instead of responding."""


@frozen
class Truncate:
    """Forward ``after`` bytes of the response's body, then close the connection."""

    after: int = 0


@frozen
class Without:
    """Forward without the headers whose names begin like that, in any case: of the request, and of the response."""

    request: tuple[str, ...] = ()
    response: tuple[str, ...] = ()


Fault = Pass | Reset | Stall | Answer | Drop | Truncate | Without
Rule = Callable[[str, Mapping[str, str]], Fault | None]


class FaultProxy:
    """A proxy in front of ``127.0.0.1:to``, at ``port``, until ``close``. Requests beyond the script are forwarded.

    ``rule`` decides about requests beyond the script, by the request and its headers; None forwards the request.
    ``requests`` lists the requests as ``METHOD /path?query``, in order of arrival. ``rate`` limits each connection, in
    each direction, to that many bytes a second.
    """

    def __init__(self, to: int, *script: Fault, rate: float | None = None, rule: Rule | None = None) -> None:
        self.requests: list[str] = []
        self._rule = rule
        self._server = _Server(to, self._next, rate)
        self._script = deque(script)
        self._lock = Lock()
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def port(self) -> int:
        """The port for clients."""
        return self._server.server_port

    def play(self, *script: Fault) -> None:
        """Start a new script, and clear the list of requests."""
        with self._lock:
            self._script = deque(script)
            self.requests.clear()

    def close(self) -> None:
        """Close all connections and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _next(self, request: str, headers: Mapping[str, str]) -> Fault:
        with self._lock:
            self.requests.append(request)
            if self._script:
                return self._script.popleft()
        return (self._rule and self._rule(request, headers)) or Pass()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 128

    def __init__(self, to: int, next_fault: Callable[[str, Mapping[str, str]], Fault], rate: float | None) -> None:
        self.to, self.next_fault, self.rate = to, next_fault, rate
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as its base declares it
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as its base declares it
        self._open.discard(request)
        self.close_request(request)  # the base class's orderly close would come before the reset

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as its base declares it
        if not isinstance(sys.exception(), OSError):  # a client may disconnect at any time
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Unblock what waits for a client."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def serve(self) -> None:
        server = cast("_Server", self.server)
        fault = server.next_fault(f"{self.command} {self.path}", self.headers)
        try:
            if isinstance(fault, Answer):
                self._answer(fault)
            else:
                with closing(HTTPConnection("127.0.0.1", server.to)) as upstream:
                    self._hand_over(upstream, fault)
        except (OSError, HTTPException):  # one side has closed its connection; close the other one too
            self._reset()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve  # noqa: N815 - names that the base looks for

    def _answer(self, answer: Answer) -> None:
        for _ in self._body():
            pass
        self.send_response(answer.status)
        for name, value in (*answer.headers, ("Content-Length", str(len(answer.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else answer.body)

    def _hand_over(self, upstream: HTTPConnection, fault: Fault) -> None:
        self._send_head(upstream, fault.request if isinstance(fault, Without) else ())
        limit = fault.after if isinstance(fault, Reset | Stall) else None
        missing = int(self.headers.get("Content-Length", "0")) if limit is None else 0
        for block in self._body(limit):
            upstream.send(block)
            missing -= len(block)
        if missing > 0:
            raise ConnectionAbortedError  # the client has gone, and the server would wait for the rest
        match fault:
            case Reset():
                self._reset()
            case Stall():
                while self.connection.recv(_BLOCK):
                    pass
                self.close_connection = True
            case Drop():
                upstream.getresponse().read()
                self._reset()
            case Truncate(after):
                self._relay(upstream.getresponse(), after)
                self.close_connection = True
            case Without(response=hidden):
                self._relay(upstream.getresponse(), hidden=hidden)
            case _:
                self._relay(upstream.getresponse())

    def _send_head(self, upstream: HTTPConnection, hidden: tuple[str, ...]) -> None:
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if not name.lower().startswith(hidden):
                upstream.putheader(name, value)
        upstream.endheaders()

    def _body(self, limit: int | None = None) -> Iterator[bytes]:
        """Yield the request's body, or its beginning, in blocks."""
        length = int(self.headers.get("Content-Length", "0"))
        return self._paced(self.rfile.read1, length if limit is None else min(length, limit))

    def _relay(self, response: HTTPResponse, limit: int | None = None, hidden: tuple[str, ...] = ()) -> None:
        """Forward a response, or its beginning; set the length if it is unknown."""
        self.send_response_only(response.status, response.reason)
        chunks = [response.read()] if response.chunked else []
        for name, value in response.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "keep-alive"} and not (
                name.lower().startswith(hidden)
            ):
                self.send_header(name, value)
        if chunks:
            self.send_header("Content-Length", str(len(chunks[0])))
        self.end_headers()
        if chunks:
            self.wfile.write(chunks[0][:limit])
            return
        length = response.length or 0
        for block in self._paced(response.read1, length if limit is None else min(length, limit)):
            self.wfile.write(block)

    def _paced(self, read: Callable[[int], bytes], length: int) -> Iterator[bytes]:
        rate, start, done = cast("_Server", self.server).rate, time.monotonic(), 0
        while done < length and (block := read(min(_BLOCK, length - done))):
            done += len(block)
            if rate:
                time.sleep(max(0, start + done / rate - time.monotonic()))
            yield block

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.close_connection = True
