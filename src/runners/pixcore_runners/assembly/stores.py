"""Blob stores by URL."""

from urllib.parse import urlsplit

from pixcore import BlobStore, InvalidRequest
from pixcore_runners.registry.tables import BLOB_STORES
from pixcore_runners.settings import environment_here


def store_at(url: str) -> BlobStore:
    """Return the store at a URL.

    Raises:
        InvalidRequest: The scheme is unknown, or the URL is malformed.
    """
    if (make := BLOB_STORES.find(urlsplit(url).scheme)) is None:
        raise InvalidRequest(f"unknown store {url!r}; use one of: {', '.join(BLOB_STORES.forms())}")
    store: BlobStore = make(url, environment_here())
    return store
