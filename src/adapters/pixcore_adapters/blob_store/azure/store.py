"""Blobs in a container of Azure Blob Storage, or of a server that speaks its protocol, as block blobs.

A small blob is sent in one request. A larger one is sent in blocks that one last request commits, so a partial upload
is never visible. The service removes the blocks of a killed upload after a week.

The service's own checksum of a blob of several blocks is unreliable, so the sha256 is kept in the metadata. A random id
of each ``put`` is kept there too: when a response is lost and the SDK's retry finds the blob, the id tells whether this
``put`` wrote it.
"""

import logging
import re
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote, unquote, urlsplit

from attrs import evolve
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import (
    BlobProperties,
    ContainerClient,
    ContentSettings,
)

from pixcore.chunk.fetching import copy_blob
from pixcore.errors import StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import check_key, described
from pixcore_adapters.blob_store.azure.account import connect
from pixcore_adapters.blob_store.azure.copying import copied, downloaded
from pixcore_adapters.blob_store.azure.errors import hide_signatures, is_conflict, store_errors

CONNECTIONS = 4  # at once, for each blob
BLOCK = 4 << 20  # bytes; each connection holds one block, and 8 MiB took 36 MiB of memory in all when measured
# the SDK's defaults hold up to 64 MiB at once
_SIZES = dict.fromkeys(("max_single_put_size", "max_block_size", "max_single_get_size", "max_chunk_get_size"), BLOCK)
_PAGE = 5_000  # blobs; the service's limit for one page of a listing
_READ_ATTEMPTS = 4  # an attempt fails when a writer replaces the blob meanwhile

_SHA256, _PUT = "pixcore_sha256", "pixcore_put"
# characters of metadata values that are not quoted: not "%", and not the space, which a header loses at its ends
_UNQUOTED = string.punctuation.replace("%", "")

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_MAX_LENGTH, _MAX_PARTS = 1_024, 254  # UTF-16 code units; path parts
# what Azure would refuse or change: control and private characters, those that XML cannot hold, "\\" (it becomes "/"),
# and a dot at the end of a part
_CHANGED = re.compile(r"[\x00-\x1f\x7f-\x9f\ue000-\uf8ff\ufffe\uffff\\]|\.(?:/|$)")
_HIGH = "\ud800"  # below this character, UTF-16 order and code point order are equal


class AzureBlobStore:
    """A ``BlobStore`` in a container, below ``prefix``. Machines may share it. URLs are ``https://``.

    A key that Azure would refuse or change is refused with ``StoreDenied`` before anything is sent. Blobs that other
    programs wrote are listed too, with an empty sha256 (``""``). An account with a hierarchical namespace lists folder
    by folder, so not in ascending order of keys.

    Memory is bounded for blobs of any size: below 32 MB while one is sent or read.
    """

    def __init__(self, container: ContainerClient, prefix: str = "") -> None:
        self._container = container
        self._root = ""
        self._url = urlsplit(container.url)._replace(query="").geturl()  # the query may hold a signature
        if prefix:
            self._root = f"{self._name(prefix)}/"
        logging.getLogger("urllib3.connectionpool").addFilter(hide_signatures)  # adding it twice is a no-op

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> Self:
        """Return the store of an ``azure://container/prefix`` URL.

        Raises:
            InvalidRequest, StoreDenied: As for ``from_environment``.
        """
        parts = urlsplit(url)
        return cls.from_environment(parts.netloc, unquote(parts.path).strip("/"), environ)

    @classmethod
    def from_environment(
        cls,
        container: str,
        prefix: str,
        environ: Mapping[str, str],
        **options: Any,  # noqa: ANN401 - as the SDK declares them
    ) -> Self:
        """Return the store ``azure://container/prefix``, with the account and credential from the environment.

        See ``account.connect``. Sends nothing. ``options`` for the SDK's client override pixcore's.

        Raises:
            InvalidRequest: No account is configured, a variable is malformed, or azure-identity is missing.
            StoreDenied: The prefix is not a valid key.
        """
        return cls(connect(container, environ, **(_SIZES | options)), prefix)

    def create(self) -> None:
        """Create the container, without public access. Idempotent.

        Raises:
            StoreDenied, StoreUnavailable: As for ``put``.
        """
        with store_errors(f"cannot create the container {self._url}"), suppress(ResourceExistsError):
            self._container.create_container()

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
        """See ``BlobStore.put``. Like Azure, refuses a ``metadata`` key that begins with a digit: ``StoreDenied``."""
        name, put_id = self._name(key), uuid.uuid4().hex
        client = self._container.get_blob_client(name)
        with store_errors(f"cannot store blob {key!r} in {self._url}"):
            blocks = described(source, sha256=sha256, size=size)
            try:
                stored = client.upload_blob(
                    b"".join(blocks) if size <= BLOCK else blocks,
                    overwrite=replacing is not None,  # False makes the SDK send "If-None-Match: *"
                    content_settings=ContentSettings(content_type=content_type),
                    metadata=_stored_metadata(metadata, sha256, put_id),
                    max_concurrency=CONNECTIONS,
                    **_if_match(replacing),
                )
                etag = stored["etag"]
            except HttpResponseError as error:
                found = self._written_by(put_id, name) if is_conflict(error) else None
                if found is None:
                    raise
                etag = found.etag
            else:
                found = self._written_by(put_id, name)
            if found and found.size != size:
                client.delete_blob(**_if_match(_unquoted(etag)))
                raise StoreUnavailable(
                    f"only {found.size} of {size} bytes of blob {key!r} reached {self._url}; try again"
                )
        return Blob(key, self._url_of(name), size, sha256, _unquoted(etag), content_type, dict(metadata))

    def prepare_copy(self, source: str, key: str) -> Callable[[], Blob]:
        """Return a function that copies a blob under another key. The service copies it if it can.

        Creates only.

        Raises:
            StoreConflict: The key exists. The function raises it.
            StoreNotFound: There is no blob ``source``, or no container.
            StoreDenied, StoreUnavailable: As for ``put``.
        """
        name, put_id, blob = self._name(key), uuid.uuid4().hex, self.head(source)
        original, client = (self._container.get_blob_client(each) for each in (self._name(source), name))
        metadata = _stored_metadata(blob.metadata, blob.sha256, put_id)

        def copy() -> Blob:
            with store_errors(f"cannot copy blob {source!r} to {key!r} in {self._url}"):
                try:
                    etag = copied(original, client, metadata)
                except HttpResponseError as error:
                    found = self._written_by(put_id, name) if is_conflict(error) else None
                    if found is None:
                        raise
                    etag = found.etag
            if etag is None:
                return copy_blob(self, source, key)
            return evolve(blob, key=key, url=self._url_of(name), etag=_unquoted(etag))

        return copy

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``."""
        name = self._name(key)
        with store_errors(f"cannot describe blob {key!r} in {self._url}"):
            return self._blob(self._container.get_blob_client(name).get_blob_properties())

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``. Downloads into a temporary file first: the service deletes replaced versions."""
        name = self._name(key)
        with store_errors(f"cannot read blob {key!r} in {self._url}"):
            client = self._container.get_blob_client(name)
            for _ in range(_READ_ATTEMPTS):
                with suppress(ResourceModifiedError):  # replaced meanwhile: the SDK only continues the same version
                    return downloaded(client.download_blob(max_concurrency=CONNECTIONS))
        raise StoreUnavailable(
            f"blob {key!r} in {self._url} was replaced {_READ_ATTEMPTS} times while it was read; try again"
        )

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``. Consecutive blobs with characters above U+D7FF, such as emoji, are sorted in memory.

        Raises:
            StoreNotFound: The container does not exist.
            StoreDenied, StoreUnavailable: As for ``put``.
        """
        below = self._root
        if prefix:
            below = f"{self._name(prefix)}/"
            with suppress(StoreNotFound):
                yield self.head(prefix)
        with store_errors(f"cannot list {prefix!r} in {self._url}"):
            found = self._container.list_blobs(below or None, include=["metadata"], results_per_page=_PAGE)
            # the service sorts by UTF-16, in which "😀" comes before "\uffee"
            for high, run in groupby(filter(self._has_key, found), lambda each: max(each.name[len(below) :]) >= _HIGH):
                order = partial(sorted, key=lambda each: each.name) if high else iter
                yield from map(self._blob, order(run))

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``. Raises ``StoreDenied`` for a blob that has snapshots or a lease."""
        name = self._name(key)
        with store_errors(f"cannot delete blob {key!r} in {self._url}"), suppress(ResourceNotFoundError):
            self._container.get_blob_client(name).delete_blob()

    def _name(self, key: str) -> str:
        check_key(key)
        name = f"{self._root}{key}"
        if bad := _CHANGED.search(name):
            raise StoreDenied(
                f"blob key {key!r} cannot be used in Azure: parts must not end in '.' or contain '\\' or {bad[0]!a};"
                " take another key"
            )
        if len(name.encode("utf-16-le")) > 2 * _MAX_LENGTH or name.count("/") >= _MAX_PARTS:
            raise StoreDenied(
                f"blob key {key!r} cannot be used in Azure: names have at most {_MAX_LENGTH} characters in"
                f" {_MAX_PARTS} parts; take a shorter one"
            )
        return name

    def _has_key(self, found: BlobProperties) -> bool:
        """Return whether a listed blob's name is a valid key."""
        try:
            self._name(found.name.removeprefix(self._root))
        except StoreDenied:
            return False
        return True

    def _url_of(self, name: str) -> str:
        return f"{self._url}/{quote(name)}"

    def _written_by(self, put_id: str, name: str) -> BlobProperties | None:
        """Return the blob's properties if the ``put`` with this id wrote its current version, else None."""
        try:
            found = self._container.get_blob_client(name).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return found if found.metadata.get(_PUT) == put_id else None

    def _blob(self, found: BlobProperties) -> Blob:
        metadata = {name.lower(): unquote(value or "") for name, value in (found.metadata or {}).items()}
        sha256 = metadata.pop(_SHA256, "")
        metadata.pop(_PUT, None)
        key, etag = found.name.removeprefix(self._root), _unquoted(found.etag)
        content_type = found.content_settings.content_type or "application/octet-stream"
        return Blob(key, self._url_of(found.name), found.size, sha256, etag, content_type, metadata)


def _stored_metadata(metadata: Mapping[str, str], sha256: str, put_id: str) -> dict[str, str]:
    """Return the metadata to store: the caller's, quoted, and the store's."""
    if refused := [name for name in metadata if name[0].isdigit() or name in {_SHA256, _PUT}]:
        raise StoreDenied(
            f"metadata key {refused[0]!r} cannot be used in Azure: it begins with a digit or is reserved for the store;"
            " take another key"
        )
    return {name: quote(value, safe=_UNQUOTED) for name, value in metadata.items()} | {_SHA256: sha256, _PUT: put_id}


def _if_match(etag: str | None) -> dict[str, Any]:
    """Return the SDK's arguments for "only if the blob is at this version"; none without an etag."""
    return {} if etag is None else {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}


def _unquoted(etag: str | None) -> str:
    """Return an etag without quotes: headers have them, listings do not."""
    if not etag:
        raise StoreUnavailable(
            "a response had no etag, so it is not from Azure Blob Storage; check for a proxy in between"
        )
    return etag.strip('"')
