"""Translate the errors of Google's client into store errors, by HTTP status. Messages omit URLs of upload sessions."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from urllib3.exceptions import HTTPError

from pixcore.errors import PixcoreError, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable

FOREIGN = (
    GoogleAPICallError,
    RetryError,
    GoogleAuthError,
    InvalidResponse,
    DataCorruption,
    requests.RequestException,
    HTTPError,
    ConnectionError,
)
"""What Google's client raises."""

_Meaning = tuple[type[PixcoreError], str]

_AGAIN: _Meaning = (StoreUnavailable, "try again, or check the network and the service")
_RIGHTS: _Meaning = (
    StoreDenied,
    (
        "log in with `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS, and check the"
        " rights to read, create, list and delete objects"
    ),
)
_REFUSED: _Meaning = (StoreDenied, "the service rejects this request; look up the reason")
_STATUSES: dict[int, _Meaning] = {
    401: _RIGHTS,
    403: _RIGHTS,
    404: (StoreNotFound, "it does not exist"),
    408: _AGAIN,
    412: (
        StoreConflict,
        "it already exists, or is no longer at the version to replace; read its current version and try again",
    ),
    429: _AGAIN,
}


@contextmanager
def store_errors(failure: str) -> Iterator[None]:
    """Translate the client's exceptions. The message begins with ``failure``, such as "cannot store blob 'a' in …".

    Raises:
        StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: By the HTTP status, or the class of the error.
    """
    try:
        yield
    except FOREIGN as error:
        last = error.cause if isinstance(error, RetryError) and isinstance(error.cause, Exception) else error
        kind, remedy = _meaning(last)
        raise kind(f"{failure}: {_reason(last)}; {remedy}") from error


def status_of(error: BaseException) -> int:
    """Return the HTTP status of the response; 0 if there was none."""
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return int(getattr(error, "code", None) or 0)


def _meaning(error: Exception) -> _Meaning:
    if status := status_of(error):
        return _STATUSES.get(status) or (_AGAIN if status // 100 == 5 else _REFUSED)  # noqa: PLR2004 - 5xx
    if isinstance(error, requests.exceptions.SSLError) and "EOF" not in str(error):  # it did not merely break
        return StoreDenied, "trust the certificate with REQUESTS_CA_BUNDLE, or correct the endpoint"
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return _RIGHTS
    return _AGAIN


def _reason(error: Exception) -> str:
    """Return the status and the service's reason, such as ``412 conditionNotMet``; else the class of the error."""
    details = getattr(error, "errors", None) or ()
    reasons = [str(each["reason"]) for each in details if isinstance(each, dict) and "reason" in each]
    known = " ".join([*(str(status) for status in (status_of(error),) if status), *reasons[:1]])
    return known or type(error).__name__
