"""Blobs as objects of an S3 bucket, on AWS or on any server that speaks S3 and enforces conditional writes.

The ETag alone does not identify a version, because equal bytes may share one. Therefore each version has a random id in
its metadata. When a response is lost, the id also tells whether this ``put`` wrote the object.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote

from attrs import evolve
from botocore.exceptions import ClientError

from pixcore.chunk.fetching import copy_blob
from pixcore.errors import StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import PRIVATE, check_key, check_version
from pixcore_adapters.blob_store.s3.client import connected, hide_secrets
from pixcore_adapters.blob_store.s3.errors import code_of, store_errors
from pixcore_adapters.blob_store.s3.objects import SHA256, VERSION, metadata_of, opened, read_back, sha256_of
from pixcore_adapters.blob_store.s3.writes import CREATE, REPLACE, ConditionalWrites

_DEFAULT_TYPE = "application/octet-stream"
_CONCURRENT_HEADS = 8
_PAGE = 1_000  # keys; S3's limit for one page of a listing


class S3BlobStore:
    """A ``BlobStore`` in a bucket, below ``prefix``. URLs are ``s3://bucket/prefix/key``.

    Objects that other programs wrote are blobs too; ``head`` and ``list`` read them whole to compute the sha256.
    Objects whose keys are invalid (see ``check_key``) are not listed. ``.pixcore`` below the prefix is private.
    Threads may share an instance; forked processes must not.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:  # noqa: ANN401 - boto3 has no types
        self._client, self._bucket, self._root = client, bucket, f"{prefix}/" if prefix else ""
        self._writes = ConditionalWrites(client, bucket, f"{self._root}{PRIVATE}/probe-2", self._url())
        hide_secrets()

    @property
    def fallbacks(self) -> Mapping[str, int]:
        """See ``FallbackStore.fallbacks``."""
        return self._writes.fallbacks.counts

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> Self:  # noqa: ARG003 - boto3 reads the process's environment
        """Return the store ``s3://bucket/prefix?endpoint=…&region=…``.

        boto3's configuration provides the credentials, and the endpoint and region unless the URL names them.

        Raises:
            InvalidRequest: The URL is malformed, or it holds a credential.
            StoreDenied: boto3's own configuration is invalid.
        """
        return cls(*connected(url))

    def create(self) -> None:
        """Create the bucket in the client's region. Idempotent.

        Raises:
            StoreDenied, StoreUnavailable: As for ``put``; the first also if another account owns the bucket.
        """
        region = self._client.meta.region_name
        # us-east-1 is the default, and S3 refuses a constraint that names it
        location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with store_errors(f"cannot create the bucket {self._bucket!r}"):
            try:
                self._client.create_bucket(Bucket=self._bucket, **location)
            except ClientError as error:
                if code_of(error) == "BucketAlreadyExists":
                    self._require_own(error)
                elif code_of(error) != "BucketAlreadyOwnedByYou":
                    raise

    def _require_own(self, error: ClientError) -> None:
        """Raise ``error`` unless the bucket can be used: some servers say of one's own bucket only that it exists."""
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError:
            raise error from None

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
        headers = {"ContentType": content_type, "Metadata": {**metadata, SHA256: sha256, VERSION: version}}

        def write() -> None:
            condition, value = CREATE, "*"
            if replacing is not None:
                condition, value = REPLACE, f'"{replacing.rpartition(".")[0]}"'
                # the server compares only ETags, and a later version with equal bytes may have the same ETag
                check_version(key, current=self._etag(key), replacing=replacing)
            self._writes.write(
                self._root + key, source, sha256=sha256, size=size, headers=headers, condition=condition, value=value
            )

        return self._written(key, size, version, write)

    def prepare_copy(self, source: str, key: str) -> Callable[[], Blob]:
        """Copy a blob on the server; return the function that shows the copy under another key, in one request.

        Creates only. A copy that is never shown stays an incomplete multipart upload, which a rule of the bucket's life
        cycle removes. If the server cannot copy, or cannot create conditionally from parts, the function reads and
        stores the blob.

        Raises:
            StoreConflict: The key exists. The function raises it.
            StoreNotFound: There is no blob ``source``, or no bucket.
            StoreDenied, StoreUnavailable: As for ``put``.
        """
        check_key(key)
        blob, version = self.head(source), uuid.uuid4().hex
        metadata = {**blob.metadata, SHA256: blob.sha256, VERSION: version}
        headers = {"ContentType": blob.content_type, "Metadata": metadata}
        with store_errors(f"cannot copy blob {source!r} in {self._url()}"):
            create = self._writes.prepare_copy(self._root + source, self._root + key, size=blob.size, headers=headers)
        if create is None:
            return partial(copy_blob, self, source, key)

        def show() -> Blob:
            try:
                with store_errors(f"cannot store blob {key!r} in {self._url()}"):
                    etag = create()["ETag"].strip('"')
            except (StoreConflict, StoreUnavailable):
                stored = self._head_or_none(key)
                if stored and stored.etag.endswith(f".{version}"):  # the response to the request was lost
                    return stored
                raise
            return evolve(blob, key=key, url=self._url(key), etag=f"{etag}.{version}")

        return show

    def _written(self, key: str, size: int, version: str, write: Callable[[], None]) -> Blob:
        """Call ``write``, which stores a version of a blob, and return the blob once it is found to be that version."""
        failure: StoreConflict | StoreUnavailable | None = None
        try:
            with store_errors(f"cannot store blob {key!r} in {self._url()}"):
                write()
        except (StoreConflict, StoreUnavailable) as error:
            failure = error  # unless the server stored the blob and its response was lost; checked below
        stored = self._head_or_none(key)
        if stored is None:
            raise failure or StoreUnavailable(f"blob {key!r} was stored but cannot be found; try again")
        if not stored.etag.endswith(f".{version}"):
            raise failure or StoreConflict(
                f"blob {key!r} was replaced right after it was stored; read its current version and try again"
            )
        if stored.size != size:
            raise StoreUnavailable(f"only {stored.size} of the {size} bytes of blob {key!r} were stored; delete it")
        if self._writes.reads_back:
            read_back(self._client, self._at(key), key, version=version)
        return stored

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``. An object that no store wrote is read whole."""
        at = self._at(key)
        with store_errors(f"cannot describe blob {key!r} in {self._url()}"):
            found = self._client.head_object(**at)
            own = metadata_of(found)
            if SHA256 not in own:
                found = self._client.get_object(**at)  # maybe a newer version: take everything from this response
                own = {SHA256: sha256_of(found, key), **metadata_of(found)}
        etag = f"{found['ETag'].strip(chr(34))}.{own.pop(VERSION, '')}"
        size, content_type, sha256 = found["ContentLength"], found.get("ContentType", _DEFAULT_TYPE), own.pop(SHA256)
        return Blob(key, self._url(key), size, sha256, etag, content_type, own)

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``. Reads one response of the server; if that breaks off, reading raises."""
        at = self._at(key)
        with store_errors(f"cannot read blob {key!r} in {self._url()}"):
            return opened(self._client.get_object(**at), key)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``. Sends one request a blob, several at once: S3's listings have no metadata."""
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

    def _head_or_none(self, key: str) -> Blob | None:
        with suppress(StoreNotFound):
            return self.head(key)
        return None

    def _etag(self, key: str) -> str | None:
        blob = self._head_or_none(key)
        return blob.etag if blob else None

    def _existing(self, keys: Iterable[str]) -> Iterator[Blob]:
        """Yield the blobs that still exist, in the order of ``keys``."""
        pool = ThreadPoolExecutor(_CONCURRENT_HEADS)
        try:
            yield from filter(None, pool.map(self._head_or_none, filter(_is_key, keys)))
        finally:
            pool.shutdown(cancel_futures=True)


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except StoreDenied:
        return False
    return True
