"""Translate the exceptions of aiohttp, ssl, yarl and sockets into the reason of a miss."""

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from pixcore.errors import PixcoreError, one_line
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.policy import Missed, note


class FetchFailed(Exception):
    """One attempt to fetch failed. ``retry_after`` is the wait in seconds that the server requested, if it did."""

    def __init__(
        self, reason: str, detail: str = "", *, permanent: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, detail)
        self.missed = Missed(reason, permanent, note(detail))
        self.retry_after = retry_after


class AddressRefused(OSError):
    """The address is not public. It is an OSError because aiohttp passes OSErrors on with their cause."""


_TRANSIENT = False
_PERMANENT = True
_MEANINGS: tuple[tuple[type[Exception], MissReason, bool], ...] = (  # the first match counts
    (AddressRefused, MissReason.ADDRESS, _PERMANENT),
    (TimeoutError, MissReason.TIMEOUT, _TRANSIENT),
    (aiohttp.ClientConnectorCertificateError, MissReason.TLS, _PERMANENT),
    (ssl.SSLCertVerificationError, MissReason.TLS, _PERMANENT),
    (aiohttp.ClientSSLError, MissReason.TLS, _TRANSIENT),
    (ssl.SSLError, MissReason.TLS, _TRANSIENT),
    (aiohttp.ClientHttpProxyError, MissReason.UNREACHABLE, _TRANSIENT),
    (aiohttp.ClientPayloadError, MissReason.TRUNCATED, _TRANSIENT),
    (PayloadEncodingError, MissReason.TRUNCATED, _TRANSIENT),
    (aiohttp.ClientResponseError, MissReason.MALFORMED, _PERMANENT),
    (HttpProcessingError, MissReason.MALFORMED, _PERMANENT),
    (ValueError, MissReason.NOT_A_URL, _PERMANENT),  # such as aiohttp's InvalidURL and idna's UnicodeError
    (aiohttp.NonHttpUrlClientError, MissReason.NOT_A_URL, _PERMANENT),
    (aiohttp.ClientError, MissReason.UNREACHABLE, _TRANSIENT),
    (OSError, MissReason.UNREACHABLE, _TRANSIENT),
)
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


@contextmanager
def translated() -> Generator[None]:
    """Translate network errors. pixcore's own errors pass unchanged.

    Raises:
        FetchFailed: The network or the server failed.
    """
    try:
        yield
    except (FetchFailed, PixcoreError):
        raise
    except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as exc:
        # aiohttp wraps the error of a connection or lookup and keeps the original in `os_error`
        inner = getattr(exc, "os_error", None)
        cause = inner if isinstance(inner, AddressRefused | socket.gaierror) else exc
        reason, permanent = next((reason, lasts) for kind, reason, lasts in _MEANINGS if isinstance(cause, kind))
        no_such_name = isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME
        raise FetchFailed(reason, _detail(cause), permanent=permanent or no_such_name) from exc


def _detail(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientResponseError):
        return exc.message  # str(exc) would add the URL, which may hold a signature
    return "" if isinstance(exc, aiohttp.InvalidURL) else one_line(exc)
