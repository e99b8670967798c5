"""The demo's web site: the planted files on a loopback port, each served as badly as its kind says."""

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
_PATIENCE = 60.0  # seconds after which nothing is kept waiting any more
_ENDLESS = 2_000  # pieces of 64 KiB, after which even the endless body ends


@frozen
class Site:
    """A running site at ``address`` (``host:port``), and the place that one of its redirects leads to."""

    address: str
    _off_limits: "_Server" = field(alias="off_limits")

    def url(self, path: str) -> str:
        """Where a planted file is served."""
        return f"http://{self.address}/{quote(path)}"

    @property
    def lured(self) -> int:
        """How many requests came to the place that is off limits."""
        return self._off_limits.requests


@contextmanager
def site(planted: Planted) -> Generator[Site]:
    """Serve the planted files on a free port of loopback until the block ends, and watch another that is off limits."""
    with _Server(planted).running() as off_limits, _Server(planted, off_limits.address).running() as pictures:
        yield Site(pictures.address, off_limits)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, planted: Planted, lure: str = "") -> None:
        super().__init__((_HOST, 0), _Pages)
        self.planted, self.lure = planted, lure
        self.address = f"{_HOST}:{self.server_port}"
        self.requests = 0
        self.asked: set[str] = set()
        self.closing = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients hang up on most of what is served here, as they should."""

    @contextmanager
    def running(self) -> Generator[Self]:
        """Answer until the block ends, then let nobody wait any longer."""
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
        """Answer as the kind of the file says."""
        self.server.requests += 1
        path = unquote(self.path).removeprefix("/")
        with suppress(ConnectionError):
            if path == "robots.txt":
                self._answer(f"User-agent: *\nDisallow: /*/{KEEP_OUT}/\n".encode(), content_type="text/plain")
            else:
                self._serve(path.removeprefix(_MOVED), moved=path.startswith(_MOVED))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self, path: str, *, moved: bool) -> None:
        kind = self.server.planted.files.get(path)
        file = self.server.planted.folder / path
        data = file.read_bytes() if file.is_file() else b""
        match kind:
            case None | Kind.NOT_FOUND:
                self._answer(b"no such picture", status=404, content_type="text/plain")
            case Kind.BUSY if path not in self.server.asked:
                self.server.asked.add(path)
                self._answer(status=429, retry_after="1")
            case Kind.MOVED if not moved:
                self._answer(status=302, location=f"/{_MOVED}{quote(path)}")
            case Kind.LURE:
                self._answer(status=302, location=f"http://{self.server.lure}/secret.jpg")
            case Kind.ENDLESS:
                self._pour(repeat(b"\0" * 65536, _ENDLESS))
            case _:
                self._picture(kind, data)

    def _picture(self, kind: Kind, data: bytes) -> None:
        match kind:
            case Kind.OPTED_OUT:
                self._answer(data, x_robots_tag="noai")
            case Kind.SLOW:
                self.server.closing.wait(_PATIENCE)
                self.close_connection = True
            case Kind.CUT_SHORT:
                self._pour([data[: len(data) // 2]], content_length=str(len(data)))
            case Kind.CUT_SILENTLY:
                self._pour([data[: len(data) // 2]])
            case Kind.DRIPPING:
                self._pour(self._drops(data))
            case _:
                self._answer(data)

    def _answer(self, body: bytes = b"", *, status: int = 200, **headers: str) -> None:
        self._head(status, content_length=str(len(body)), **headers)
        self.wfile.write(body)

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content_type": "image/jpeg", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _pour(self, parts: Iterable[bytes], **headers: str) -> None:
        """A body that is over when the connection is."""
        self.close_connection = True
        self._head(200, connection="close", **headers)
        for part in parts:
            if self.server.closing.is_set():
                return
            self.wfile.write(part)

    def _drops(self, data: bytes) -> Iterator[bytes]:
        for byte in data[: int(_PATIENCE / _DRIP)]:
            yield bytes([byte])
            self.server.closing.wait(_DRIP)
