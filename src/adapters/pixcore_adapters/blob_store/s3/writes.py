"""Conditional writes of S3 objects, whole or in parts, using only methods whose condition the server enforces."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO
from urllib.parse import quote

from botocore.exceptions import ClientError

from pixcore.errors import StoreConflict, StoreDenied
from pixcore_adapters.blob_store import described
from pixcore_adapters.blob_store.s3.checksums import AcceptedChecksums, Checksum
from pixcore_adapters.blob_store.s3.errors import code_of, refused, status_of
from pixcore_adapters.blob_store.s3.fallbacks import Fallbacks
from pixcore_adapters.blob_store.s3.objects import VERSION, metadata_of
from pixcore_adapters.blob_store.s3.uploads import MIN_PART, PartUploads, open_part, part_length

CREATE, REPLACE = "IfNoneMatch", "IfMatch"

_HEADERS = {CREATE: "If-None-Match", REPLACE: "If-Match"}
_WHOLE = "the server does not enforce {header} for blobs in parts; large ones are sent in one request"
_NO_ETAG = '"00000000000000000000000000000000"'  # matches no object
_FALSE = {CREATE: "*", REPLACE: _NO_ETAG}  # conditions that are false for an object that exists
_CONDITION_FAILED = {404, 409, 412}
_REFUSES = "its server refuses the header"
_UNSAFE = {
    CREATE: "cannot store {url} safely: {fault}, so writers could overwrite each other's blobs; take another store, or"
    " let the proxies before it pass this header",
    REPLACE: "cannot replace {url} safely: {fault}; delete it yourself, or take another store",
}


class ConditionalWrites:
    """Conditional writes into one bucket. Threads may share an instance.

    Before a method of writing is first used, it is probed with a write whose condition is false: the server must refuse
    it. ``probe`` is the key of the object for that. It is created and remains in the bucket. ``where`` is the URL of
    the store.
    """

    def __init__(self, client: Any, bucket: str, probe: str, where: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._client, self._bucket, self._probe_key, self._where = client, bucket, probe, where
        self.fallbacks = Fallbacks(where)
        self.reads_back = False  # whether a blob was sent without any checksum
        self._checksums = AcceptedChecksums()
        self._uploads = PartUploads(client, bucket)
        self._faults: dict[tuple[bool, str], str] = {}
        self._probing = RLock()

    def write(
        self, key: str, source: Path, *, sha256: str, size: int, headers: dict[str, Any], condition: str, value: str
    ) -> None:
        """Store a file: in parts if the server enforces the condition for these, else whole (at most 5 GiB on AWS).

        Raises:
            StoreDenied: The server does not enforce the condition at all, or drops metadata.
            StoreConflict: The file's size or sha256 differs, or there is no object to replace.
        """
        parts = size > MIN_PART and not self._fault(condition, parts=True)
        if not parts and (fault := self._fault(condition, parts=False)):
            raise StoreDenied(_UNSAFE[condition].format(url=f"s3://{self._bucket}/{quote(key)}", fault=fault))
        length = part_length(size) if parts else size

        def send(checksum: Checksum) -> None:
            self.reads_back |= checksum is Checksum.NONE
            digests = checksum.digests(described(source, sha256=sha256, size=size), length)
            part = partial(open_part, source, length)
            self._send(part, checksum, digests, key=key, headers=headers, condition={condition: value}, parts=parts)

        try:
            self._checksums.send(send, parts=parts)
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                raise StoreConflict(f"blob {key!r} is gone, so it cannot be replaced; create it instead") from error
            raise
        if fallback := self._checksums.fallback(parts=parts):
            self.fallbacks.count(fallback)
        if size > MIN_PART and not parts:
            self.fallbacks.count(_WHOLE.format(header=_HEADERS[condition]))

    def prepare_copy(
        self, source: str, key: str, *, size: int, headers: dict[str, Any]
    ) -> Callable[[], dict[str, Any]] | None:
        """Copy another object of ``size`` bytes on the server; return the function that creates the object from it.

        Return None if the server cannot do that. Copies in parts are used because Swift refuses every conditional
        CopyObject, and moto ignores its condition; an object without bytes has no part.
        """
        if not size or self._fault(CREATE, parts=True):
            return None
        try:
            return self._uploads.copy(source, key, size=size, headers=headers, condition={CREATE: "*"})
        except ClientError as error:
            if not refused(error):
                raise
            self.fallbacks.count("the server refuses the header x-amz-copy-source; copies are fetched and sent again")
            return None

    def _fault(self, condition: str, *, parts: bool) -> str:
        """Return why the server does not enforce a condition, or "" if it does."""
        with self._probing:
            if (parts, condition) not in self._faults:
                self._faults[parts, condition] = self._probe(condition, parts=parts)
            return self._faults[parts, condition]

    def _probe(self, condition: str, *, parts: bool) -> str:
        write = partial(self._write_probe, condition, parts=parts)
        if condition == REPLACE or parts:
            self._fault(CREATE, parts=False)  # creates the object, so that the condition is false
            return _fault_of(write, condition)
        fault = _fault_of(write, condition) and _fault_of(write, condition)  # the first write may create the object
        if fault.startswith(_REFUSES):
            self._write_probe(None, parts=False)  # raises if the condition is not what the server refuses
        if VERSION not in metadata_of(self._client.head_object(Bucket=self._bucket, Key=self._probe_key)):
            raise StoreDenied(
                f"{self._where} cannot be used: its server drops the metadata of objects (the headers x-amz-meta-*),"
                " which hold the sha256 and the version of each blob; take another store, or let the proxies before it"
                " pass these headers"
            )
        return fault

    def _write_probe(self, condition: str | None, *, parts: bool) -> None:
        """Write the object for probes, under a condition that is false once it exists, or under none."""

        def send(checksum: Checksum) -> None:
            digests = checksum.digests(iter(()), MIN_PART)
            self._send(
                lambda _: io.BytesIO(),
                checksum,
                digests,
                key=self._probe_key,
                headers={"Metadata": {VERSION: "probe"}},
                condition={condition: _FALSE[condition]} if condition else {},
                parts=parts,
            )

        self._checksums.send(send, parts=parts)

    def _send(
        self,
        part: Callable[[int], BinaryIO],
        checksum: Checksum,
        digests: list[bytes],
        *,
        key: str,
        headers: dict[str, Any],
        condition: dict[str, str],
        parts: bool,
    ) -> None:
        if parts:
            self._uploads.upload(key, part, digests=digests, checksum=checksum, headers=headers, condition=condition)
            return
        at = {"Bucket": self._bucket, "Key": key}
        with part(0) as body:
            self._client.put_object(**at, **headers, Body=body, **checksum.headers(digests[0]), **condition)


def _fault_of(write: Callable[[], object], condition: str) -> str:
    """Try a write whose condition is false. Return "" if the server refuses it for that, else what the server does."""
    try:
        write()
    except ClientError as error:
        if status_of(error) in _CONDITION_FAILED and code_of(error) != "NoSuchBucket":
            return ""
        if refused(error):
            return f"{_REFUSES} {_HEADERS[condition]} ({status_of(error)} {code_of(error)})"
        raise
    return f"its server ignores the header {_HEADERS[condition]}"
