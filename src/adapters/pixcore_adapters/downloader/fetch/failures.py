"""Translate the errors of libcurl, of lookups and of yarl into the reason of a miss."""

import re
import socket
from types import TracebackType

import pycurl

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
    """The address is not public. The message says so, and how to allow it."""

    def __init__(self, address: str, host: str, port: int) -> None:
        super().__init__(f"{address} is not public; if the host is yours, pass --allow-private-hosts {host}:{port}")


_TRANSIENT = False
_PERMANENT = True
_TOO_LARGE = 100  # libcurl's code without a name in pycurl: a header is too long, or there are too many
_MEANINGS = {  # of libcurl's error codes; all others mean that the server cannot be reached now
    pycurl.E_PEER_FAILED_VERIFICATION: (MissReason.TLS, _PERMANENT),
    pycurl.E_SSL_ISSUER_ERROR: (MissReason.TLS, _PERMANENT),
    pycurl.E_SSL_INVALIDCERTSTATUS: (MissReason.TLS, _PERMANENT),
    pycurl.E_SSL_PINNEDPUBKEYNOTMATCH: (MissReason.TLS, _PERMANENT),
    pycurl.E_SSL_CONNECT_ERROR: (MissReason.TLS, _TRANSIENT),
    pycurl.E_SSL_CACERT_BADFILE: (MissReason.TLS, _TRANSIENT),
    pycurl.E_SSL_CERTPROBLEM: (MissReason.TLS, _TRANSIENT),
    pycurl.E_SSL_CIPHER: (MissReason.TLS, _TRANSIENT),
    pycurl.E_PARTIAL_FILE: (MissReason.TRUNCATED, _TRANSIENT),
    pycurl.E_FTP_WEIRD_SERVER_REPLY: (MissReason.MALFORMED, _PERMANENT),  # libcurl has one code for both protocols
    pycurl.E_UNSUPPORTED_PROTOCOL: (MissReason.MALFORMED, _PERMANENT),  # the answer is not HTTP
    _TOO_LARGE: (MissReason.MALFORMED, _PERMANENT),
    pycurl.E_BAD_CONTENT_ENCODING: (MissReason.ENCODING, _PERMANENT),
    pycurl.E_URL_MALFORMAT: (MissReason.NOT_A_URL, _PERMANENT),
}
_IN_THE_BODY = frozenset({pycurl.E_RECV_ERROR, pycurl.E_GOT_NOTHING, pycurl.E_HTTP2})
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_MEASURED = re.compile(r" after \d+ (ms|milliseconds)")  # left out, so that equal failures have equal details


def transfer_failed(code: int, message: str, *, answered: bool) -> FetchFailed | TimeoutError:
    """Return what libcurl's error code and message mean, after the head of a response if ``answered``."""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return TimeoutError(message)
    if answered and code in _IN_THE_BODY:
        reason, permanent = MissReason.TRUNCATED, _TRANSIENT
    else:
        reason, permanent = _MEANINGS.get(code, (MissReason.UNREACHABLE, _TRANSIENT))
    return FetchFailed(reason, _MEASURED.sub("", message), permanent=permanent)


class translated:  # noqa: N801 - used like a function; a generator would cost several times as much
    """Translate timeouts after ``seconds``, errors of lookups and of parsing. pixcore's own errors pass unchanged.

    Raises:
        FetchFailed: The network failed, or the URL is invalid.
    """

    __slots__ = ("_seconds",)

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, FetchFailed | PixcoreError):
            return
        if isinstance(error, AddressRefused):
            raise FetchFailed(MissReason.ADDRESS, str(error)) from error
        if isinstance(error, TimeoutError):
            raise FetchFailed(MissReason.TIMEOUT, f"longer than {self._seconds:g} seconds", permanent=False) from error
        if isinstance(error, OSError):
            no_such_name = isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
            raise FetchFailed(MissReason.UNREACHABLE, one_line(error), permanent=no_such_name) from error
        if isinstance(error, ValueError):  # such as idna's UnicodeError
            raise FetchFailed(MissReason.NOT_A_URL, one_line(error)) from error
