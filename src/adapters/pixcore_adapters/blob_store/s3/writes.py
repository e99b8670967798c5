"""Writing an object of a bucket under a condition, whole or in parts: only in ways in which the server enforces it."""

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

_PART = 5 << 20  # bytes; S3 takes no smaller part
_PARTS = 9_000  # S3 takes 10,000, and parts vary
_AT_ONCE = 12  # parts, each on a connection of its own
_DANGLING = timedelta(days=1)  # no upload that lives is so old: a chunk's deadline is minutes
_NO_ETAG = '"00000000000000000000000000000000"'
_REFUSALS = {404, 409, 412}


class ConditionalWrites:
    """Writes into one bucket. ``probe`` is the key of an object that is made, and stays, to find out what is enforced.

    The server is asked about each way of writing before it is first relied on: to break the condition on purpose.
    """

    def __init__(self, client: Any, bucket: str, probe: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._client, self._bucket, self._probe_key = client, bucket, probe
        self._enforced: dict[tuple[bool, str], bool] = {}

    def write(
        self, key: str, source: Path, *, sha256: str, size: int, headers: dict[str, Any], condition: str, value: str
    ) -> None:
        """Store a file: in parts where the server enforces the condition on these, else whole (5 GiB at most on AWS).

        Raises:
            StoreDenied: The server does not enforce the condition at all.
            StoreConflict: The file is not as described, or there is nothing to replace.
        """
        at = {"Bucket": self._bucket, "Key": key}
        # the ETag depends on where the parts end, so that equal bytes in parts get another one each time
        length = max(_PART, size // _PARTS) + secrets.randbelow(1 << 16)
        checksums = _checksums(described(source, sha256=sha256, size=size), length)
        try:
            if size > _PART and self._enforces(condition, parts=True):
                part = partial(_opened, source, length)
                self._upload(at, part, checksums, headers, {condition: value})
            elif self._enforces(condition, parts=False):
                with _opened(source, size, 0) as body:
                    checksum = _base64(bytes.fromhex(sha256))
                    self._client.put_object(**at, **headers, Body=body, ChecksumSHA256=checksum, **{condition: value})
            elif condition == REPLACE:
                raise StoreDenied(
                    f"this server cannot replace {key!r} safely, as it does not enforce If-Match; delete it yourself,"
                    " or take another store"
                )
            else:
                raise StoreDenied(
                    f"this server cannot store {key!r} safely, as it does not enforce If-None-Match, and writers would"
                    " overwrite each other's blobs; take another store"
                )
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                raise StoreConflict(f"{key!r} is gone, there is nothing to replace; look at it again") from error
            raise

    def _enforces(self, condition: str, *, parts: bool) -> bool:
        if (parts, condition) not in self._enforced:
            self._enforced[parts, condition] = self._probe(condition, parts=parts)
        return self._enforced[parts, condition]

    def _probe(self, condition: str, *, parts: bool) -> bool:
        at = {"Bucket": self._bucket, "Key": self._probe_key}
        broken = {condition: "*" if condition == CREATE else _NO_ETAG}
        whole = partial(self._client.put_object, **at, Body=b"", **broken)
        if condition == CREATE and not parts:
            return _refused(whole) or _refused(whole)  # the first time, it may have been made
        self._enforces(CREATE, parts=False)  # makes it
        if not parts:
            return _refused(whole)
        checksum = _base64(hashlib.sha256(b"").digest())
        return _refused(partial(self._upload, at, lambda _: io.BytesIO(), [checksum], {}, broken))

    def _upload(
        self,
        at: dict[str, Any],
        part: Callable[[int], BinaryIO],
        checksums: list[str],
        headers: dict[str, Any],
        condition: dict[str, str],
    ) -> None:
        """Store a body of parts, several at a time; when it fails, they go."""
        self._sweep(at)
        answer = self._client.create_multipart_upload(**at, **headers, ChecksumAlgorithm="SHA256")
        at = {**at, "UploadId": answer["UploadId"]}

        def send(number: int) -> dict[str, Any]:
            known = {"PartNumber": number + 1, "ChecksumSHA256": checksums[number]}
            with part(number) as body:
                return {**known, "ETag": self._client.upload_part(**at, **known, Body=body)["ETag"]}

        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            parts = {"Parts": list(pool.map(send, range(len(checksums))))}
            self._client.complete_multipart_upload(**at, MultipartUpload=parts, **condition)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            with suppress(*FOREIGN):  # what failed first is what to tell
                self._client.abort_multipart_upload(**at)
            raise
        finally:
            pool.shutdown()

    def _sweep(self, at: dict[str, Any]) -> None:
        """Abort the uploads of this key that killed writers left behind."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=at["Bucket"], Prefix=at["Key"])
        with suppress(*FOREIGN):  # it needs rights of its own, and nothing depends on it
            for upload in (upload for page in pages for upload in page.get("Uploads", ())):
                if upload["Key"] == at["Key"] and upload["Initiated"] < datetime.now(UTC) - _DANGLING:
                    self._client.abort_multipart_upload(**at, UploadId=upload["UploadId"])


def _refused(write: Callable[[], object]) -> bool:
    """Whether the server refuses a write because of its condition; one that it cannot do at all does not count."""
    try:
        write()
    except ClientError as error:
        if status_of(error) in _REFUSALS and code_of(error) != "NoSuchBucket":
            return True
        if status_of(error) == 501:  # noqa: PLR2004 - Not Implemented
            return False
        raise
    return False


def _opened(source: Path, length: int, number: int) -> BinaryIO:
    """A part of a file, as the vendor's own uploads read it: not all at once, and again when it is sent again."""
    try:
        return cast("BinaryIO", ReadFileChunk.from_filename(str(source), number * length, length))
    except OSError as error:
        raise StoreConflict(f"cannot read {str(source)!r} to store it: {error.strerror}") from error


def _checksums(blocks: Iterator[bytes], length: int) -> list[str]:
    """The sha256 of each ``length`` bytes, and of the rest."""
    done, digest, room = [], hashlib.sha256(), length
    for block in blocks:
        digest.update(block[:room])
        if len(block) >= room:
            done.append(_base64(digest.digest()))
            digest, room = hashlib.sha256(block[room:]), room + length
        room -= len(block)
    return [*done, _base64(digest.digest())] if room < length else done


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
