"""Translate boto3's errors into store errors by S3's error code and HTTP status.

boto3's classes do not suffice: one S3 error appears as several classes, and one class stands for many S3 errors.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore import exceptions as boto
from urllib3.exceptions import HTTPError

from pixcore.errors import (
    BlobRefused,
    PixcoreError,
    StoreConflict,
    StoreDenied,
    StoreFull,
    StoreNotFound,
    StoreUnavailable,
    one_line,
)

FOREIGN = (boto.BotoCoreError, boto.ClientError, Boto3Error, HTTPError)
"""What boto3's clients raise. ``HTTPError`` is raised while a body is read."""

_Meaning = tuple[type[PixcoreError], str]

_AGAIN: _Meaning = (StoreUnavailable, "try again, or check the server")
_CREDENTIALS: _Meaning = (StoreDenied, "check the credentials, their rights, the endpoint and the region")
_NOT_ACCEPTED: _Meaning = (
    StoreDenied,
    "the server does not accept this request; check the endpoint, the region and the proxies before the server",
)
_DAMAGED: _Meaning = (StoreUnavailable, "the data was damaged in transit; try again")
_REGION: _Meaning = (StoreDenied, "name the bucket's region: region=… in the store's URL")
_TOO_LARGE: _Meaning = (
    BlobRefused,
    "the server, or a proxy before it, accepts no blob of this size; plan smaller chunks, or raise its limit",
)
_UNSUPPORTED: _Meaning = (StoreDenied, "this server does not support the operation; take another store")
_FULL: _Meaning = (StoreFull, "free some space there, or raise its quota")
_CODES: dict[str, _Meaning] = {
    "NoSuchBucket": (StoreNotFound, "create the bucket with --create-container, or correct the store's URL"),
    "NoSuchUpload": (StoreUnavailable, "the multipart upload was aborted meanwhile; try again"),
    "ConditionalRequestConflict": (StoreUnavailable, "another writer was writing this key at the same time; try again"),
    "OperationAborted": (StoreUnavailable, "another client was changing the bucket at the same time; try again"),
    "RequestTimeout": _AGAIN,
    "IncompleteBody": _DAMAGED,
    "BadDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "XAmzContentChecksumMismatch": _DAMAGED,
    # AWS sends some of these with 400
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"), _CREDENTIALS),
    "RequestTimeTooSkewed": (StoreDenied, "set this machine's clock"),
    "BucketAlreadyExists": (StoreDenied, "the bucket belongs to another account; take another name"),
    "EntityTooLarge": _TOO_LARGE,
    "KeyTooLongError": (BlobRefused, "take a shorter prefix or dataset name"),
    **dict.fromkeys(
        ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"), _FULL
    ),
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
}
_STATUSES: dict[int, _Meaning] = {
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: (StoreNotFound, "it does not exist"),
    405: _UNSUPPORTED,
    408: _AGAIN,
    412: (
        StoreConflict,
        "it already exists, or is no longer at the version to replace; read its current version and try again",
    ),
    413: _TOO_LARGE,
    429: _AGAIN,
    501: _UNSUPPORTED,
    507: _FULL,
}
_NO_SUCH_REQUEST = {400, 405, 501}
# the order matters: SSLError is a ConnectionError
_CLASSES: tuple[tuple[tuple[type[Exception], ...], _Meaning], ...] = (
    ((boto.SSLError,), (StoreDenied, "trust its certificate with AWS_CA_BUNDLE, or correct the endpoint")),
    (
        (
            *(boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, boto.MetadataRetrievalError),
            *(boto.ChecksumError, boto.FlexibleChecksumError, boto.CapacityNotAvailableError, HTTPError),
        ),
        _AGAIN,
    ),
)


@contextmanager
def store_errors(failure: str) -> Iterator[None]:
    """Translate boto3's exceptions. The message begins with ``failure``, such as "cannot store blob 'a' in …".

    Raises:
        BlobRefused, StoreConflict, StoreDenied, StoreFull, StoreNotFound, StoreUnavailable: Chosen by ``meaning``.
    """
    try:
        yield
    except FOREIGN as error:
        kind, remedy = meaning(error)
        raise kind(f"{failure}: {one_line(error)}; {remedy}") from error


def code_of(error: boto.ClientError) -> str:
    """Return S3's error code; the HTTP status if the response had no body, as for a HEAD request."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: boto.ClientError) -> int:
    """Return the HTTP status; 0 if there is none."""
    code = code_of(error)
    return int(
        error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        or (code if code.isascii() and code.isdecimal() else 0)
    )


def meaning(error: Exception) -> _Meaning:
    """Return the class of the store error for one of boto3's errors, and the remedy."""
    if isinstance(error, boto.ClientError):
        status = status_of(error)
        known = _CODES.get(code_of(error)) or _STATUSES.get(status)
        return known or (_AGAIN if status // 100 == 5 else _NOT_ACCEPTED)  # noqa: PLR2004 - 5xx
    if isinstance(error, boto.SSLError) and "EOF" in str(error):  # the connection broke; TLS verification did not fail
        return _AGAIN
    return next((known for kinds, known in _CLASSES if isinstance(error, kinds)), _CREDENTIALS)


def refused(error: boto.ClientError) -> bool:
    """Return whether the server did not accept a request as it is; then one with fewer headers may be accepted."""
    return status_of(error) in _NO_SUCH_REQUEST and code_of(error) not in _CODES
