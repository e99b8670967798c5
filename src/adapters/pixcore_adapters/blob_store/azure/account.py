"""Which Azure account is meant, and who asks: from the environment, under the names of Azure's own command line."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.storage.blob import ContainerClient, ExponentialRetry

from pixcore.errors import InvalidRequest
from pixcore_adapters.blob_store.azure.errors import tellable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


def connect(container: str, environ: Mapping[str, str], **options: Any) -> ContainerClient:  # noqa: ANN401 - the SDK's
    """A client for a container; nothing is sent yet.

    It connects as ``AZURE_STORAGE_CONNECTION_STRING`` says, with its key or shared access signature. Else to the
    account ``AZURE_STORAGE_ACCOUNT``, or ``AZURE_STORAGE_SERVICE_ENDPOINT`` where its URL is not
    ``https://ACCOUNT.blob.core.windows.net``, with ``AZURE_STORAGE_SAS_TOKEN``, else ``AZURE_STORAGE_KEY``, else as
    whom azure-identity's ``DefaultAzureCredential`` finds.

    A request is sent 4 times at most, over about 17 seconds. ``options`` of the SDK's client go before that.

    Raises:
        InvalidRequest: No account is named, or what names it is malformed; or azure-identity is missing.
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
        told = tellable(error)
        raise InvalidRequest(
            f"cannot connect to the Azure container {container!r}: {told}; set AZURE_STORAGE_CONNECTION_STRING to what"
            " the portal shows under 'Access keys'"
        ) from told


def _url(environ: Mapping[str, str]) -> str:
    if endpoint := environ.get("AZURE_STORAGE_SERVICE_ENDPOINT"):
        return endpoint
    if account := environ.get("AZURE_STORAGE_ACCOUNT"):
        return f"https://{account}.blob.core.windows.net"
    raise InvalidRequest("no Azure account is named; set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT")


def _credential(
    environ: Mapping[str, str],
) -> "AzureSasCredential | AzureNamedKeyCredential | TokenCredential":
    if token := environ.get("AZURE_STORAGE_SAS_TOKEN"):
        return AzureSasCredential(token)
    if key := environ.get("AZURE_STORAGE_KEY"):
        return AzureNamedKeyCredential(environ.get("AZURE_STORAGE_ACCOUNT", ""), key)
    if not _url(environ).startswith("https:"):  # the SDK would find out late, and call it a bad line
        raise InvalidRequest(
            "signing in to Azure needs https; set AZURE_STORAGE_SERVICE_ENDPOINT to such a URL, or"
            " AZURE_STORAGE_CONNECTION_STRING"
        )
    try:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only who signs in this way needs it
    except ImportError as error:
        raise InvalidRequest(
            "signing in to Azure without a key or token needs azure-identity; pip install 'pixcore[azure]'"
        ) from error
    return DefaultAzureCredential()
