"""What the Azure SDK says: its errors as the store's, and no signature in either them or the log."""

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

from pixcore.errors import PixcoreError, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable

_Judgement = tuple[type[PixcoreError], str]  # and the remedy

_RIGHTS = "check the account, its key or token, their rights to read, write, list and delete, and this machine's clock"
_AGAIN: _Judgement = StoreUnavailable, "try again, or look after the network and the service"
_RACE: _Judgement = StoreConflict, "another writer was there; look at the blob again"
_HELD: _Judgement = StoreDenied, "free the blob from its lease, snapshots, policy, tier or type, or take another key"
_REFUSED: _Judgement = StoreDenied, "the service does not take this request; look the code up"

# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_BY_CODE: dict[str, _Judgement] = {
    "ContainerNotFound": (StoreNotFound, "make the container, or have it made with --create-container"),
    "InvalidBlockList": _RACE,  # who commits a blob discards the blocks that others had sent for it
    "ContainerBeingDeleted": _AGAIN,
    "AccountBeingCreated": _AGAIN,
    **dict.fromkeys(("BlobArchived", "BlobBeingRehydrated", "BlobImmutableDueToPolicy", "InvalidBlobType"), _HELD),
    **dict.fromkeys(("LeaseIdMissing", "LeaseLost", "PublicAccessNotPermitted", "SnapshotsPresent"), _HELD),
}
_BY_STATUS: dict[int, _Judgement] = {
    401: (StoreDenied, _RIGHTS),
    403: (StoreDenied, _RIGHTS),
    404: (StoreNotFound, "there is none"),
    408: _AGAIN,
    409: _RACE,
    412: _RACE,
    429: _AGAIN,
    501: _REFUSED,
    505: _REFUSED,
}
_BY_HUNDRED: dict[int, _Judgement] = {3: _REFUSED, 4: _REFUSED, 5: _AGAIN}

# an account's or a service's signature, in a URL or in the text that was signed
_SECRET = re.compile(r"\bsig=|signature|AccountKey|Bearer ", re.IGNORECASE)
_SIGNATURE = re.compile(r"\b(sig=)[^&\s'\"]+", re.IGNORECASE)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Translate what the SDK raises; ``what`` begins the message, such as "cannot store blob 'a' in …".

    Raises:
        StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: By the status and the code that the service gave.
    """
    try:
        yield
    except (AzureError, ValueError) as error:  # the latter for an answer that the SDK cannot make sense of
        raise translation(what, error) from tellable(error)


def translation(what: str, error: Exception) -> PixcoreError:
    """The store's error for one of the SDK's; its text holds none of the SDK's, which may quote a signature."""
    kind, remedy = _judge(error)
    status = error.status_code if isinstance(error, HttpResponseError) else None
    said = " ".join(str(part) for part in (status, code_of(error)) if part)
    return kind(f"{what}: {said or _root_of(error)}; {remedy}")


def is_conflict(error: Exception) -> bool:
    """Whether somebody else, or we before an answer was lost, changed what a condition was about."""
    return _judge(error)[0] is StoreConflict


def _judge(error: Exception) -> _Judgement:
    if _is_refused_by_tls(error):
        return StoreDenied, "check the account's URL, its certificate and what this machine trusts"
    if isinstance(error, SerializationError):
        return _REFUSED
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if status is None:  # without an answer, or with a part of one only
        return (StoreDenied, _RIGHTS) if isinstance(error, ClientAuthenticationError) else _AGAIN
    return _BY_CODE.get(code_of(error)) or _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, _AGAIN)


def code_of(error: Exception) -> str:
    """The service's word for an error, such as ``BlobNotFound``; ``""`` if it gave none."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    return str(headers.get("x-ms-error-code") or "")


def tellable(error: Exception) -> Exception:
    """The error as the cause of ours; where its traceback would print a signature, one that only names it."""
    if _SECRET.search("".join(traceback.format_exception(error))):
        return AzureError(f"{type(error).__name__}, whose text held a signature")
    return error


def hide_signatures(record: logging.LogRecord) -> bool:
    """A logging filter that hides the signature in a URL, which urllib3 logs at DEBUG."""
    text = record.getMessage()
    if "sig=" in text.lower():
        record.msg, record.args = _SIGNATURE.sub(r"\1…", text), None
    return True


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause:
        yield cause
        inner = (
            cause.inner_exception if isinstance(cause, AzureError) else None
        )  # raised where the other was not handled
        cause = inner or cause.__cause__ or cause.__context__


def _is_refused_by_tls(error: BaseException) -> bool:
    """Whether there is no trust; a connection that merely broke within TLS is like any other."""
    broken = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return any(isinstance(each, ssl.SSLError) and not isinstance(each, broken) for each in _chain(error))


def _root_of(error: BaseException) -> str:
    """What lies at the bottom, if the system said it; else the SDK's class: urllib3's texts quote URLs."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return type(error).__name__
