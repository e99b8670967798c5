"""Connect to S3 by a URL, with boto3's own configuration, and keep its log free of secrets."""

import logging
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
from botocore.config import Config

from pixcore.errors import InvalidRequest, StoreDenied
from pixcore_adapters.blob_store import check_key
from pixcore_adapters.blob_store.s3.errors import store_errors

CONFIG = Config(
    retries={"total_max_attempts": 4, "mode": "standard"},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=64,  # opened on demand; boto3's 10 are too few for several threads that upload in parts
    # each write sends a checksum that ``checksums.py`` chooses; not all servers accept those that the SDK would add
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)

# boto3 logs these at DEBUG: in headers, in the text to sign, and in the responses of a credential server
_SECRET = re.compile(r"signature|authorization|security-token|secretaccesskey|sessiontoken|accesskeyid", re.IGNORECASE)
_SECRET_LOGGERS = ("botocore.auth", "botocore.endpoint", "botocore.parsers", "botocore.utils")


def connected(url: str) -> tuple[Any, str, str]:
    """Return boto3's client, the bucket and the prefix for ``s3://bucket/prefix?endpoint=…&region=…``.

    boto3's configuration provides the credentials, and the endpoint and region unless the URL names them. Sends no
    request.

    Raises:
        InvalidRequest: The URL is malformed, or it holds a credential.
        StoreDenied: boto3's own configuration is invalid.
    """
    parts = urlsplit(url)
    prefix, query = unquote(parts.path).strip("/"), dict(parse_qsl(parts.query, keep_blank_values=True))
    endpoint = query.get("endpoint")
    endpoint_parts = urlsplit(endpoint or "")
    if "@" in parts.netloc + endpoint_parts.netloc or endpoint_parts.query:
        raise InvalidRequest("an s3 URL must not hold a credential; set AWS_SECRET_ACCESS_KEY, which boto3 reads")
    if parts.scheme != "s3" or not parts.netloc or parts.fragment or not query.keys() <= {"endpoint", "region"}:
        raise InvalidRequest(f"{url!r} is not an S3 store; write s3://bucket/prefix?endpoint=https://…&region=…")
    with store_errors(f"cannot use {url!r}"):
        try:
            if prefix:
                check_key(prefix)
            client = boto3.Session().client("s3", endpoint_url=endpoint, region_name=query.get("region"), config=CONFIG)
        except (StoreDenied, ValueError) as error:  # botocore raises ValueError for an invalid endpoint or region
            raise InvalidRequest(f"{url!r} cannot be used: {error}") from error
    return client, parts.netloc, prefix


def hide_secrets() -> None:
    """Drop the log records of boto3 that hold a secret. Idempotent."""
    for name in _SECRET_LOGGERS:
        logging.getLogger(name).addFilter(_holds_no_secret)  # adding it twice is a no-op


def _holds_no_secret(record: logging.LogRecord) -> bool:
    return not _SECRET.search(record.getMessage())
