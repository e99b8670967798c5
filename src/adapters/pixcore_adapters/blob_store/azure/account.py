"""The Azure account and credential, from the environment variables that Azure's own command line uses."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.storage.blob import ContainerClient, ExponentialRetry

from pixcore.errors import InvalidRequest
from pixcore_adapters.blob_store.azure.errors import safe_cause

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


def connect(container: str, environ: Mapping[str, str], **options: Any) -> ContainerClient:  # noqa: ANN401 - the SDK's
    """Return a client for a container. Sends nothing.

    Uses ``AZURE_STORAGE_CONNECTION_STRING`` if it is set, with its key or shared access signature. Otherwise the URL is
    ``AZURE_STORAGE_SERVICE_ENDPOINT``, or ``https://ACCOUNT.blob.core.windows.net`` for ``AZURE_STORAGE_ACCOUNT``. The
    credential is then the first of ``AZURE_STORAGE_SAS_TOKEN``, ``AZURE_STORAGE_KEY`` and azure-identity's
    ``DefaultAzureCredential``.

    The client sends a request at most 4 times, within about 17 seconds. ``options`` for the SDK's client take
    precedence.

    Raises:
        InvalidRequest: No account is configured, a variable is malformed, or azure-identity is missing.
    """
    retry = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3, random_jitter_range=1)
    options = {"retry_policy": retry, **options}
    try:
        if connection := environ.get("AZURE_STORAGE_CONNECTION_STRING"):
            return ContainerClient.from_connection_string(connection, container, **options)
        return ContainerClient(_url(environ), container, credential=_credential(environ), **options)
    except InvalidRequest:
        raise
    except ValueError as error:
        cause = safe_cause(error)
        raise InvalidRequest(
            f"cannot connect to the Azure container {container!r}: {cause}; set AZURE_STORAGE_CONNECTION_STRING to the"
            " value that the portal shows under 'Access keys'"
        ) from cause


def _url(environ: Mapping[str, str]) -> str:
    if endpoint := environ.get("AZURE_STORAGE_SERVICE_ENDPOINT"):
        return endpoint
    if account := environ.get("AZURE_STORAGE_ACCOUNT"):
        return f"https://{account}.blob.core.windows.net"
    raise InvalidRequest("no Azure account is configured; set AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT")


def _credential(
    environ: Mapping[str, str],
) -> "AzureSasCredential | AzureNamedKeyCredential | TokenCredential":
    if token := environ.get("AZURE_STORAGE_SAS_TOKEN"):
        return AzureSasCredential(token)
    if key := environ.get("AZURE_STORAGE_KEY"):
        return AzureNamedKeyCredential(environ.get("AZURE_STORAGE_ACCOUNT", ""), key)
    if not _url(environ).startswith("https:"):  # the SDK would only fail at the first request, with a vague error
        raise InvalidRequest(
            "signing in to Azure needs https; set AZURE_STORAGE_SERVICE_ENDPOINT to an https URL, or set"
            " AZURE_STORAGE_CONNECTION_STRING"
        )
    try:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only this kind of credential needs it
    except ImportError as error:
        raise InvalidRequest(
            "signing in to Azure without a key or token needs azure-identity; pip install 'pixcore[azure]'"
        ) from error
    return DefaultAzureCredential()
