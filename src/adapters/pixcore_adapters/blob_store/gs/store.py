"""Blobs as objects of a Google Cloud Storage bucket.

The service gives every version of an object a generation number, and creates or replaces an object only at the
generation that a request names; 0 stands for no object. That number is the etag of a blob. Custom metadata hold the
sha256, which the service does not compute, and a random id of each ``put``: when a response is lost and the client's
retry finds the object, the id tells whether this ``put`` wrote it.
"""

import base64
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote, unquote, urlsplit

import google_crc32c
from google.api_core.exceptions import Conflict, NotFound
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from pixcore.errors import InvalidRequest, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import check_key, described
from pixcore_adapters.blob_store.gs.errors import FOREIGN, status_of, store_errors

_CHUNK = 8 << 20  # bytes of a larger upload that are in memory
_PAGE = 1_000  # objects; the service's limit for one page of a listing
_LONGEST = 1_024  # bytes of a name
_FAILED = 412  # the HTTP status of a condition that does not hold
_OPTIONS: dict[str, Any] = {
    "retry": DEFAULT_RETRY.with_timeout(20),  # seconds for all tries of a request
    "timeout": (10, 60),  # seconds to connect, and to wait for bytes
}

# callers cannot use these names: the port's metadata keys have no hyphen
_SHA256, _PUT = "pixcore-sha256", "pixcore-put"
_DEFAULT_TYPE = "application/octet-stream"


class GoogleBlobStore:
    """A ``BlobStore`` in a bucket, below ``prefix``. Machines may share it. URLs are ``gs://bucket/prefix/key``.

    A key that the service would refuse (with line breaks, or longer than 1,024 bytes with the prefix) is refused with
    ``StoreDenied`` before anything is sent. Objects that other programs wrote are listed too, with an empty sha256.
    """

    def __init__(self, client: storage.Client, bucket: str, prefix: str = "") -> None:
        self._client, self._bucket = client, client.bucket(bucket)
        self._root = ""
        if prefix:
            self._root = f"{self._name(prefix)}/"

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> Self:
        """Return the store of a ``gs://bucket/prefix`` URL.

        Google's own places provide the credentials, such as ``GOOGLE_APPLICATION_CREDENTIALS`` or the login of gcloud.
        ``STORAGE_EMULATOR_HOST`` names an emulator.

        Raises:
            InvalidRequest: The URL is malformed.
            StoreDenied: There are no credentials, or the prefix is not a valid key.
        """
        parts = urlsplit(url)
        if parts.scheme != "gs" or not parts.netloc or parts.query or parts.fragment:
            raise InvalidRequest(f"{url!r} is not a Google Cloud Storage store; write gs://bucket/prefix")
        with store_errors(f"cannot use {url!r}"):
            client = storage.Client(project=environ.get("GOOGLE_CLOUD_PROJECT"))
        try:
            return cls(client, parts.netloc, unquote(parts.path).strip("/"))
        except ValueError as error:
            raise InvalidRequest(f"{url!r} cannot be used: {error}") from error

    def create(self) -> None:
        """Create the bucket, in the service's default location. Idempotent.

        Raises:
            InvalidRequest: No project is named.
            StoreDenied, StoreUnavailable: As for ``put``; the first also if another account owns the bucket.
        """
        if self._client.project is None:
            raise InvalidRequest(f"no project is named for the bucket {self._bucket.name}; set GOOGLE_CLOUD_PROJECT")
        with store_errors(f"cannot create the bucket {self._bucket.name!r}"):
            try:
                self._client.create_bucket(self._bucket, **_OPTIONS)
            except Conflict:
                self._client.get_bucket(self._bucket, **_OPTIONS)  # 403 if it belongs to others

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
        target = self._target(key, metadata, sha256)
        checksum = google_crc32c.Checksum()
        for block in described(source, sha256=sha256, size=size):
            checksum.update(block)
        target.crc32c = base64.b64encode(checksum.digest()).decode()  # the service compares it with what arrives

        condition = _generation(key, replacing)

        def upload() -> None:
            with _opened(source) as file:
                target.upload_from_file(
                    file,
                    size=size,
                    content_type=content_type,
                    if_generation_match=condition,
                    checksum=None,
                    **_OPTIONS,
                )

        return self._written(key, target, size, f"cannot store blob {key!r} in {self._url()}", upload)

    def prepare_copy(self, source: str, key: str) -> Callable[[], Blob]:
        """Return a function that copies a blob under another key, on the server. Creates only.

        Raises:
            StoreConflict: The key exists. The function raises it.
            StoreNotFound: There is no blob ``source``, or no bucket.
            StoreDenied, StoreUnavailable: As for ``put``.
        """
        blob = self.head(source)
        target, original = self._target(key, blob.metadata, blob.sha256), self._bucket.blob(self._name(source))
        target.content_type = blob.content_type

        def rewrite() -> None:
            token = None
            while True:  # once, unless the object is moved between classes of storage
                token, _, _ = target.rewrite(original, token=token, if_generation_match=0, **_OPTIONS)
                if token is None:
                    return

        failure = f"cannot copy blob {source!r} to {key!r} in {self._url()}"
        return lambda: self._written(key, target, blob.size, failure, rewrite)

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``."""
        found = self._bucket.blob(self._name(key))
        with self._errors(f"cannot describe blob {key!r} in {self._url()}"):
            found.reload(**_OPTIONS)
        return self._blob(found)

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``. Downloads into a temporary file first: the service deletes replaced versions."""
        found = self._bucket.blob(self._name(key))
        try:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
            try:
                with self._errors(f"cannot read blob {key!r} in {self._url()}"):
                    found.download_to_file(file, raw_download=True, **_OPTIONS)
                file.seek(0)
            except BaseException:
                file.close()
                raise
        except OSError as error:
            raise StoreUnavailable(
                f"cannot copy blob {key!r} to {tempfile.gettempdir()}: {error.strerror}; free some space there, or set"
                " TMPDIR"
            ) from error
        return file

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``."""
        below = self._root
        if prefix:
            below = f"{self._name(prefix)}/"
            with suppress(StoreNotFound):
                yield self.head(prefix)
        with self._errors(f"cannot list {prefix!r} in {self._url()}"):
            for found in self._client.list_blobs(self._bucket, prefix=below or None, page_size=_PAGE, **_OPTIONS):
                if self._has_key(found):
                    yield self._blob(found)

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``."""
        with store_errors(f"cannot delete blob {key!r} in {self._url()}"), suppress(NotFound):
            self._bucket.blob(self._name(key)).delete(**_OPTIONS)

    def _name(self, key: str) -> str:
        check_key(key)
        name = f"{self._root}{key}"
        if {"\r", "\n"} & set(name) or len(name.encode()) > _LONGEST:
            raise StoreDenied(
                f"blob key {key!r} cannot be used in Google Cloud Storage: names have no line breaks and at most"
                f" {_LONGEST} bytes; take another key"
            )
        return name

    def _has_key(self, found: storage.Blob) -> bool:
        """Return whether a listed object's name is a valid key."""
        try:
            self._name(found.name.removeprefix(self._root))
        except StoreDenied:
            return False
        return True

    def _target(self, key: str, metadata: Mapping[str, str], sha256: str) -> storage.Blob:
        """Return the object to write, with its metadata and a new id."""
        target = self._bucket.blob(self._name(key), chunk_size=_CHUNK)
        target.metadata = {**metadata, _SHA256: sha256, _PUT: uuid.uuid4().hex}
        return target

    def _written(self, key: str, target: storage.Blob, size: int, failure: str, write: Callable[[], None]) -> Blob:
        """Call ``write``, which stores ``target``, and return the blob. A lost response is found by the id."""
        put_id = target.metadata[_PUT]
        with self._errors(failure):
            try:
                write()
            except FOREIGN as error:
                if status_of(error) != _FAILED:
                    raise
                with suppress(NotFound):
                    target.reload(**_OPTIONS)
                if (target.metadata or {}).get(_PUT) != put_id or target.generation is None:
                    raise
        stored = self._blob(target)
        if stored.size != size:
            raise StoreUnavailable(f"only {stored.size} of the {size} bytes of blob {key!r} were stored; delete it")
        return stored

    @contextmanager
    def _errors(self, failure: str) -> Iterator[None]:
        """Translate errors, and tell a missing bucket from a missing object: the service has one status for both."""
        try:
            with store_errors(failure):
                yield
        except StoreNotFound as error:
            if self._bucket_exists():
                raise
            raise StoreNotFound(
                f"{failure}: there is no bucket {self._bucket.name!r}; create it with --create-container, or correct"
                " the store's URL"
            ) from error

    def _bucket_exists(self) -> bool:
        try:
            return bool(self._bucket.exists(**_OPTIONS))
        except FOREIGN:  # it needs a right that others do not need
            return True

    def _blob(self, found: storage.Blob) -> Blob:
        metadata = dict(found.metadata or {})
        sha256 = metadata.pop(_SHA256, "")
        metadata.pop(_PUT, None)
        key = found.name.removeprefix(self._root)
        content_type = found.content_type or _DEFAULT_TYPE
        return Blob(key, self._url(key), found.size, sha256, str(found.generation), content_type, metadata)

    def _url(self, key: str = "") -> str:
        return f"gs://{self._bucket.name}/{quote(self._root + key)}"


def _generation(key: str, replacing: str | None) -> int:
    """Return the generation that an object must have to be written; 0 for none."""
    if replacing is None:
        return 0
    if not (replacing.isascii() and replacing.isdecimal()) or not int(replacing):
        raise StoreConflict(f"blob {key!r} is not at version {replacing}; read its current version and try again")
    return int(replacing)


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise StoreConflict(f"cannot read {str(source)!r} to store it: {error.strerror}") from error
