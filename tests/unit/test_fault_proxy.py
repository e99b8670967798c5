"""The fault proxy does what its script says, or the stores' tests would prove nothing."""

import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from time import monotonic

import pytest
from fault_proxy import Answer, Drop, Fault, FaultProxy, Pass, Reset, Stall, Truncate

BODY = bytes(range(256)) * 2_000


class Echo(BaseHTTPRequestHandler):
    """Answers with what it got, and keeps it."""

    protocol_version = "HTTP/1.1"
    got: list[bytes]

    def do_PUT(self) -> None:
        """Take a body, or what comes of it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(body)
        if len(body) == int(self.headers["Content-Length"]):
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer in chunks."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def got() -> list[bytes]:
    """What the server behind the proxy got."""
    return []


@pytest.fixture
def to(got: list[bytes]) -> Iterator[int]:
    """The port of a server that echoes."""
    handler = type("Handler", (Echo,), {"got": got})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def put(proxy: FaultProxy, *, timeout: float = 10) -> tuple[int, bytes]:
    """Send the body; the answer."""
    with closing(HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)) as client:
        client.request("PUT", "/a%20b?c=%2F", BODY)
        answer = client.getresponse()
        return answer.status, answer.read()


def test_what_is_in_no_script_passes(to: int, got: list[bytes]) -> None:
    """The bytes both ways and the line that a signature covers are not touched."""
    with FaultProxy(to, Pass()) as proxy:
        assert put(proxy) == put(proxy) == (201, BODY)
        assert proxy.requests == ["PUT /a%20b?c=%2F"] * 2
    assert got == [BODY] * 2


def test_an_answer_in_chunks_passes_on_a_kept_connection(to: int) -> None:
    """Its length is told, so that the client knows where the next answer begins."""
    with FaultProxy(to) as proxy, closing(HTTPConnection("127.0.0.1", proxy.port, timeout=10)) as client:
        for _ in range(2):
            client.request("GET", "/")
            assert client.getresponse().read() == b"abcde"


def test_an_answer_of_its_own_hides_the_server(to: int, got: list[bytes]) -> None:
    """A server that is overloaded has done nothing."""
    with FaultProxy(to, Answer(503, (("Retry-After", "1"),), b"busy")) as proxy:
        assert put(proxy) == (503, b"busy")
    assert got == []


@pytest.mark.parametrize(
    ("fault", "reached"), [(Reset(1_000), [BODY[:1_000]]), (Drop(), [BODY])], ids=["reset", "drop"]
)
def test_a_reset_is_one(to: int, got: list[bytes], fault: Fault, reached: list[bytes]) -> None:
    """The client hears of no end; what the server got is exactly what the fault says."""
    with FaultProxy(to, fault) as proxy:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            put(proxy)
        assert put(proxy) == (201, BODY)  # this server takes one request after the other
    assert got == [*reached, BODY]


def test_a_stalled_request_ends_with_its_client(to: int, got: list[bytes]) -> None:
    """Closing waits for nobody who has gone."""
    with FaultProxy(to, Stall(1_000)) as proxy:
        with pytest.raises(TimeoutError):
            put(proxy, timeout=0.1)
        assert put(proxy) == (201, BODY)
    assert got == [BODY[:1_000], BODY]


def test_a_truncated_answer_is_short(to: int) -> None:
    """The length that was told is not reached."""
    with FaultProxy(to, Truncate(1_000)) as proxy:
        with pytest.raises(IncompleteRead) as caught:
            put(proxy)
        assert caught.value.partial == BODY[:1_000]


def test_a_server_that_is_not_there_is_a_reset(to: int) -> None:
    """A proxy that answered something else would hide that the server is gone."""
    with FaultProxy(to) as proxy:
        proxy._server.to = 1
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            put(proxy)


def test_a_rate_holds_for_each_way(to: int) -> None:
    """At least as long as the bytes take; how much longer is the machine's affair."""
    with FaultProxy(to, rate=len(BODY) / 0.1) as proxy:
        start = monotonic()
        put(proxy)
        assert monotonic() - start >= 0.2


def test_closing_ends_open_connections(to: int) -> None:
    """A client that keeps its connection for later would otherwise keep the test run, too."""
    with FaultProxy(to) as proxy, closing(socket.create_connection(("127.0.0.1", proxy.port))) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(1)
        proxy.close()
        while client.recv(1_000):  # to the end, where it would wait for more
            pass
