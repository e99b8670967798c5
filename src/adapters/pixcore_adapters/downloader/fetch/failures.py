"""Why a fetch failed: the one place where what aiohttp, ssl, yarl and sockets raise becomes a reason."""

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from pixcore.errors import PixcoreError, one_line
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.policy import Missed


class FetchFailed(Exception):
    """One attempt came to nothing. ``retry_after`` are the seconds that the server asked to wait, if it did."""

    def __init__(
        self, reason: str, detail: str = "", *, permanent: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, detail)
        self.missed = Missed(reason, permanent, detail)
        self.retry_after = retry_after


class AddressRefused(OSError):
    """The address is not public. An OSError, for aiohttp passes those on with their cause."""


_TRANSIENT = False
_PERMANENT = True
_MEANINGS: tuple[tuple[type[Exception], MissReason, bool], ...] = (  # the first that fits
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
    (ValueError, MissReason.NOT_A_URL, _PERMANENT),  # aiohttp's InvalidURL and the UnicodeError of idna are some
    (aiohttp.NonHttpUrlClientError, MissReason.NOT_A_URL, _PERMANENT),
    (aiohttp.ClientError, MissReason.UNREACHABLE, _TRANSIENT),
    (OSError, MissReason.UNREACHABLE, _TRANSIENT),
)
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


@contextmanager
def translated() -> Generator[None]:
    """Turn what goes wrong on the net into FetchFailed; pixcore's own errors pass."""
    try:
        yield
    except (FetchFailed, PixcoreError):
        raise
    except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as exc:
        # aiohttp wraps the error of a connection or look-up, and keeps it there
        inner = getattr(exc, "os_error", None)
        cause = inner if isinstance(inner, AddressRefused | socket.gaierror) else exc
        reason, permanent = next((reason, stays) for kind, reason, stays in _MEANINGS if isinstance(cause, kind))
        no_such_name = isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME
        raise FetchFailed(reason, _detail(cause), permanent=permanent or no_such_name) from exc


def _detail(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientResponseError):
        return exc.message  # the rest would be the URL, with its signature
    return "" if isinstance(exc, aiohttp.InvalidURL) else one_line(exc)
