"""Azure stores on Azurite, as tests need them: with other credentials, through a proxy, without waiting."""

import uuid
from typing import Any

from azure.storage.blob import ExponentialRetry
from servers.addresses import Azure

from pixcore_adapters.blob_store.azure.store import AzureBlobStore


def container() -> str:
    """A name that no other test has."""
    return f"test-{uuid.uuid4()}"


def at_once(retries: int) -> ExponentialRetry:
    """A policy of as many further tries, which do not wait."""
    return ExponentialRetry(initial_backoff=0, increment_base=0, retry_total=retries, random_jitter_range=0)


def store(
    server: Azure,
    name: str,
    prefix: str = "",
    *,
    retries: int = 3,
    **options: Any,  # noqa: ANN401 - the SDK's
) -> AzureBlobStore:
    """A store in a container, which is not made."""
    environ = {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string}
    return AzureBlobStore.from_environment(name, prefix, environ, retry_policy=at_once(retries), **options)
