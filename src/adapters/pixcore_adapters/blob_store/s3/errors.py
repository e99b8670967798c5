"""What boto3's errors mean for a store, by HTTP status and S3's code: one S3 error has many classes, one class many."""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore import exceptions as boto
from urllib3.exceptions import HTTPError

from pixcore.errors import PixcoreError, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable, one_line

FOREIGN = (boto.BotoCoreError, boto.ClientError, Boto3Error, HTTPError)
"""What boto3's clients raise; ``HTTPError`` comes while a body is read."""

_Meaning = tuple[type[PixcoreError], str]

_AGAIN: _Meaning = (StoreUnavailable, "try again, or look after the server")
_REFUSED: _Meaning = (StoreDenied, "check the credentials, their rights, the endpoint and the region")
_DAMAGED: _Meaning = (StoreUnavailable, "it was damaged on its way; try again")
_REGION: _Meaning = (StoreDenied, "say in which region the bucket is: region=… in the store's URL")
_CODES: dict[str, _Meaning] = {
    "NoSuchBucket": (StoreNotFound, "make the bucket with --create-container, or mend the store's URL"),
    "NoSuchUpload": (StoreUnavailable, "its upload was aborted meanwhile; try again"),
    "ConditionalRequestConflict": (StoreUnavailable, "somebody else was writing there at this moment; try again"),
    "OperationAborted": (StoreUnavailable, "somebody else was changing the bucket at this moment; try again"),
    "RequestTimeout": _AGAIN,
    "IncompleteBody": _DAMAGED,
    "BadDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "XAmzContentChecksumMismatch": _DAMAGED,
    "RequestTimeTooSkewed": (StoreDenied, "set this machine's clock"),
    "BucketAlreadyExists": (StoreDenied, "the bucket is somebody else's; take another name"),
    "EntityTooLarge": (StoreDenied, "the server takes no blob of this size; make smaller chunks"),
    "KeyTooLongError": (StoreDenied, "take a shorter prefix or name of the dataset"),
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
}
_STATUSES: dict[int, _Meaning] = {
    404: (StoreNotFound, "nothing is there"),
    408: _AGAIN,
    412: (StoreConflict, "it exists already, or is no longer at the version to be replaced; look at it again"),
    429: _AGAIN,
    501: (StoreDenied, "this server cannot do that; take another store"),
}
# SSLError is a ConnectionError, so the order counts
_CLASSES: tuple[tuple[tuple[type[Exception], ...], _Meaning], ...] = (
    ((boto.SSLError,), (StoreDenied, "trust its certificate with AWS_CA_BUNDLE, or mend the endpoint")),
    (
        (
            *(boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, boto.MetadataRetrievalError),
            *(boto.ChecksumError, boto.FlexibleChecksumError, boto.CapacityNotAvailableError, HTTPError),
        ),
        _AGAIN,
    ),
)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Raise what boto3 raises as a store's error, ``what`` in front of it."""
    try:
        yield
    except FOREIGN as error:
        kind, remedy = meaning(error)
        raise kind(f"{what}: {one_line(error)}; {remedy}") from error


def code_of(error: boto.ClientError) -> str:
    """S3's name for what went wrong; the HTTP status where the answer had no body, as that to a HEAD."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: boto.ClientError) -> int:
    """The HTTP status; 0 where there is none."""
    code = code_of(error)
    return int(
        error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        or (code if code.isascii() and code.isdecimal() else 0)
    )


def meaning(error: Exception) -> _Meaning:
    """The store's error for one of boto3's, and the remedy."""
    if isinstance(error, boto.ClientError):
        status = status_of(error)
        known = _CODES.get(code_of(error)) or _STATUSES.get(status)
        return known or (_AGAIN if status // 100 == 5 else _REFUSED)  # noqa: PLR2004 - 5xx
    if isinstance(error, boto.SSLError) and "EOF" in str(error):  # the connection broke, nothing was refused
        return _AGAIN
    return next((known for kinds, known in _CLASSES if isinstance(error, kinds)), _REFUSED)
