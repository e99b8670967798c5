"""The fault proxy must follow its script, or the tests of the stores would prove nothing."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from time import monotonic

import pytest
from fault_proxy import Answer, Drop, Fault, FaultProxy, Pass, Reset, Stall, Truncate, Without

BODY = bytes(range(256)) * 2_000


class Echo(BaseHTTPRequestHandler):
    """Answers with the received body, and records it."""

    protocol_version = "HTTP/1.1"
    got: list[bytes]

    def do_PUT(self) -> None:
        """Receive a body, or the part of it that arrives."""
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
        """Log nothing."""


@pytest.fixture
def got() -> list[bytes]:
    """Return the list to which the server behind the proxy adds the bodies that it receives."""
    return []


@pytest.fixture
def to(got: list[bytes]) -> Iterator[int]:
    """Return the port of a server that echoes."""
    handler = type("Handler", (Echo,), {"got": got})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def put(proxy: FaultProxy, *, timeout: float = 10) -> tuple[int, bytes]:
    """Send the body; return the answer."""
    with closing(HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)) as client:
        client.request("PUT", "/a%20b?c=%2F", BODY)
        answer = client.getresponse()
        return answer.status, answer.read()


def test_requests_without_a_fault_pass_unchanged(to: int, got: list[bytes]) -> None:
    """A signature covers the request line, so the proxy must not change it, nor any body."""
    with FaultProxy(to, Pass()) as proxy:
        assert put(proxy) == put(proxy) == (201, BODY)
        assert proxy.requests == ["PUT /a%20b?c=%2F"] * 2
    assert got == [BODY] * 2


def test_a_chunked_answer_passes_on_a_reused_connection(to: int) -> None:
    """The client must learn where the answer ends, to find the next one on the same connection."""
    with FaultProxy(to) as proxy, closing(HTTPConnection("127.0.0.1", proxy.port, timeout=10)) as client:
        for _ in range(2):
            client.request("GET", "/")
            assert client.getresponse().read() == b"abcde"


def test_an_answer_of_its_own_hides_the_server(to: int, got: list[bytes]) -> None:
    """The request must not reach the server, just as an overloaded server does no work."""
    with FaultProxy(to, Answer(503, (("Retry-After", "1"),), b"busy")) as proxy:
        assert put(proxy) == (503, b"busy")
    assert got == []


@pytest.mark.parametrize(
    ("fault", "reached"), [(Reset(1_000), [BODY[:1_000]]), (Drop(), [BODY])], ids=["reset", "drop"]
)
def test_a_reset_breaks_the_connection(to: int, got: list[bytes], fault: Fault, reached: list[bytes]) -> None:
    """The client must see a reset, and the server must receive exactly the bytes that the fault allows."""
    with FaultProxy(to, fault) as proxy:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            put(proxy)
        assert put(proxy) == (201, BODY)  # this server handles one request at a time
    assert got == [*reached, BODY]


def test_a_stalled_request_ends_with_its_client(to: int, got: list[bytes]) -> None:
    """Closing the proxy must not wait for a client that has left."""
    with FaultProxy(to, Stall(1_000)) as proxy:
        with pytest.raises(TimeoutError):
            put(proxy, timeout=0.1)
        assert put(proxy) == (201, BODY)
    assert got == [BODY[:1_000], BODY]


def test_a_truncated_answer_is_short(to: int) -> None:
    """The client must notice that the answer is shorter than its announced length."""
    with FaultProxy(to, Truncate(1_000)) as proxy:
        with pytest.raises(IncompleteRead) as caught:
            put(proxy)
        assert caught.value.partial == BODY[:1_000]


def test_a_rule_decides_by_the_request_and_its_headers(to: int) -> None:
    """Quirks of servers depend on headers; a script, which depends on the order only, comes first."""
    seen: list[str | None] = []

    def rule(request: str, headers: Mapping[str, str]) -> Fault | None:
        seen.append(headers.get("content-length"))
        return Answer(501) if request.startswith("PUT") and len(seen) > 1 else None

    with FaultProxy(to, Pass(), rule=rule) as proxy:
        assert [put(proxy)[0] for _ in range(3)] == [201, 201, 501]
    assert seen == [str(len(BODY))] * 2


def test_headers_can_be_withheld(to: int) -> None:
    """From the server, and from the client."""
    with (
        FaultProxy(to, Without(request=("content-length",)), Without(response=("content-l",))) as proxy,
        closing(HTTPConnection("127.0.0.1", proxy.port, timeout=10)) as client,
    ):
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            put(proxy)
        client.request("PUT", "/", BODY)
        assert client.getresponse().getheader("Content-Length") is None


def test_an_unreachable_server_is_a_reset(to: int) -> None:
    """Any other answer would hide from the client that the server is gone."""
    with FaultProxy(to) as proxy:
        proxy._server.to = 1
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            put(proxy)


def test_a_rate_holds_in_each_direction(to: int) -> None:
    """Only a lower bound is tested, because a slow machine may take longer."""
    with FaultProxy(to, rate=len(BODY) / 0.1) as proxy:
        start = monotonic()
        put(proxy)
        assert monotonic() - start >= 0.2


def test_closing_ends_open_connections(to: int) -> None:
    """Otherwise a client that keeps its connection open would block the test run."""
    with FaultProxy(to) as proxy, closing(socket.create_connection(("127.0.0.1", proxy.port))) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(1)
        proxy.close()
        while client.recv(1_000):  # reads to the end, or waits for ever if the connection stays open
            pass
