"""A small HTTP server for metrics and for the probes of supervisors. It answers in threads."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from pixcore import InvalidRequest

App = Callable[[dict[str, Any], Any], Iterable[bytes]]  # a WSGI application
Check = Callable[[], str]  # returns in one line what does not work, or "" if all works


class Server(ThreadingMixIn, WSGIServer):
    """A bound server. ``serve_forever`` answers."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name that the standard library would do, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # of an inet socket
        self.setup_environ()


class _ServerOf6(Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    timeout = 10  # seconds that a client may be silent

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Log nothing: probes come every few seconds."""


def bound(app: App, host: str, port: int, option: str) -> Server:
    """Return a server that is bound to the address; the system chooses the port if it is 0.

    Raises:
        InvalidRequest: The address cannot be bound; the message names ``option``.
    """
    try:
        server = (_ServerOf6 if ":" in host else Server)((host, port), _Silent)
    except (OSError, OverflowError) as exc:
        raise InvalidRequest(f"cannot listen at {host}:{port} ({exc}); use another {option}") from exc
    server.set_app(app)
    return server


def serve(server: Server) -> None:
    """Answer in a thread, for as long as this process lives."""
    threading.Thread(target=server.serve_forever, name="pixcore-web", daemon=True).start()


def probes(live: Check, ready: Check, otherwise: App | None = None) -> App:
    """Return an application with ``/healthz`` and ``/readyz``: 200 if the check finds nothing wrong, else 503 and why.

    ``otherwise`` answers all other paths; without it, they are 404.
    """
    checks = {"/healthz": live, "/readyz": ready}

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:  # noqa: ANN401 - WSGI's function
        check = checks.get(environ["PATH_INFO"])
        if check is None and otherwise:
            return otherwise(environ, start)
        fault = check() if check else "use /healthz or /readyz"
        start(
            "404 Not Found" if check is None else "503 Service Unavailable" if fault else "200 OK",
            [("Content-Type", "text/plain; charset=utf-8")],
        )
        return [f"{fault or 'ok'}\n".encode(errors="backslashreplace")]

    return app
