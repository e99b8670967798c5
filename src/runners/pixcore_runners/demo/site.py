"""The demo's web site: it serves the planted files on a loopback port, each with the fault of its kind."""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from typing import Self
from urllib.parse import quote, unquote

from attrs import field, frozen

from pixcore_runners.demo.planting import KEEP_OUT, Kind, Planted

_HOST = "127.0.0.1"
_MOVED = "moved/"
_DRIP = 0.1  # seconds between two bytes
_LONGEST = 60.0  # seconds; the limit on delayed responses
_ENDLESS = 2_000  # blocks of 64 KiB in the endless body; bounds it if a client never hangs up


@frozen
class Site:
    """A running site at ``address`` (``host:port``), and the server off limits that one of its redirects leads to."""

    address: str
    _off_limits: "_Server" = field(alias="off_limits")

    def url(self, path: str) -> str:
        """Return the URL of a planted file."""
        return f"http://{self.address}/{quote(path)}"

    @property
    def off_limits_requests(self) -> int:
        """The number of requests to the server that is off limits."""
        return self._off_limits.requests


@contextmanager
def site(planted: Planted) -> Generator[Site]:
    """Serve the planted files on a free loopback port until the block ends; run a second server that is off limits."""
    with _Server(planted).running() as off_limits, _Server(planted, off_limits.address).running() as pictures:
        yield Site(pictures.address, off_limits)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, planted: Planted, lure: str = "") -> None:
        super().__init__((_HOST, 0), _Pages)
        self.planted, self.lure = planted, lure
        self.address = f"{_HOST}:{self.server_port}"
        self.requests = 0
        self.requested: set[str] = set()
        self.closing = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients are expected to hang up on most of the faulty responses."""

    @contextmanager
    def running(self) -> Generator[Self]:
        """Serve until the block ends, then end all delayed responses."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self.shutdown()
            self.server_close()
            thread.join()


class _Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Respond as the file's kind requires."""
        self.server.requests += 1
        path = unquote(self.path).removeprefix("/")
        with suppress(ConnectionError):
            if path == "robots.txt":
                self._respond(f"User-agent: *\nDisallow: /*/{KEEP_OUT}/\n".encode(), content_type="text/plain")
            else:
                self._serve(path.removeprefix(_MOVED), moved=path.startswith(_MOVED))

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _serve(self, path: str, *, moved: bool) -> None:
        kind = self.server.planted.files.get(path)
        file = self.server.planted.folder / path
        data = file.read_bytes() if file.is_file() else b""
        match kind:
            case None | Kind.NOT_FOUND:
                self._respond(b"no such picture", status=404, content_type="text/plain")
            case Kind.BUSY if path not in self.server.requested:
                self.server.requested.add(path)
                self._respond(status=429, retry_after="1")
            case Kind.MOVED if not moved:
                self._respond(status=302, location=f"/{_MOVED}{quote(path)}")
            case Kind.LURE:
                self._respond(status=302, location=f"http://{self.server.lure}/secret.jpg")
            case Kind.ENDLESS:
                self._stream(repeat(b"\0" * 65536, _ENDLESS))
            case _:
                self._respond_with_fault(kind, data)

    def _respond_with_fault(self, kind: Kind, data: bytes) -> None:
        match kind:
            case Kind.OPTED_OUT:
                self._respond(data, x_robots_tag="noai")
            case Kind.SLOW:
                self.server.closing.wait(_LONGEST)
                self.close_connection = True
            case Kind.CUT_SHORT:
                self._stream([data[: len(data) // 2]], content_length=str(len(data)))
            case Kind.CUT_SILENTLY:
                self._stream([data[: len(data) // 2]])
            case Kind.DRIPPING:
                self._stream(self._drip(data))
            case _:
                self._respond(data)

    def _respond(self, body: bytes = b"", *, status: int = 200, **headers: str) -> None:
        self._send_head(status, content_length=str(len(body)), **headers)
        self.wfile.write(body)

    def _send_head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_type": "image/jpeg", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _stream(self, parts: Iterable[bytes], **headers: str) -> None:
        """Send a body that ends when the connection closes."""
        self.close_connection = True
        self._send_head(200, connection="close", **headers)
        for part in parts:
            if self.server.closing.is_set():
                return
            self.wfile.write(part)

    def _drip(self, data: bytes) -> Iterator[bytes]:
        for byte in data[: int(_LONGEST / _DRIP)]:
            yield bytes([byte])
            self.server.closing.wait(_DRIP)
