"""Copies within an Azure account that take long, fail, or are refused, which Azurite never does."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import HttpResponseError

from pixcore.errors import StoreUnavailable
from pixcore_adapters.blob_store.azure import copying
from pixcore_adapters.blob_store.azure.copying import copied


def client(*states: str, start: Callable[..., Any] | None = None, credential: object = None) -> Any:  # noqa: ANN401
    """Return a stand-in of a blob's client, whose copy goes through these states; ``gone`` says if it was deleted."""
    later = iter(states[1:])
    made = SimpleNamespace(url="https://host/container/blob", blob_name="blob", credential=credential, gone=False)
    made.start_copy_from_url = start or (lambda *_, **__: {"copy_status": states[0], "etag": "first"})
    made.get_blob_properties = lambda: SimpleNamespace(copy=SimpleNamespace(status=next(later)), etag="last")
    made.delete_blob = lambda: setattr(made, "gone", True)
    return made


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the waits instead of sleeping."""
    recorded: list[float] = []
    monkeypatch.setattr(copying.time, "sleep", recorded.append)
    return recorded


def test_a_long_copy_is_waited_for(waits: list[float]) -> None:
    """A blob that is still being copied is not whole."""
    assert copied(client(), client("pending", "pending", "success"), {}) == "last"
    assert len(waits) == 2
    assert copied(client(), client("success"), {}) == "first"


def test_a_copy_that_the_service_gave_up_is_removed() -> None:
    """It would be listed without its bytes."""
    to = client("pending", "failed")
    with pytest.raises(StoreUnavailable, match="did not copy 'blob'"):
        copied(client(), to, {})
    assert to.gone


def test_a_source_that_the_service_cannot_read_is_not_copied() -> None:
    """The caller reads and stores it instead. Other errors are raised."""

    def refuse(code: str) -> Callable[..., Any]:
        def start(*_: object, **__: object) -> None:
            error = HttpResponseError("refused")
            error.response = SimpleNamespace(headers={"x-ms-error-code": code})
            raise error

        return start

    assert copied(client(), client(start=refuse("CannotVerifyCopySource")), {}) is None
    with pytest.raises(HttpResponseError):
        copied(client(), client(start=refuse("BlobAlreadyExists")), {})


def test_the_service_gets_the_signature_for_the_source() -> None:
    """A shared access signature is not part of the client's URL."""
    urls: list[str] = []

    def start(url: str, **_: object) -> dict[str, str]:
        urls.append(url)
        return {"copy_status": "success", "etag": "etag"}

    for credential in (AzureSasCredential("?sig=abc"), None):
        copied(client(credential=credential), client(start=start), {})
    assert urls == ["https://host/container/blob?sig=abc", "https://host/container/blob"]
