"""Blobs as objects of an S3 bucket: on AWS, or on any server that speaks S3 and enforces conditional writes.

What S3 has no field for lies in the object's metadata and appears with its bytes: the sha256, and a random name for
each version. The ETag alone names none, because equal bytes may share it; the name also tells whose write the server
took when its answer was lost.
"""

import hashlib
import io
import logging
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from pixcore.errors import InvalidRequest, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import PRIVATE, check_key, check_version
from pixcore_adapters.blob_store.s3.errors import code_of, store_errors
from pixcore_adapters.blob_store.s3.writes import CREATE, REPLACE, ConditionalWrites

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# the port's metadata keys have no hyphen, so these are nobody else's
_SHA256, _VERSION = "pixcore-sha256", "pixcore-version"

_UNTYPED = "application/octet-stream"
_LOOKS_AT_ONCE = 8
_PAGE = 1_000  # keys of a listing; S3 gives no more
_READ = 1 << 18  # bytes

_CONFIG = Config(
    retries={"total_max_attempts": 4, "mode": "standard"},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=64,  # made when needed; boto3's 10 are few for several threads that upload in parts
    # each write has its sha256 with it; what newer SDKs add of themselves, servers other than AWS refuse
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
# boto3 logs these at DEBUG: as headers, as what is signed, and as what a credential server answers
_SECRET = re.compile(r"signature|authorization|security-token|secretaccesskey|sessiontoken|accesskeyid", re.IGNORECASE)
_TELLTALES = ("botocore.auth", "botocore.endpoint", "botocore.parsers", "botocore.utils")


class S3BlobStore:
    """A ``BlobStore`` in a bucket, below ``prefix``. URLs are ``s3://bucket/prefix/key``.

    Objects that others put there are blobs like any other; they are read whole to describe them. Those whose keys no
    store takes are not listed. ``.pixcore`` below the prefix is private. Share it among threads, not across a fork.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:  # noqa: ANN401 - boto3 has no types
        self._client, self._bucket, self._root = client, bucket, f"{prefix}/" if prefix else ""
        self._writes = ConditionalWrites(client, bucket, f"{self._root}{PRIVATE}/probe")
        for name in _TELLTALES:
            logging.getLogger(name).addFilter(_tells_no_secret)

    @classmethod
    def at(cls, url: str) -> Self:
        """Give the store ``s3://bucket/prefix?endpoint=…&region=…``; boto3 finds what is left out, and the credentials.

        Raises:
            InvalidRequest: A malformed URL, or one with a credential.
            StoreDenied: boto3's own configuration cannot be used.
        """
        parts = urlsplit(url)
        prefix, query = unquote(parts.path).strip("/"), dict(parse_qsl(parts.query, keep_blank_values=True))
        endpoint = query.get("endpoint")
        asked = urlsplit(endpoint or "")
        if "@" in parts.netloc + asked.netloc or asked.query:
            raise InvalidRequest("an s3 URL holds a credential; leave it to boto3, which reads AWS_SECRET_ACCESS_KEY")
        if parts.scheme != "s3" or not parts.netloc or parts.fragment or not query.keys() <= {"endpoint", "region"}:
            raise InvalidRequest(f"{url!r} is no S3 store; write s3://bucket/prefix?endpoint=https://…&region=…")
        with store_errors(f"cannot use {url!r}"):
            try:
                if prefix:
                    check_key(prefix)
                client = boto3.Session().client(
                    "s3", endpoint_url=endpoint, region_name=query.get("region"), config=_CONFIG
                )
            except (
                StoreDenied,
                ValueError,
            ) as error:  # the second is botocore's, for an endpoint or region that is none
                raise InvalidRequest(f"{url!r} cannot be used: {error}") from error
        return cls(client, parts.netloc, prefix)

    def create(self) -> None:
        """Make the bucket, in the client's region. Idempotent.

        Raises:
            StoreDenied, StoreUnavailable: As for ``put``; the first also when the bucket is somebody else's.
        """
        region = self._client.meta.region_name
        # where there is no constraint, it is us-east-1, which must not be named
        elsewhere = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with store_errors(f"cannot make the bucket {self._bucket!r}"):
            try:
                self._client.create_bucket(Bucket=self._bucket, **elsewhere)
            except ClientError as error:
                if code_of(error) != "BucketAlreadyOwnedByYou":
                    raise

    def put(
        self,
        key: str,
        source: Path,
        *,
        sha256: str,
        size: int,
        content_type: str,
        metadata: Mapping[str, str],
        replacing: str | None = None,
    ) -> Blob:
        """See ``BlobStore.put``."""
        check_key(key)
        version = uuid.uuid4().hex
        headers = {"ContentType": content_type, "Metadata": {**metadata, _SHA256: sha256, _VERSION: version}}
        condition, value = CREATE, "*"
        failure: StoreConflict | StoreUnavailable | None = None
        try:
            with store_errors(f"cannot store blob {key!r} in {self._url()}"):
                if replacing is not None:
                    condition, value = REPLACE, f'"{replacing.rpartition(".")[0]}"'
                    # the server compares ETags alone: it cannot tell a version from a later one of equal bytes
                    check_version(key, current=self._etag(key), replacing=replacing)
                self._writes.write(
                    self._root + key,
                    source,
                    sha256=sha256,
                    size=size,
                    headers=headers,
                    condition=condition,
                    value=value,
                )
        except (StoreConflict, StoreUnavailable) as error:
            failure = error  # or the server took it, and its answer was lost
        stored = self._look(key)
        if stored is None:
            raise failure or StoreUnavailable(f"blob {key!r} was stored and is not to be found; try again")
        if not stored.etag.endswith(f".{version}"):
            raise failure or StoreConflict(f"blob {key!r} was replaced as soon as it was stored; look at it again")
        if stored.size != size:
            raise StoreUnavailable(f"{stored.size} of the {size} bytes of blob {key!r} were stored; delete it")
        return stored

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``. An object that was not put there by a store is read whole."""
        at = self._at(key)
        with store_errors(f"cannot describe blob {key!r} in {self._url()}"):
            found = self._client.head_object(**at)
            own = found["Metadata"]
            if _SHA256 not in own:
                found = self._client.get_object(**at)  # by now, maybe another version: all is taken from this one
                own = found["Metadata"]
                with io.BufferedReader(_Body(found["Body"], key), _READ) as body:
                    own.setdefault(_SHA256, hashlib.file_digest(body, "sha256").hexdigest())
        etag = f"{found['ETag'].strip(chr(34))}.{own.pop(_VERSION, '')}"
        size, content_type, sha256 = found["ContentLength"], found.get("ContentType", _UNTYPED), own.pop(_SHA256)
        return Blob(key, self._url(key), size, sha256, etag, content_type, own)

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``. It is one answer of the server's; when that breaks off, reading does."""
        at = self._at(key)
        with store_errors(f"cannot read blob {key!r} in {self._url()}"):
            return io.BufferedReader(_Body(self._client.get_object(**at)["Body"], key), _READ)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``. Each blob costs a request, several at a time: a listing holds no metadata."""
        if prefix:
            check_key(prefix)
            yield from self._existing([prefix])
        below = f"{self._root}{prefix}/" if prefix else self._root
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=below, PaginationConfig={"PageSize": _PAGE}
        )
        with store_errors(f"cannot list {prefix!r} in {self._url()}"):
            for page in pages:
                yield from self._existing(entry["Key"].removeprefix(self._root) for entry in page.get("Contents", ()))

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``."""
        at = self._at(key)
        with store_errors(f"cannot delete blob {key!r} in {self._url()}"):
            self._client.delete_object(**at)

    def _at(self, key: str) -> dict[str, str]:
        check_key(key)
        return {"Bucket": self._bucket, "Key": self._root + key}

    def _url(self, key: str = "") -> str:
        return f"s3://{self._bucket}/{quote(self._root + key)}"

    def _look(self, key: str) -> Blob | None:
        with suppress(StoreNotFound):
            return self.head(key)
        return None

    def _etag(self, key: str) -> str | None:
        blob = self._look(key)
        return blob.etag if blob else None

    def _existing(self, keys: Iterable[str]) -> Iterator[Blob]:
        """Describe the blobs that are still there, in the order of their keys."""
        pool = ThreadPoolExecutor(_LOOKS_AT_ONCE)
        try:
            yield from filter(None, pool.map(self._look, filter(_is_key, keys)))
        finally:
            pool.shutdown(cancel_futures=True)


class _Body(io.RawIOBase):
    """A blob being read: what breaks off then is a store's error, too."""

    def __init__(self, body: Any, key: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._body, self._key = body, key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        with store_errors(f"cannot read blob {self._key!r} to its end"):
            return int(self._body.readinto(buffer))

    def close(self) -> None:
        self._body.close()
        super().close()


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except StoreDenied:
        return False
    return True


def _tells_no_secret(record: logging.LogRecord) -> bool:
    return not _SECRET.search(record.getMessage())
