"""Serve the page to one browser on this machine.

The standard library's server suffices for ten addresses and one reader: a thread for each of the few connections of a
browser, which waits for the disk, the store or Pillow. Pages ask for changes every two seconds instead of holding a
connection, because browsers open at most six to one server, for all tabs together.
"""

import logging
import re
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from selectors import EVENT_READ, DefaultSelector
from socket import MSG_PEEK, socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

from pixcore.errors import InvalidRequest, PixcoreError, StoreNotFound, one_line
from pixcore.model.rows import COLUMNS
from pixcore_adapters.outputs.page.rows import CODED, safe_json
from pixcore_adapters.outputs.review import page
from pixcore_adapters.outputs.review.access import ADDRESS, Access
from pixcore_adapters.outputs.review.choices import Choices
from pixcore_adapters.outputs.review.chunks import NotShown, ReviewChunks
from pixcore_adapters.outputs.review.pictures import Pictures
from pixcore_adapters.thumbnails import Encoding

_MOST_BYTES = 8_000_000  # of decisions in one request
_CONNECTIONS = 256  # of all tabs and browsers; each waits in a thread of its own
_PATIENCE = 5  # seconds that a further connection waits
_IDLE = 15  # seconds until a connection without requests is closed
_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_SAFE = {
    "Content-Security-Policy": page.POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# After the token was exchanged, this document opens the page: a browser sends a strict cookie only with requests that
# a document of the same site causes.
_ENTRY = (
    b'<!doctype html>\n<meta charset="utf-8">\n<meta http-equiv="refresh" content="0; url=/">\n<title>pixcore</title>\n'
)
_ICON = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="#2f8f8a" d="M0 0h8v8H0z"/></svg>'
_USED = (
    "This link was used already, or is not the one that `pixcore review` printed last. Press Enter in its terminal for"
    " a new link."
)
_NO_COOKIE = "Open the link that `pixcore review` printed: this browser has not used it yet."

_log = logging.getLogger(__name__)


@frozen
class Review:
    """What the page shows and changes. ``near`` returns the document of ``near_document``."""

    dataset: str
    chunks: ReviewChunks
    pictures: Pictures
    choices: Choices
    near: Callable[[], bytes]


class ReviewServer(ThreadingHTTPServer):
    """A server on the loopback address, at ``port`` or, if that is 0, at any free one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, review: Review, port: int) -> None:
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as exc:
            raise InvalidRequest(
                f"port {port} cannot be used ({exc.strerror}); choose another one with --port"
            ) from exc
        self.review = review
        self.access = Access(self.server_port)
        self._free = threading.BoundedSemaphore(_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class says so
        """Serve a connection in a thread; with too many, let further ones wait, and close one that waited in vain."""
        if self._free.acquire(timeout=_PATIENCE):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ANN401
        """Serve one connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log an error: most often, that a browser closed its connection."""
        del request
        _log.debug("a connection of %s ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pixcore", ""
    timeout = _IDLE
    server: ReviewServer

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if reason := self.server.access.foreign(self.headers, writes=False):
            self._refuse(reason)
        elif address.path == "/" and (token := parse_qs(address.query).get("token")):
            self._enter(token[0])
        elif not self.server.access.known(self.headers):
            self._refuse(_NO_COOKIE)
        else:
            self._answer(lambda: self._read(address.path))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if reason := self.server.access.foreign(self.headers, writes=True):
            self._refuse(reason)
        elif not self.server.access.known(self.headers):
            self._refuse(_NO_COOKIE)
        elif self.path != "/decisions" or self.headers.get_content_type() != _JSON:
            self._fail(HTTPStatus.NOT_FOUND, "there is no such address")
        elif not length.isascii() or not length.isdigit() or int(length) > _MOST_BYTES:
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {_MOST_BYTES:,} bytes")
        else:
            body = self.rfile.read(int(length))
            self._answer(lambda: self._send(_JSON, self.server.review.choices.change(body)))

    def _enter(self, token: str) -> None:
        cookie = self.server.access.cookie(token)
        if cookie:
            self._send(_HTML, _ENTRY, {"Set-Cookie": cookie})
        elif self.server.access.known(self.headers):  # the page was opened by the same link again
            self._send(_HTML, _ENTRY)
        else:
            self._refuse(_USED)

    def _read(self, path: str) -> None:
        review = self.server.review
        files: dict[str, tuple[str, Callable[[], bytes]]] = {
            "/": (_HTML, lambda: page.html(review.dataset)),
            "/review.css": ("text/css; charset=utf-8", page.style),
            "/review.js": ("text/javascript; charset=utf-8", page.script),
            "/icon": ("image/svg+xml", lambda: _ICON),
            "/chunks": (_JSON, self._head),
            "/near": (_JSON, review.near),
        }
        if path in files:
            kind, make = files[path]
            self._send(kind, make())
        elif path == "/decisions":
            self._decisions()
        elif found := re.fullmatch(r"/chunk/(\d{1,18})/(\d{1,9})", path):
            self._send(_JSON, review.chunks.description((int(found[1]), int(found[2]))))
        else:
            self._picture(path)

    def _head(self) -> bytes:
        review = self.server.review
        head = {"dataset": review.dataset, "chunks": review.chunks.listed(), "columns": COLUMNS, "coded": CODED}
        return safe_json(head).encode()

    def _picture(self, path: str) -> None:
        review = self.server.review
        if found := re.fullmatch(r"/(small|large)/(\d{1,18})/(\d{1,9})/(\d{1,9})", path):
            draw = review.pictures.small if found[1] == "small" else review.pictures.large
            data = draw((int(found[2]), int(found[3])), int(found[4]), self._is_waiting)
            encoding = Encoding.JPEG
        elif found := re.fullmatch(r"/preview/(\d{1,18})/(\d{1,9})/([0-9a-f]{64})", path):
            data, encoding = review.chunks.preview((int(found[1]), int(found[2])), found[3]), Encoding.WEBP
        else:
            raise NotShown("there is no such address")
        if not data:
            raise NotShown("this image cannot be drawn")
        self._send(encoding, data)

    def _is_waiting(self) -> bool:
        """Return whether the browser still waits for the answer. It closes connections of pictures that fly by."""
        with DefaultSelector() as selector:  # unlike `select`, it takes descriptors above 1,023
            selector.register(self.connection, EVENT_READ)
            return not selector.select(0) or bool(self.connection.recv(1, MSG_PEEK))

    def _decisions(self) -> None:
        text, etag = self.server.review.choices.document()
        if self.headers.get("If-None-Match") == etag:
            self._begin(HTTPStatus.NOT_MODIFIED, {"ETag": etag})
            self.end_headers()
        else:
            self._send(_JSON, text, {"ETag": etag})

    def _answer(self, action: Callable[[], None]) -> None:
        try:
            action()
        except NotShown as error:
            self._fail(HTTPStatus.NOT_FOUND, str(error))
        except StoreNotFound as error:
            self._fail(HTTPStatus.NOT_FOUND, one_line(error))
        except InvalidRequest as error:
            self._fail(HTTPStatus.BAD_REQUEST, one_line(error))
        except (PixcoreError, OSError) as error:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, one_line(error))

    def _refuse(self, reason: str) -> None:
        self.close_connection = True  # an unread body may follow
        self._fail(HTTPStatus.FORBIDDEN, reason)

    def _fail(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True
        self._send("text/plain; charset=utf-8", f"{reason}\n".encode(), {"Connection": "close"}, status)

    def _send(
        self, kind: str, body: bytes, headers: dict[str, str] | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self._begin(status, {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})})
        self.end_headers()
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_SAFE, **headers}.items():
            self.send_header(name, value)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the base class says so
        """Log nothing: an address may hold the token."""
