"""The Azure store under faults: the SDK's errors, failures of the connection, and secrets."""

import errno
import hashlib
import logging
import os
import socket
import ssl
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import UUID

import azure.identity
import azure_stores
import pytest
import trustme
from attrs import evolve
from azure.core.exceptions import AzureError, DeserializationError, HttpResponseError, SerializationError
from azure.core.pipeline.transport import HttpTransport
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from contract.blob_store import keys, noise, put, read
from contract.memory import growth
from fault_proxy import Answer, Drop, Fault, FaultProxy, Pass, Reset, Stall, Truncate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.addresses import Azure

from pixcore.chunk.retry import Policies, retrying
from pixcore.errors import (
    BlobRefused,
    InvalidRequest,
    PixcoreError,
    StoreConflict,
    StoreDenied,
    StoreNotFound,
    StoreUnavailable,
)
from pixcore_adapters.blob_store.azure import store as adapter
from pixcore_adapters.blob_store.azure.errors import store_errors
from pixcore_adapters.blob_store.azure.store import BLOCK, AzureBlobStore

SMALL, LARGE = noise(1, 300_000), noise(2, 2 * BLOCK + 1)


@pytest.fixture(scope="module")
def container(azurite: Azure) -> str:
    """Return a container that exists. Each test uses its own keys."""
    name = azure_stores.container()
    azure_stores.store(azurite, name).create()
    return name


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Return the prefix of a test's keys."""
    return f"{request.node.name}"


@pytest.fixture
def store(azurite: Azure, container: str, prefix: str) -> AzureBlobStore:
    """Return the store without a proxy, to inspect it."""
    return azure_stores.store(azurite, container, prefix)


@pytest.fixture
def proxy(azurite: Azure) -> Iterator[FaultProxy]:
    """Return a proxy to the server, which may fail."""
    with FaultProxy(azurite.port) as proxy:
        yield proxy


@pytest.fixture
def through(azurite: Azure, container: str, prefix: str, proxy: FaultProxy) -> AzureBlobStore:
    """Return the store behind the proxy."""
    return azure_stores.store(evolve(azurite, port=proxy.port), container, prefix, read_timeout=0.5)


def translated(error: Exception) -> PixcoreError:
    """Return the store error for an error of the SDK."""
    with pytest.raises(PixcoreError, match=r"^what: ") as caught, store_errors("what"):
        raise error
    return caught.value


def answered(status: int, code: str = "") -> HttpResponseError:
    """Return the SDK's error for a response of the service."""
    headers = {"x-ms-error-code": code} if code else {}
    response: Any = SimpleNamespace(status_code=status, reason="", headers=headers)
    return HttpResponseError("a text", response=response)


def classes(of: type[Exception]) -> Iterator[type[Exception]]:
    """Yield a class and all its subclasses."""
    yield of
    for below in of.__subclasses__():
        yield from classes(below)


SDK = sorted({*classes(AzureError), SerializationError, DeserializationError}, key=lambda each: each.__qualname__)


@pytest.mark.parametrize("kind", SDK, ids=lambda kind: kind.__qualname__)
def test_every_class_of_the_sdk_is_translated(kind: type[Exception]) -> None:
    """Every exception class of the SDK is translated; another one would not be retried or reported."""
    error = kind.__new__(kind)  # their constructors differ
    base: Any = next(each for each in (HttpResponseError, AzureError, ValueError) if issubclass(kind, each))
    base.__init__(error, "a text")
    ours = translated(error)
    assert isinstance(ours, StoreConflict | StoreDenied | StoreNotFound | StoreUnavailable)
    assert ours.__cause__ is error


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ServiceRequestError", StoreUnavailable),
        ("ServiceRequestTimeoutError", StoreUnavailable),
        ("ServiceResponseError", StoreUnavailable),
        ("ServiceResponseTimeoutError", StoreUnavailable),
        ("IncompleteReadError", StoreUnavailable),
        ("DecodeError", StoreUnavailable),
        ("DeserializationError", StoreUnavailable),
        ("SerializationError", StoreDenied),
        ("ClientAuthenticationError", StoreDenied),
        ("AzureSigningError", StoreDenied),
        ("CredentialUnavailableError", StoreDenied),
    ],
)
def test_without_an_answer_the_class_decides(name: str, expected: type[PixcoreError]) -> None:
    """Without a response, the class decides: a network error is transient, a failed signature is permanent."""
    (kind,) = [each for each in SDK if each.__name__ == name]
    assert type(translated(kind("a text"))) is expected


def test_every_status_is_translated() -> None:
    """Only overload, timeouts and server errors are transient."""
    ours = {status: translated(answered(status)) for status in range(300, 600)}
    transient = {408, 429, *range(500, 600)} - {501, 505}
    assert {status for status, error in ours.items() if isinstance(error, StoreUnavailable)} == transient
    assert all(str(status) in str(error) for status, error in ours.items())


@pytest.mark.parametrize(
    ("status", "code", "expected", "remedy"),
    [
        (401, "NoAuthenticationInformation", StoreDenied, "rights"),
        (403, "AuthenticationFailed", StoreDenied, "clock"),
        (403, "AuthorizationPermissionMismatch", StoreDenied, "rights"),
        (404, "BlobNotFound", StoreNotFound, "it does not exist"),
        (404, "ContainerNotFound", StoreNotFound, "--create-container"),
        (409, "BlobAlreadyExists", StoreConflict, "another writer"),
        (409, "ContainerBeingDeleted", StoreUnavailable, "try again"),
        (409, "SnapshotsPresent", BlobRefused, "snapshots"),
        (409, "BlobImmutableDueToPolicy", BlobRefused, "policy"),
        (412, "ConditionNotMet", StoreConflict, "another writer"),
        (412, "LeaseIdMissing", BlobRefused, "lease"),
        (400, "InvalidBlockList", StoreConflict, "another writer"),
        (400, "InvalidResourceName", StoreDenied, "look up the code"),
        (413, "RequestBodyTooLarge", BlobRefused, "smaller chunks"),
        (429, "", StoreUnavailable, "try again"),
        (500, "InternalError", StoreUnavailable, "try again"),
        (503, "ServerBusy", StoreUnavailable, "try again"),
    ],
)
def test_a_code_says_more_than_a_status(status: int, code: str, expected: type[PixcoreError], remedy: str) -> None:
    """The error code takes precedence over the status, and selects the remedy."""
    ours = translated(answered(status, code))
    assert type(ours) is expected
    assert code in str(ours)
    assert remedy in str(ours)


def over_tls(port: int) -> AzureBlobStore:
    """Return a store that uses TLS at a port."""
    connection = f"AccountName=a;AccountKey=aaaa;BlobEndpoint=https://127.0.0.1:{port}/a"
    environ = {"AZURE_STORAGE_CONNECTION_STRING": connection}
    return AzureBlobStore.from_environment("container", "", environ, retry_policy=azure_stores.at_once(0))


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (lambda peer: untrusted().wrap_socket(peer, server_side=True), StoreDenied),
        (lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), StoreDenied),
        (lambda peer: peer.recv(1), StoreUnavailable),
    ],
    ids=["untrusted", "no TLS", "broken"],
)
def test_an_untrusted_certificate_is_a_permanent_error(
    server: Callable[[socket.socket], object], expected: type[PixcoreError]
) -> None:
    """A bad certificate is a permanent error, although the SDK treats it like a failed connection."""

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, suppress(OSError):
            server(peer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        with pytest.raises(expected):
            over_tls(listener.getsockname()[1]).head("key")
        thread.join()


def untrusted() -> ssl.SSLContext:
    """Return a server's TLS context, with a certificate of an unknown authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


REQUESTS = [
    pytest.param(lambda store: put(store, "key", SMALL), id="put"),
    pytest.param(lambda store: store.head("key"), id="head"),
    pytest.param(lambda store: store.open("key"), id="open"),
    pytest.param(lambda store: list(store.list()), id="list"),
    pytest.param(lambda store: store.delete("key"), id="delete"),
]


@pytest.mark.parametrize("use", REQUESTS)
@pytest.mark.parametrize("fault", [Answer(503), Answer(500), Reset(), Drop()], ids=str)
def test_a_request_is_sent_four_times(
    through: AzureBlobStore, proxy: FaultProxy, use: Callable[[AzureBlobStore], object], fault: Fault
) -> None:
    """The SDK sends a request four times within one attempt of the pipeline."""
    proxy.play(*[fault] * 100)
    with pytest.raises(StoreUnavailable):
        use(through)
    assert len(proxy.requests) == 4


def test_the_tries_are_spaced_and_soon_over(
    azurite: Azure, container: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retries wait 3 + 5 + 9 seconds, with a second of jitter each."""
    waits: list[float] = []
    monkeypatch.setattr(HttpTransport, "sleep", lambda _, seconds: waits.append(seconds))
    environ = {"AZURE_STORAGE_CONNECTION_STRING": evolve(azurite, port=proxy.port).connection_string}
    proxy.play(*[Answer(503)] * 100)
    with pytest.raises(StoreUnavailable):
        AzureBlobStore.from_environment(container, "", environ).head("key")
    assert len(proxy.requests) == 4
    assert [round(wait / expected) for wait, expected in zip(waits, (3, 5, 9), strict=True)] == [1, 1, 1]


def test_a_whole_upload_is_twenty_requests(through: AzureBlobStore, proxy: FaultProxy) -> None:
    """An upload is at most 20 requests: 5 attempts of the pipeline with 4 requests of the SDK each."""
    proxy.play(*[Answer(503)] * 100)
    with pytest.raises(StoreUnavailable):
        retrying(Policies().upload, sleep=lambda _: None)(put, through, "key", SMALL)
    assert len(proxy.requests) == 20


def test_a_permanent_error_is_not_retried(through: AzureBlobStore, proxy: FaultProxy) -> None:
    """A permanent error, such as a wrong key, is not retried."""
    proxy.play(*[Answer(403)] * 100)
    with pytest.raises(StoreDenied):
        put(through, "key", SMALL)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("data", "script"),
    [
        (SMALL, [Drop()]),
        (SMALL, [Drop(), Drop()]),
        (SMALL, [Reset(100_000)]),
        (SMALL, [Stall(100_000)]),
        (LARGE, [Pass(), Pass(), Pass(), Drop()]),
        (LARGE, [Pass(), Pass(), Pass(), Drop(), Answer(503), Drop()]),
        (LARGE, [Pass(), Reset(1_000_000), Drop(), Answer(500)]),
        (LARGE, [Stall(1_000_000)]),
    ],
    ids=lambda each: "" if isinstance(each, bytes) else str(each),
)
def test_an_upload_survives_faults(
    store: AzureBlobStore, through: AzureBlobStore, proxy: FaultProxy, data: bytes, script: list[Fault]
) -> None:
    """An upload survives lost responses and resets, and the bytes stay complete and in order."""
    proxy.play(*script)
    stored = put(through, "new", data)
    assert evolve(stored, url="") == evolve(store.head("new"), url="")
    assert read(store, "new") == data
    old = put(store, "old", b"old")
    proxy.play(*script)
    replaced = put(through, "old", data, replacing=old.etag)
    assert evolve(replaced, url="") == evolve(store.head("old"), url="")
    assert read(store, "old") == data


def test_another_writers_blob_is_not_claimed(store: AzureBlobStore, through: AzureBlobStore, proxy: FaultProxy) -> None:
    """Another writer's blob is not claimed as ours, even with the same bytes and metadata."""
    theirs = put(store, "key", SMALL)
    proxy.play(Answer(503))
    with pytest.raises(StoreConflict):
        put(through, "key", SMALL)
    assert store.head("key") == theirs


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "in blocks"])
def test_an_upload_that_failed_is_not_seen_and_can_be_repeated(
    store: AzureBlobStore, through: AzureBlobStore, proxy: FaultProxy, data: bytes
) -> None:
    """A failed upload leaves no blob, and the next attempt reads the file from its start."""
    proxy.play(*[Reset(200_000)] * 100)
    with pytest.raises(StoreUnavailable):
        put(through, "key", data)
    assert keys(store) == []
    proxy.play()
    put(through, "key", data)
    assert read(store, "key") == data


def test_an_incomplete_blob_is_removed(
    store: AzureBlobStore, through: AzureBlobStore, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incomplete blob is removed, because it would block every later attempt."""
    own_id = UUID(int=7)
    monkeypatch.setattr(adapter, "uuid", SimpleNamespace(uuid4=lambda: own_id))
    headers = (("x-ms-meta-pixcore_put", own_id.hex), ("x-ms-blob-type", "BlockBlob"))
    proxy.play(Pass(), Answer(200, headers, b"short"))
    with pytest.raises(StoreUnavailable, match="5 of 300000 bytes"):
        put(through, "key", SMALL)
    assert keys(store) == []


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the wait of a second before a part is downloaded again, which the SDK's policy does not control."""
    monkeypatch.setattr("azure.storage.blob._download.time", SimpleNamespace(sleep=lambda _: None))


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("script", [[Truncate(1_000)], [Pass(), Truncate(1_000)], [Drop()], [Stall()]], ids=str)
def test_a_download_survives_faults(
    store: AzureBlobStore, through: AzureBlobStore, proxy: FaultProxy, script: list[Fault]
) -> None:
    """A part of a download that came incomplete is requested again."""
    put(store, "key", LARGE)
    proxy.play(*script)
    assert read(through, "key") == LARGE


@pytest.mark.usefixtures("_hasty")
def test_a_download_that_stays_short_is_noticed(
    store: AzureBlobStore, through: AzureBlobStore, proxy: FaultProxy
) -> None:
    """A download that stays incomplete raises an error."""
    put(store, "key", SMALL)
    proxy.play(*[Truncate(1_000)] * 100)
    with pytest.raises(StoreUnavailable):
        through.open("key")
    assert len(proxy.requests) == 3


@pytest.mark.parametrize("times", [1, 100])
def test_a_blob_replaced_while_it_is_copied_is_copied_again(
    store: AzureBlobStore, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A blob replaced during a download is downloaded again, up to the limit of attempts."""
    newest = put(store, "key", LARGE)
    left, copy = times, adapter.downloaded

    def disturbed(download: Any) -> Any:  # noqa: ANN401 - as the SDK passes it
        nonlocal left, newest
        if left:
            left -= 1
            newest = put(store, "key", LARGE[::-1], replacing=newest.etag)
        return copy(download)

    monkeypatch.setattr(adapter, "downloaded", disturbed)
    if times == 1:
        assert read(store, "key") == LARGE[::-1]
    else:
        with pytest.raises(StoreUnavailable, match="replaced 4 times"):
            store.open("key")


def test_a_full_disk_is_named(store: AzureBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk of this machine is named, with the remedy."""
    put(store, "key", SMALL)

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(StoreUnavailable, match=r"No space left.*TMPDIR"):
        store.open("key")


def test_a_slow_line_takes_no_more_memory(azurite: Azure, container: str, prefix: str, tmp_path: Path) -> None:
    """A slow connection takes no more memory: each connection holds one block of the 64 MB."""
    block = noise(4, 1 << 20)
    (source := tmp_path / "source").write_bytes(block * 64)
    described: Any = {"sha256": hashlib.sha256(block * 64).hexdigest(), "size": 64 << 20}
    with FaultProxy(azurite.port, rate=2e7) as proxy:
        slow = azure_stores.store(evolve(azurite, port=proxy.port), container, prefix)
        put(slow, "warm", LARGE)
        with growth() as grown:
            slow.put("key", source, **described, content_type="t/t", metadata={})
    assert grown.peak < 32 << 20


def test_a_large_download_takes_little_memory(store: AzureBlobStore) -> None:
    """A download of 64 MB takes bounded memory."""
    put(store, "key", data := noise(3, 64 << 20))
    read(store, "key")  # connects once
    digest = hashlib.sha256(data).hexdigest()
    del data
    with growth() as grown, store.open("key") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    assert grown.peak < 32 << 20


def test_no_signature_is_revealed(
    azurite: Azure, container: str, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """No signature appears in logs at DEBUG, tracebacks or URLs, on success and on every failure."""
    token = sas(azurite, container, "rcwdl")
    signature = token.rpartition("sig=")[2]
    server = evolve(azurite, port=proxy.port)
    signed = f"BlobEndpoint={server.url};SharedAccessSignature={token}"
    caplog.set_level(logging.DEBUG)
    texts = []
    for connection in (signed, server.connection_string):
        store = AzureBlobStore.from_environment(
            container,
            "secrets",
            {"AZURE_STORAGE_CONNECTION_STRING": connection},
            retry_policy=azure_stores.at_once(0),
            read_timeout=0.5,
        )
        texts += [repr(store), repr(put(store, f"key{len(texts)}", SMALL)), *map(repr, store.list())]
        for fault in (Answer(403, body=signed.encode()), Answer(503), Reset(), Stall(), Answer(200, body=b"<bad")):
            for use in REQUESTS:
                proxy.play(fault)
                try:
                    use.values[0](store)
                except PixcoreError as error:
                    texts += traceback.format_exception(error)
                    logging.getLogger("pixcore").exception("failed")
        proxy._server.to = 1  # nothing listens there
        with pytest.raises(StoreUnavailable) as caught:
            store.head("key")
        texts += traceback.format_exception(caught.value)
        proxy._server.to = azurite.port
    text = "".join((*texts, caplog.text))
    assert f"GET /{azurite.account}/{container}" in text  # the filtered log still has the rest
    for secret in (signature, quote(signature, safe=""), azurite.key, quote(azurite.key, safe="")):
        assert secret not in text


def test_a_refused_connection_tells_no_signature(azurite: Azure, container: str) -> None:
    """A refused connection does not reveal the signature in the URL that urllib3 quotes."""
    token = sas(azurite, container, "r")
    nobody = f"BlobEndpoint=http://127.0.0.1:1/a;SharedAccessSignature={token}"
    store = AzureBlobStore.from_environment(
        "container", "", {"AZURE_STORAGE_CONNECTION_STRING": nobody}, retry_policy=azure_stores.at_once(0)
    )
    with pytest.raises(StoreUnavailable, match="Connection refused") as caught:
        store.head("key")
    assert token.rpartition("sig=")[2] not in "".join(traceback.format_exception(caught.value))


def sas(server: Azure, container: str, rights: str) -> str:
    """Return a shared access signature for a container."""
    return generate_container_sas(
        server.account,
        container,
        account_key=server.key,
        permission=ContainerSasPermissions.from_string(rights),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )


def test_a_signature_grants_only_its_rights(azurite: Azure, container: str) -> None:
    """A shared access signature grants its rights; the others are denied with the remedy."""
    environ = {"AZURE_STORAGE_SERVICE_ENDPOINT": azurite.url, "AZURE_STORAGE_SAS_TOKEN": sas(azurite, container, "rl")}
    reader = AzureBlobStore.from_environment(container, "rights", environ)
    stored = put(azure_stores.store(azurite, container, "rights"), "key", SMALL)
    assert read(reader, "key") == SMALL
    assert list(reader.list()) == [stored]
    for use in (lambda: put(reader, "new", SMALL), lambda: reader.delete("key"), reader.create):
        with pytest.raises(StoreDenied, match="rights"):
            use()
    writer = AzureBlobStore.from_environment(
        container, "rights", {**environ, "AZURE_STORAGE_SAS_TOKEN": sas(azurite, container, "rcw")}
    )
    put(writer, "new", SMALL)
    with pytest.raises(StoreDenied, match="rights"):
        list(writer.list())


def test_an_account_and_its_key_grant_access(azurite: Azure, container: str) -> None:
    """The account and key that Azure's command line uses work."""
    environ = {
        "AZURE_STORAGE_ACCOUNT": azurite.account,
        "AZURE_STORAGE_KEY": azurite.key,
        "AZURE_STORAGE_SERVICE_ENDPOINT": azurite.url,
    }
    store = AzureBlobStore.from_environment(container, "key", environ)
    assert put(store, "key", SMALL).url == f"{azurite.url}/{container}/key/key"


def test_an_account_alone_uses_the_signed_in_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a secret, the signed-in identity is used. If there is none, the error is permanent."""

    class Nobody:
        def get_token(self, *_: object, **__: object) -> None:
            raise azure.identity.CredentialUnavailableError("nobody is signed in")

    monkeypatch.setattr(azure.identity, "DefaultAzureCredential", Nobody)
    store = AzureBlobStore.from_environment(
        "container", "", {"AZURE_STORAGE_ACCOUNT": "account"}, retry_policy=azure_stores.at_once(0)
    )
    assert store._url == "https://account.blob.core.windows.net/container"
    with pytest.raises(StoreDenied, match="rights"):
        store.head("key")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing azure-identity is named with the extra to install."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(InvalidRequest, match=r"pixcore\[azure\]"):
        AzureBlobStore.from_environment("container", "", {"AZURE_STORAGE_ACCOUNT": "account"})


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AZURE_STORAGE_KEY": "c2VjcmV0"},
        {"AZURE_STORAGE_SERVICE_ENDPOINT": "http://127.0.0.1/account"},
        {"AZURE_STORAGE_CONNECTION_STRING": "c2VjcmV0"},
        {"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=c2VjcmV0"},
        {"AZURE_STORAGE_SERVICE_ENDPOINT": "https:///?sig=c2VjcmV0", "AZURE_STORAGE_KEY": "c2VjcmV0"},
    ],
    ids=["nothing", "no account", "no TLS", "no connection string", "half of one", "no URL"],
)
def test_an_invalid_account_configuration_is_refused(environ: dict[str, str]) -> None:
    """An invalid account configuration is refused at once, without revealing its secret."""
    with pytest.raises(InvalidRequest, match="AZURE_STORAGE_CONNECTION_STRING") as caught:
        AzureBlobStore.from_environment("container", "", environ)
    assert "c2VjcmV0" not in "".join(traceback.format_exception(caught.value)).replace(repr(environ), "")


def test_an_invalid_account_key_is_denied(azurite: Azure) -> None:
    """An invalid key is denied when the SDK signs the request."""
    with pytest.raises(StoreDenied, match="rights"):
        azure_stores.store(evolve(azurite, key="no base64!"), "container").head("key")


def test_a_prefix_is_a_key(azurite: Azure) -> None:
    """A prefix must be a valid key, because a changed name would mix stores up."""
    with pytest.raises(StoreDenied, match="key"):
        azure_stores.store(azurite, "container", "a./b")


@pytest.mark.parametrize(
    ("key", "held"),
    [("k" * 1_024, True), ("k" * 1_025, False), ("/".join("k" * 254), True), ("/".join("k" * 255), False)],
    ids=["1024 characters", "1025 characters", "254 parts", "255 parts"],
)
def test_names_have_limits(azurite: Azure, container: str, key: str, held: bool) -> None:
    """Names that are too long are refused before the upload."""
    store = azure_stores.store(azurite, container)
    if held:
        assert put(store, key, b"x") == store.head(key)
        store.delete(key)
    else:
        with pytest.raises(StoreDenied, match="take a shorter one"):
            put(store, key, b"x")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True),
        st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=9),
        max_size=3,
    )
)
def test_any_metadata_comes_back(store: AzureBlobStore, metadata: dict[str, str]) -> None:
    """Any metadata comes back, also with spaces at the ends and empty values."""
    store.delete("key")
    stored = put(store, "key", b"x", metadata=metadata)
    assert stored.metadata == metadata
    assert store.head("key") == stored
    assert list(store.list()) == [stored]


@pytest.mark.parametrize("name", ["1st", "pixcore_sha256", "pixcore_put"])
def test_metadata_that_azure_or_the_store_cannot_have_is_refused(store: AzureBlobStore, name: str) -> None:
    """Metadata keys that Azure refuses, or that are the store's own, are refused."""
    with pytest.raises(StoreDenied, match=name):
        put(store, "key", b"x", metadata={name: "x"})
    assert keys(store) == []


def test_blobs_of_others_are_blobs(store: AzureBlobStore) -> None:
    """Blobs of other programs are listed without sha256. Those whose names are not keys are not listed."""
    for name in ("a", "b//c", "d/"):
        store._container.get_blob_client(f"{store._root}{name}").upload_blob(b"x", metadata={"Colour": "red"})
    (found,) = store.list()
    assert found == store.head("a")
    assert (found.size, found.sha256, found.content_type) == (1, "", "application/octet-stream")
    assert found.metadata == {"colour": "red"}
    assert read(store, "a") == b"x"


def test_a_blob_that_is_held_is_not_deleted(store: AzureBlobStore) -> None:
    """A blob with snapshots or a lease is not deleted, and the error names the remedy."""
    for key, hold in (("snapshot", lambda blob: blob.create_snapshot()), ("lease", lambda blob: blob.acquire_lease())):
        put(store, key, SMALL)
        hold(store._container.get_blob_client(f"{store._root}{key}"))
        with pytest.raises(StoreDenied, match="lease, snapshots"):
            store.delete(key)
        assert read(store, key) == SMALL


def test_delete_from_a_missing_container_is_idempotent(azurite: Azure) -> None:
    """Deleting a blob in a missing container is no error."""
    azure_stores.store(azurite, azure_stores.container()).delete("key")


@pytest.mark.soak
def test_a_listing_passes_the_longest_page(store: AzureBlobStore) -> None:
    """A listing continues after the service's page of 5,000."""
    expected = sorted(f"d/{number}" for number in range(5_010))
    for key in expected:
        put(store, key, b"")
    assert keys(store, "d") == expected
