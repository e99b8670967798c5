"""Uploads in parts: several parts at a time, from a file or from another object, completed in one request."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from s3transfer.utils import ReadFileChunk

from pixcore.errors import StoreConflict
from pixcore_adapters.blob_store.s3.checksums import Checksum
from pixcore_adapters.blob_store.s3.errors import FOREIGN

MIN_PART = 5 << 20  # bytes; S3's minimum
_COPIED_PART = 1 << 30  # bytes; S3 copies at most 5 GiB in one request
_MAX_PARTS = 9_000  # S3 allows 10,000; the margin covers rounding
_CONCURRENT_PARTS = 12  # each on its own connection
_ABANDONED = timedelta(days=1)  # a live upload is never so old: a chunk's deadline is minutes


class PartUploads:
    """Uploads in parts into one bucket."""

    def __init__(self, client: Any, bucket: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._client, self._bucket = client, bucket

    def upload(
        self,
        key: str,
        part: Callable[[int], BinaryIO],
        *,
        digests: list[bytes],
        checksum: Checksum,
        headers: dict[str, Any],
        condition: dict[str, str],
    ) -> None:
        """Upload an object in parts, one for each digest. Abort the upload if anything fails.

        ``part`` opens the part of a number, from 0 on.
        """

        def send(at: dict[str, Any], number: int) -> dict[str, Any]:
            digest = checksum.headers(digests[number])
            with part(number) as body:
                response = self._client.upload_part(**at, PartNumber=number + 1, Body=body, **digest)
            # S3 takes the part's sha256 again with the list of the parts, but no MD5
            again = digest if checksum is Checksum.SHA256 else {}
            return {"PartNumber": number + 1, "ETag": response["ETag"], **again}

        algorithm = {"ChecksumAlgorithm": "SHA256"} if checksum is Checksum.SHA256 else {}
        upload = self._stored(key, send, len(digests), {**headers, **algorithm})
        try:
            self._client.complete_multipart_upload(**upload, **condition)
        except BaseException:
            self._abort(upload)
            raise

    def copy(
        self, source: str, key: str, *, size: int, headers: dict[str, Any], condition: dict[str, str]
    ) -> Callable[[], dict[str, Any]]:
        """Copy another object of ``size`` bytes on the server; return the function that creates the object from it."""

        def part(at: dict[str, Any], number: int) -> dict[str, Any]:
            span = f"bytes={number * _COPIED_PART}-{min((number + 1) * _COPIED_PART, size) - 1}"
            copied = {"Bucket": self._bucket, "Key": source}
            response = self._client.upload_part_copy(
                **at, PartNumber=number + 1, CopySource=copied, CopySourceRange=span
            )
            return {"PartNumber": number + 1, "ETag": response["CopyPartResult"]["ETag"]}

        upload = self._stored(key, part, -(-size // _COPIED_PART), headers)
        return partial(self._client.complete_multipart_upload, **upload, **condition)

    def _stored(
        self,
        key: str,
        send: Callable[[dict[str, Any], int], dict[str, Any]],
        count: int,
        headers: dict[str, Any],
    ) -> dict[str, Any]:
        """Begin an upload and store its ``count`` parts, several at a time. Return what completes it.

        ``send`` takes the upload and the number of a part, from 0 on, and returns the description of the stored part.
        If it fails, the upload is aborted.
        """
        self._sweep(key)
        at = {"Bucket": self._bucket, "Key": key}
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

    def _sweep(self, key: str) -> None:
        """Abort this key's uploads that killed writers left. Best effort."""
        at = {"Bucket": self._bucket, "Key": key}
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key)
        with suppress(*FOREIGN):  # it needs further rights, and nothing depends on it
            for upload in (upload for page in pages for upload in page.get("Uploads", ())):
                if upload["Key"] == key and upload["Initiated"] < datetime.now(UTC) - _ABANDONED:
                    self._client.abort_multipart_upload(**at, UploadId=upload["UploadId"])


def part_length(size: int) -> int:
    """Return how many bytes each part of a file gets. A random number gives equal bytes another ETag at each upload."""
    return max(MIN_PART, size // _MAX_PARTS) + secrets.randbelow(1 << 16)


def open_part(source: Path, length: int, number: int) -> BinaryIO:
    """Open part ``number`` of a file, of ``length`` bytes. It is read piecemeal, and rewound when it is sent again.

    Raises:
        StoreConflict: The file cannot be read.
    """
    try:
        return cast("BinaryIO", ReadFileChunk.from_filename(str(source), number * length, length))
    except OSError as error:
        raise StoreConflict(f"cannot read {str(source)!r} to store it: {error.strerror}") from error
