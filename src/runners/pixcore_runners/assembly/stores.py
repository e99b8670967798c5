"""Blob stores by URL."""

from urllib.parse import urlsplit

from pixcore import BlobStore, InvalidRequest
from pixcore_runners.registry.tables import BLOB_STORES
from pixcore_runners.settings import environment_here


def store_at(url: str, *, create: bool = False) -> BlobStore:
    """Return the store at a URL. With ``create``, create its container or bucket if it does not exist.

    Raises:
        InvalidRequest: The scheme is unknown, or the URL is malformed.
        StoreDenied, StoreUnavailable: The container cannot be created.
    """
    if (make := BLOB_STORES.find(urlsplit(url).scheme)) is None:
        raise InvalidRequest(f"unknown store {url!r}; use one of: {', '.join(BLOB_STORES.forms())}")
    store: BlobStore = make(url, environment_here())
    if create and (creates := getattr(store, "create", None)):
        creates()
    return store
