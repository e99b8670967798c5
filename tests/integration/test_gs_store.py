"""Google Cloud Storage under faults: the client's errors, lost responses, and resumable uploads."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import getmembers, isclass
from types import SimpleNamespace

import gcs_stores
import pytest
import requests
from contract.blob_store import keys, noise, put, read
from fault_proxy import Answer, Drop, FaultProxy
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from servers.addresses import Google

from pixcore.errors import InvalidRequest, PixcoreError, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore_adapters.blob_store.gs.errors import FOREIGN, store_errors
from pixcore_adapters.blob_store.gs.store import GoogleBlobStore

STORE_ERRORS = (StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable)


@pytest.fixture(autouse=True)
def _no_further_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the client from asking about the bucket in the background, for traces that nobody collects."""
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")


def translated(error: Exception) -> PixcoreError:
    """Return the store error for an error of Google's client."""
    with pytest.raises(PixcoreError) as raised, store_errors("cannot do it"):
        raise error
    assert raised.value.__cause__ is error
    assert re.fullmatch("cannot do it: .+; .+", str(raised.value))
    return raised.value


@pytest.mark.parametrize("module", [api, auth], ids=["api", "auth"])
def test_every_exception_class_is_translated(module: object) -> None:
    """Also those of new releases. Three are of other features: protocol buffers, and reading chunks of a response."""
    other = {"BadEncoding", "DuplicateCredentialArgs", "GoogleAPIError", "AsyncRestUnsupportedParameterError"}
    for name, kind in getmembers(module, isclass):
        if issubclass(kind, Exception) and not issubclass(kind, Warning) and name not in other:
            assert issubclass(kind, FOREIGN), name
            error = kind("message", None) if kind is api.RetryError else kind("message")
            assert isinstance(translated(error), STORE_ERRORS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (api.Forbidden("x"), StoreDenied),
        (api.Unauthorized("x"), StoreDenied),
        (api.BadRequest("x"), StoreDenied),
        (api.NotFound("x"), StoreNotFound),
        (api.PreconditionFailed("x"), StoreConflict),
        (api.TooManyRequests("x"), StoreUnavailable),
        (api.ServiceUnavailable("x"), StoreUnavailable),
        (api.RetryError("x", api.Forbidden("x")), StoreDenied),
        (InvalidResponse(SimpleNamespace(status_code=412), "x"), StoreConflict),
        (DataCorruption(None, "x"), StoreUnavailable),
        (auth.DefaultCredentialsError("x"), StoreDenied),
        (auth.RefreshError("x"), StoreDenied),
        (auth.TransportError("x"), StoreUnavailable),
        (requests.ConnectionError("x"), StoreUnavailable),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), StoreDenied),
        (requests.exceptions.SSLError("EOF occurred in violation of protocol"), StoreUnavailable),
    ],
    ids=lambda value: value.__name__ if isclass(value) else type(value).__name__,
)
def test_each_error_says_whether_trying_again_helps(error: Exception, expected: type[PixcoreError]) -> None:
    """By the status of the response, or by the kind of failure."""
    assert type(translated(error)) is expected


def test_a_lost_response_to_a_put_is_found(gcs: Google) -> None:
    """The client sends the request again, and the condition fails because of the first one, which succeeded."""
    name = gcs_stores.bucket()
    gcs_stores.store(gcs, name).create()
    with FaultProxy(gcs.port, Drop()) as proxy:
        store = gcs_stores.store(gcs, name, port=proxy.port)
        stored = put(store, "key", b"images")
        uploads = [request for request in proxy.requests if request.startswith("POST /upload/")]
    assert len(uploads) == 2
    assert store_at(gcs, name).head("key") == stored
    with FaultProxy(gcs.port, Drop()) as proxy, pytest.raises(StoreConflict):
        put(gcs_stores.store(gcs, name, port=proxy.port), "key", b"images")


def test_a_key_that_is_too_long_and_a_bad_url_are_refused(gcs: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
    store = GoogleBlobStore.at("gs://bucket/a%20b/", {})
    assert store._url("é") == "gs://bucket/a%20b/%C3%A9"
    with pytest.raises(StoreDenied, match="at most 1024 bytes"):
        store.head("é" * 511)
    with pytest.raises(InvalidRequest, match="set GOOGLE_CLOUD_PROJECT"):
        store.create()
    for url in ("gs:///prefix", "gs://bucket?endpoint=x", "gs://bucket/#x"):
        with pytest.raises(InvalidRequest, match="write gs://bucket/prefix"):
            GoogleBlobStore.at(url, {})


def test_without_credentials_access_is_denied(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """With the command that logs in, and without waiting for the cloud's metadata service."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreDenied, match="gcloud auth application-default login"):
        GoogleBlobStore.at("gs://bucket", {})


class _Resumable(BaseHTTPRequestHandler):
    """The calls of a resumable upload. The condition is checked when the last byte has arrived."""

    protocol_version = "HTTP/1.1"
    taken, received, conditions = False, 0, ()

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).conditions = re.findall(r"ifGenerationMatch=(\d+)", self.path)
        self._answer(200, {"Location": f"http://127.0.0.1:{self.server.server_port}/session"})

    def do_PUT(self) -> None:
        type(self).received += len(self.rfile.read(int(self.headers["Content-Length"])))
        last = not self.headers["Content-Range"].endswith("/*") and self.headers["Content-Range"].split("/")[1] == str(
            type(self).received
        )
        if last:
            self._answer(412 if type(self).taken else 200, {})
        else:
            self._answer(308, {"Range": f"bytes=0-{type(self).received - 1}"})

    def do_GET(self) -> None:
        self._answer(404, {})

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        body = b'{"name": "key", "bucket": "bucket", "generation": "7", "size": "%d"}' % type(self).received
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def resumable() -> Iterator[Google]:
    """Start a server that takes resumable uploads."""
    _Resumable.taken, _Resumable.received = False, 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Resumable) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Google(server.server_port)
        server.shutdown()
        thread.join()


def test_a_large_upload_is_resumable_and_conditional(resumable: Google) -> None:
    """It is sent in chunks; if another writer was first, which the service sees at the end, it is a conflict."""
    data = noise(1, 20 << 20)
    assert put(store_at(resumable, "bucket"), "key", data).etag == "7"
    assert (_Resumable.received, _Resumable.conditions) == (len(data), ["0"])
    _Resumable.taken, _Resumable.received = True, 0
    with pytest.raises(StoreConflict, match="412"):
        put(store_at(resumable, "bucket"), "key", data)
    _Resumable.received = 0
    with pytest.raises(StoreConflict, match="412"):
        put(store_at(resumable, "bucket"), "key", data, replacing="5")
    assert _Resumable.conditions == ["5"]


def test_a_large_blob_comes_back(gcs: Google) -> None:
    """A resumable upload is whole; the sha256 in the metadata is that of its bytes."""
    store = store_at(gcs, gcs_stores.bucket())
    store.create()
    data = noise(1, 20 << 20)
    stored = put(store, "key", data)
    assert store.head("key") == stored
    assert read(store, "key") == data
    assert keys(store) == ["key"]


def test_a_missing_right_is_denied(gcs: Google) -> None:
    """Access to an object may be forbidden even if nothing says whether the bucket exists."""
    with FaultProxy(gcs.port, *(Answer(403),) * 3) as proxy:
        store = gcs_stores.store(gcs, "bucket", port=proxy.port)
        for use in (lambda: store.head("key"), lambda: put(store, "key", b"x"), lambda: list(store.list())):
            with pytest.raises(StoreDenied, match=r"403.*check the rights"):
                use()


def store_at(server: Google, name: str) -> GoogleBlobStore:
    """Return the store of a whole bucket."""
    return gcs_stores.store(server, name)
