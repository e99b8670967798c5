"""Azure stores on Azurite for tests, whose retries do not wait."""

import uuid
from typing import Any

from azure.storage.blob import ExponentialRetry
from servers.addresses import Azure

from pixcore_adapters.blob_store.azure.store import AzureBlobStore


def container() -> str:
    """Return a name that no other test uses."""
    return f"test-{uuid.uuid4()}"


def at_once(retries: int) -> ExponentialRetry:
    """Return a policy of so many retries, which do not wait."""
    return ExponentialRetry(initial_backoff=0, increment_base=0, retry_total=retries, random_jitter_range=0)


def store(
    server: Azure,
    name: str,
    prefix: str = "",
    *,
    retries: int = 3,
    **options: Any,  # noqa: ANN401 - the SDK's
) -> AzureBlobStore:
    """Return a store in a container, which is not created."""
    environ = {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string}
    return AzureBlobStore.from_environment(name, prefix, environ, retry_policy=at_once(retries), **options)
