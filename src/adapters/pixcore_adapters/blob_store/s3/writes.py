"""Conditional writes of S3 objects, whole or in parts, using only methods whose condition the server enforces."""

import base64
import hashlib
import io
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from botocore.exceptions import ClientError
from s3transfer.utils import ReadFileChunk

from pixcore.errors import StoreConflict, StoreDenied
from pixcore_adapters.blob_store import described
from pixcore_adapters.blob_store.s3.errors import FOREIGN, code_of, status_of

CREATE, REPLACE = "IfNoneMatch", "IfMatch"

_MIN_PART = 5 << 20  # bytes; S3's minimum
_COPIED_PART = 1 << 30  # bytes; S3 copies at most 5 GiB in one request
_MAX_PARTS = 9_000  # S3 allows 10,000; the margin covers rounding
_CONCURRENT_PARTS = 12  # each on its own connection
_ABANDONED = timedelta(days=1)  # a live upload is never so old: a chunk's deadline is minutes
_NO_ETAG = '"00000000000000000000000000000000"'  # matches no object
_REFUSALS = {404, 409, 412}


class ConditionalWrites:
    """Conditional writes into one bucket.

    Before a method of writing is first used, it is probed with a write whose condition is false: the server must refuse
    it. ``probe`` is the key of the object for that. It is created and remains in the bucket.
    """

    def __init__(self, client: Any, bucket: str, probe: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._client, self._bucket, self._probe_key = client, bucket, probe
        self._enforced: dict[tuple[bool, str], bool] = {}

    def write(
        self, key: str, source: Path, *, sha256: str, size: int, headers: dict[str, Any], condition: str, value: str
    ) -> None:
        """Store a file: in parts if the server enforces the condition for these, else whole (at most 5 GiB on AWS).

        Raises:
            StoreDenied: The server does not enforce the condition at all.
            StoreConflict: The file's size or sha256 differs, or there is no object to replace.
        """
        at = {"Bucket": self._bucket, "Key": key}
        # a random length of the parts gives equal bytes another ETag at each upload
        length = max(_MIN_PART, size // _MAX_PARTS) + secrets.randbelow(1 << 16)
        checksums = _checksums(described(source, sha256=sha256, size=size), length)
        try:
            if size > _MIN_PART and self._enforces(condition, parts=True):
                part = partial(_open_part, source, length)
                self._upload(at, part, checksums, headers, {condition: value})
            elif self._enforces(condition, parts=False):
                with _open_part(source, size, 0) as body:
                    checksum = _base64(bytes.fromhex(sha256))
                    self._client.put_object(**at, **headers, Body=body, ChecksumSHA256=checksum, **{condition: value})
            elif condition == REPLACE:
                raise StoreDenied(
                    f"this server cannot replace {key!r} safely because it does not enforce If-Match; delete it"
                    " yourself, or take another store"
                )
            else:
                raise StoreDenied(
                    f"this server cannot store {key!r} safely because it does not enforce If-None-Match, so writers"
                    " could overwrite each other's blobs; take another store"
                )
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                raise StoreConflict(f"blob {key!r} is gone, so it cannot be replaced; create it instead") from error
            raise

    def copies(self, size: int) -> bool:
        """Return whether ``prepare_copy`` can copy an object of ``size`` bytes.

        Copies in parts are used because Swift refuses every conditional CopyObject, and moto ignores its condition.
        """
        return size > 0 and self._enforces(CREATE, parts=True)

    def prepare_copy(
        self, source: str, key: str, *, size: int, headers: dict[str, Any]
    ) -> Callable[[], dict[str, Any]]:
        """Copy another object of ``size`` bytes on the server; return the function that creates the object from it."""

        def part(at: dict[str, Any], number: int) -> dict[str, Any]:
            span = f"bytes={number * _COPIED_PART}-{min((number + 1) * _COPIED_PART, size) - 1}"
            copied = {"Bucket": self._bucket, "Key": source}
            response = self._client.upload_part_copy(
                **at, PartNumber=number + 1, CopySource=copied, CopySourceRange=span
            )
            return {"PartNumber": number + 1, "ETag": response["CopyPartResult"]["ETag"]}

        upload = self._parts({"Bucket": self._bucket, "Key": key}, part, -(-size // _COPIED_PART), headers)
        return partial(self._client.complete_multipart_upload, **upload, **{CREATE: "*"})

    def _enforces(self, condition: str, *, parts: bool) -> bool:
        if (parts, condition) not in self._enforced:
            self._enforced[parts, condition] = self._probe(condition, parts=parts)
        return self._enforced[parts, condition]

    def _probe(self, condition: str, *, parts: bool) -> bool:
        at = {"Bucket": self._bucket, "Key": self._probe_key}
        false_condition = {condition: "*" if condition == CREATE else _NO_ETAG}
        whole = partial(self._client.put_object, **at, Body=b"", **false_condition)
        if condition == CREATE and not parts:
            return _refused(whole) or _refused(whole)  # the first write may have created the object
        self._enforces(CREATE, parts=False)  # creates the object, so that the condition is false
        if not parts:
            return _refused(whole)
        checksum = _base64(hashlib.sha256(b"").digest())
        return _refused(partial(self._upload, at, lambda _: io.BytesIO(), [checksum], {}, false_condition))

    def _upload(
        self,
        at: dict[str, Any],
        part: Callable[[int], BinaryIO],
        checksums: list[str],
        headers: dict[str, Any],
        condition: dict[str, str],
    ) -> None:
        """Upload an object in parts, several at a time. Abort the upload if anything fails."""

        def send(at: dict[str, Any], number: int) -> dict[str, Any]:
            description = {"PartNumber": number + 1, "ChecksumSHA256": checksums[number]}
            with part(number) as body:
                return {**description, "ETag": self._client.upload_part(**at, **description, Body=body)["ETag"]}

        upload = self._parts(at, send, len(checksums), {**headers, "ChecksumAlgorithm": "SHA256"})
        try:
            self._client.complete_multipart_upload(**upload, **condition)
        except BaseException:
            self._abort(upload)
            raise

    def _parts(
        self,
        at: dict[str, Any],
        send: Callable[[dict[str, Any], int], dict[str, Any]],
        count: int,
        headers: dict[str, Any],
    ) -> dict[str, Any]:
        """Begin an upload and store its ``count`` parts, several at a time. Return what completes it.

        ``send`` takes the upload and the number of a part, from 0 on, and returns the description of the stored part.
        If it fails, the upload is aborted.
        """
        self._sweep(at)
        response = self._client.create_multipart_upload(**at, **headers)
        at = {**at, "UploadId": response["UploadId"]}
        pool = ThreadPoolExecutor(_CONCURRENT_PARTS)
        try:
            return {**at, "MultipartUpload": {"Parts": list(pool.map(partial(send, at), range(count)))}}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            self._abort(at)
            raise
        finally:
            pool.shutdown()

    def _abort(self, upload: dict[str, Any]) -> None:
        with suppress(*FOREIGN):  # the first error is the one to report
            self._client.abort_multipart_upload(**{name: upload[name] for name in ("Bucket", "Key", "UploadId")})

    def _sweep(self, at: dict[str, Any]) -> None:
        """Abort this key's uploads that killed writers left. Best effort."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=at["Bucket"], Prefix=at["Key"])
        with suppress(*FOREIGN):  # it needs further rights, and nothing depends on it
            for upload in (upload for page in pages for upload in page.get("Uploads", ())):
                if upload["Key"] == at["Key"] and upload["Initiated"] < datetime.now(UTC) - _ABANDONED:
                    self._client.abort_multipart_upload(**at, UploadId=upload["UploadId"])


def _refused(write: Callable[[], object]) -> bool:
    """Try a write. Return whether the server refused it because of its condition; False if it does not support it."""
    try:
        write()
    except ClientError as error:
        if status_of(error) in _REFUSALS and code_of(error) != "NoSuchBucket":
            return True
        if status_of(error) == 501:  # noqa: PLR2004 - Not Implemented
            return False
        raise
    return False


def _open_part(source: Path, length: int, number: int) -> BinaryIO:
    """Open part ``number`` of a file, of ``length`` bytes. It is read piecemeal, and rewound when it is sent again."""
    try:
        return cast("BinaryIO", ReadFileChunk.from_filename(str(source), number * length, length))
    except OSError as error:
        raise StoreConflict(f"cannot read {str(source)!r} to store it: {error.strerror}") from error


def _checksums(blocks: Iterator[bytes], length: int) -> list[str]:
    """Return the sha256 (base64) of each part of ``length`` bytes, the last of which may be shorter."""
    finished, digest, remaining = [], hashlib.sha256(), length
    for block in blocks:
        digest.update(block[:remaining])
        if len(block) >= remaining:
            finished.append(_base64(digest.digest()))
            digest, remaining = hashlib.sha256(block[remaining:]), remaining + length
        remaining -= len(block)
    return [*finished, _base64(digest.digest())] if remaining < length else finished


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
