"""Translate the Azure SDK's errors into store errors, and keep signatures out of messages, causes and logs."""

import logging
import re
import ssl
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    SerializationError,
)

from pixcore.errors import BlobRefused, PixcoreError, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable

_Meaning = tuple[type[PixcoreError], str]  # the store error and the remedy

_RIGHTS = "check the account, its key or token, their rights to read, write, list and delete, and this machine's clock"
_AGAIN: _Meaning = StoreUnavailable, "try again, or check the network and the service"
_RACE: _Meaning = StoreConflict, "another writer changed the blob; read its current version and try again"
_HELD: _Meaning = BlobRefused, "release the blob's lease, snapshots, policy, tier or type, or take another key"
_REFUSED: _Meaning = StoreDenied, "the service rejects this request; look up the code"

# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_BY_CODE: dict[str, _Meaning] = {
    "ContainerNotFound": (StoreNotFound, "create the container, for example with --create-container"),
    "InvalidBlockList": _RACE,  # committing a blob discards the blocks that other writers sent for it
    "ContainerBeingDeleted": _AGAIN,
    "AccountBeingCreated": _AGAIN,
    **dict.fromkeys(("BlobArchived", "BlobBeingRehydrated", "BlobImmutableDueToPolicy", "InvalidBlobType"), _HELD),
    **dict.fromkeys(("LeaseIdMissing", "LeaseLost", "PublicAccessNotPermitted", "SnapshotsPresent"), _HELD),
}
_BY_STATUS: dict[int, _Meaning] = {
    401: (StoreDenied, _RIGHTS),
    403: (StoreDenied, _RIGHTS),
    404: (StoreNotFound, "it does not exist"),
    408: _AGAIN,
    409: _RACE,
    412: _RACE,
    413: (BlobRefused, "the service accepts no blob of this size; plan smaller chunks"),
    429: _AGAIN,
    501: _REFUSED,
    505: _REFUSED,
}
_BY_CLASS: dict[int, _Meaning] = {3: _REFUSED, 4: _REFUSED, 5: _AGAIN}  # 3xx, 4xx, 5xx

# a signature of an account or a service, in a URL or in the signed text
_SECRET = re.compile(r"\bsig=|signature|AccountKey|Bearer ", re.IGNORECASE)
_SIGNATURE = re.compile(r"\b(sig=)[^&\s'\"]+", re.IGNORECASE)


@contextmanager
def store_errors(failure: str) -> Iterator[None]:
    """Translate the SDK's exceptions. The message begins with ``failure``, such as "cannot store blob 'a' in …".

    Raises:
        BlobRefused, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: Chosen by the status and the code.
    """
    try:
        yield
    except (AzureError, ValueError) as error:  # the SDK raises ValueError for a response that it cannot parse
        raise translation(failure, error) from safe_cause(error)


def translation(failure: str, error: Exception) -> PixcoreError:
    """Return the store error for an SDK error. The message omits the SDK's text, which may quote a signature."""
    kind, remedy = _meaning(error)
    status = error.status_code if isinstance(error, HttpResponseError) else None
    reason = " ".join(str(part) for part in (status, code_of(error)) if part)
    return kind(f"{failure}: {reason or _root_cause(error)}; {remedy}")


def is_conflict(error: Exception) -> bool:
    """Return whether a condition failed. The other writer may be this one, if the response to its write was lost."""
    return _meaning(error)[0] is StoreConflict


def _meaning(error: Exception) -> _Meaning:
    if _is_refused_by_tls(error):
        return StoreDenied, "check the account's URL, its certificate and the certificates that this machine trusts"
    if isinstance(error, SerializationError):
        return _REFUSED
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if status is None:  # there was no response, or an incomplete one
        return (StoreDenied, _RIGHTS) if isinstance(error, ClientAuthenticationError) else _AGAIN
    return _BY_CODE.get(code_of(error)) or _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, _AGAIN)


def code_of(error: Exception) -> str:
    """Return the service's error code, such as ``BlobNotFound``; ``""`` if the response has none."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    return str(headers.get("x-ms-error-code") or "")


def safe_cause(error: Exception) -> Exception:
    """Return the error to chain as the cause. If its traceback would print a signature, return a redacted one."""
    if _SECRET.search("".join(traceback.format_exception(error))):
        return AzureError(f"{type(error).__name__}, whose text contained a signature")
    return error


def hide_signatures(record: logging.LogRecord) -> bool:
    """Redact signatures in URLs, which urllib3 logs at DEBUG. A filter for ``logging``."""
    text = record.getMessage()
    if "sig=" in text.lower():
        record.msg, record.args = _SIGNATURE.sub(r"\1…", text), None
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause:
        yield cause
        # the SDK keeps the original exception here when it raises outside of the handler
        inner = cause.inner_exception if isinstance(cause, AzureError) else None
        cause = inner or cause.__cause__ or cause.__context__


def _is_refused_by_tls(error: BaseException) -> bool:
    """Return whether TLS verification failed. A TLS connection that merely broke does not count."""
    broken = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return any(isinstance(each, ssl.SSLError) and not isinstance(each, broken) for each in _chain(error))


def _root_cause(error: BaseException) -> str:
    """Return the operating system's message, or else the SDK's class name: urllib3's messages quote URLs."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return type(error).__name__
