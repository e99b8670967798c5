"""Blobs in a container of Azure Blob Storage, or of what speaks its protocol, as block blobs.

Small ones are sent in one request, larger ones in blocks that become the blob with one last request: what is half sent
is no blob and is never seen. The blocks that a killed upload leaves are the service's to remove, after a week.

The service's own checksum of a blob made of blocks is not to be relied on, so its sha256 is kept as metadata, and so is
a word that tells one ``put`` from all others: when an answer is lost and the SDK's next try meets the blob, that word
says whether it is ours.
"""

import logging
import re
import string
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote, unquote, urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import (
    BlobProperties,
    ContainerClient,
    ContentSettings,
    StorageStreamDownloader,
)

from pixcore.errors import StoreDenied, StoreNotFound, StoreUnavailable
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store import check_key, described
from pixcore_adapters.blob_store.azure.account import connect
from pixcore_adapters.blob_store.azure.errors import hide_signatures, is_conflict, store_errors

CONNECTIONS = 4  # a blob's, at once
BLOCK = 4 << 20  # bytes; each connection holds one, and 8 MiB would take 36 MiB in all, measured
_SIZES = dict.fromkeys(
    ("max_single_put_size", "max_block_size", "max_single_get_size", "max_chunk_get_size"), BLOCK
)  # else up to 64 MiB at once
_PAGE = 5_000  # blobs; the service lists no more at once
_ROUNDS = 4  # each loses a race against a writer

_SHA256, _PUT = "pixcore_sha256", "pixcore_put"
# what a value of metadata holds as it is: all but "%" and the space, which a header loses at its ends
_AS_IT_IS = string.punctuation.replace("%", "")

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_LONGEST, _DEEPEST = 1_024, 254  # UTF-16 units; parts
# control and private characters, those that XML cannot hold, and "\\", which becomes "/"
_CHANGED = re.compile(r"[\x00-\x1f\x7f-\x9f\ue000-\uf8ff\ufffe\uffff\\]|\.(?:/|$)")
_HIGH = "\ud800"  # below it, the orders by UTF-16 and by code points are one


class AzureBlobStore:
    """A ``BlobStore`` in a container, below ``prefix``, shared by any number of machines. URLs are ``https://``.

    Not every key can be a name there: what Azure refuses, or would change on the way, is refused with ``StoreDenied``
    before anything is sent. Blobs that others put there are blobs like any other, with no sha256 (``""``). An account
    with a hierarchical namespace lists folder by folder, and so not by rising key.

    Memory is bounded, whatever a blob's size: below 32 MB while one is sent or read.
    """

    def __init__(self, container: ContainerClient, prefix: str = "") -> None:
        self._container = container
        self._root = ""
        self._url = urlsplit(container.url)._replace(query="").geturl()  # the query may be a signature
        if prefix:
            self._root = f"{self._name(prefix)}/"
        logging.getLogger("urllib3.connectionpool").addFilter(hide_signatures)  # the same one again is no other

    @classmethod
    def from_environment(
        cls,
        container: str,
        prefix: str,
        environ: Mapping[str, str],
        **options: Any,  # noqa: ANN401 - as the SDK declares them
    ) -> Self:
        """Give the store ``azure://container/prefix``, with the account and the credential that the environment names.

        See ``account.connect``. Nothing is sent yet. ``options`` of the SDK's client go before pixcore's own.

        Raises:
            InvalidRequest: No account is named, or what names it is malformed; or azure-identity is missing.
            StoreDenied: The prefix can be no key.
        """
        return cls(connect(container, environ, **(_SIZES | options)), prefix)

    def create(self) -> None:
        """Make the container, open to nobody but the account. Idempotent.

        Raises:
            StoreDenied, StoreUnavailable: As for ``put``.
        """
        with store_errors(f"cannot make the container {self._url}"), suppress(ResourceExistsError):
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
        """See ``BlobStore.put``. A ``metadata`` key that begins with a digit is refused, as Azure would."""
        name, put = self._name(key), uuid.uuid4().hex
        client = self._container.get_blob_client(name)
        with store_errors(f"cannot store blob {key!r} in {self._url}"):
            blocks = described(source, sha256=sha256, size=size)
            try:
                stored = client.upload_blob(
                    b"".join(blocks) if size <= BLOCK else blocks,
                    overwrite=replacing is not None,  # else the SDK itself says "only if there is none"
                    content_settings=ContentSettings(content_type=content_type),
                    metadata=_packed(metadata, sha256, put),
                    max_concurrency=CONNECTIONS,
                    **_only_if(replacing),
                )
                etag = stored["etag"]
            except HttpResponseError as error:
                there = self._made_by(put, name) if is_conflict(error) else None
                if there is None:
                    raise
                etag = there.etag
            else:
                there = self._made_by(put, name)
            if there and there.size != size:
                client.delete_blob(**_only_if(_bare(etag)))
                raise StoreUnavailable(f"of blob {key!r}, {there.size} of {size} bytes reached {self._url}; try again")
        return Blob(key, self._url_of(name), size, sha256, _bare(etag), content_type, dict(metadata))

    def head(self, key: str) -> Blob:
        """See ``BlobStore.head``."""
        name = self._name(key)
        with store_errors(f"cannot describe blob {key!r} in {self._url}"):
            return self._blob(self._container.get_blob_client(name).get_blob_properties())

    def open(self, key: str) -> BinaryIO:
        """See ``BlobStore.open``. It is copied into a temporary file first: the service forgets replaced versions."""
        name = self._name(key)
        with store_errors(f"cannot read blob {key!r} in {self._url}"):
            client = self._container.get_blob_client(name)
            for _ in range(_ROUNDS):
                with suppress(ResourceModifiedError):  # replaced meanwhile: the SDK asks for one version only
                    return _copy(client.download_blob(max_concurrency=CONNECTIONS))
        raise StoreUnavailable(f"blob {key!r} in {self._url} was replaced {_ROUNDS} times while it was read; try again")

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See ``BlobStore.list``. Blobs in a row that go beyond U+D7FF, such as emoji, are held together in memory.

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
            # the service's order is that of UTF-16, in which "😀" comes before "\uffee"
            for high, run in groupby(filter(self._has_key, found), lambda each: max(each.name[len(below) :]) >= _HIGH):
                order = partial(sorted, key=lambda each: each.name) if high else iter
                yield from map(self._blob, order(run))

    def delete(self, key: str) -> None:
        """See ``BlobStore.delete``. A blob with snapshots or a lease is not deleted, but refused: ``StoreDenied``."""
        name = self._name(key)
        with store_errors(f"cannot delete blob {key!r} in {self._url}"), suppress(ResourceNotFoundError):
            self._container.get_blob_client(name).delete_blob()

    def _name(self, key: str) -> str:
        check_key(key)
        name = f"{self._root}{key}"
        if bad := _CHANGED.search(name):
            raise StoreDenied(
                f"blob key {key!r} cannot be used in Azure: parts must not end in '.', nor hold '\\' or {bad[0]!a};"
                " take another"
            )
        if len(name.encode("utf-16-le")) > 2 * _LONGEST or name.count("/") >= _DEEPEST:
            raise StoreDenied(
                f"blob key {key!r} cannot be used in Azure: names have at most {_LONGEST} characters in {_DEEPEST}"
                " parts; take a shorter one"
            )
        return name

    def _has_key(self, there: BlobProperties) -> bool:
        """Whether a blob's name is one that can be asked for."""
        try:
            self._name(there.name.removeprefix(self._root))
        except StoreDenied:
            return False
        return True

    def _url_of(self, name: str) -> str:
        return f"{self._url}/{quote(name)}"

    def _made_by(self, put: str, name: str) -> BlobProperties | None:
        """What stands there if that ``put`` made it, not another one before or since."""
        try:
            there = self._container.get_blob_client(name).get_blob_properties()
        except ResourceNotFoundError:
            return None
        return there if there.metadata.get(_PUT) == put else None

    def _blob(self, there: BlobProperties) -> Blob:
        metadata = {name.lower(): unquote(value or "") for name, value in (there.metadata or {}).items()}
        sha256 = metadata.pop(_SHA256, "")
        metadata.pop(_PUT, None)
        key, etag = there.name.removeprefix(self._root), _bare(there.etag)
        content_type = there.content_settings.content_type or "application/octet-stream"
        return Blob(key, self._url_of(there.name), there.size, sha256, etag, content_type, metadata)


def _packed(metadata: Mapping[str, str], sha256: str, put: str) -> dict[str, str]:
    """A blob's metadata with pixcore's own."""
    if refused := [name for name in metadata if name[0].isdigit() or name in {_SHA256, _PUT}]:
        raise StoreDenied(f"metadata key {refused[0]!r} cannot be used in Azure: it is the store's own or begins so")
    return {name: quote(value, safe=_AS_IT_IS) for name, value in metadata.items()} | {_SHA256: sha256, _PUT: put}


def _copy(download: StorageStreamDownloader[bytes]) -> BinaryIO:
    """A blob in a file that goes when it is closed, from its start."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever reads it closes it
        try:
            download.readinto(file)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise StoreUnavailable(
            f"cannot copy blob {download.name!r} to {tempfile.gettempdir()}: {error.strerror}; free some space there,"
            " or set TMPDIR"
        ) from error
    return file


def _only_if(etag: str | None) -> dict[str, Any]:
    """The condition that a blob is at a version, or none."""
    return {} if etag is None else {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}


def _bare(etag: str | None) -> str:
    """An etag without the quotes that a header has around it and a listing has not."""
    if not etag:
        raise StoreUnavailable("an answer without an etag is not the service's; look at what stands between, a proxy?")
    return etag.strip('"')
