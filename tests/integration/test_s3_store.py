"""The S3 store under faults: boto3's errors, lost responses, and servers with less than the whole of S3."""

import hashlib
import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from inspect import getmembers, isclass
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest
import s3_clients
import trustme
from boto3 import exceptions as boto3_exceptions
from botocore import exceptions as boto
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from contract.blob_store import keys, noise, put, read
from fault_proxy import Answer, Drop, Fault, FaultProxy, Pass, Reset, Truncate
from s3_clients import Client
from servers.addresses import S3

from pixcore.chunk.retry import Policies, retrying
from pixcore.errors import (
    BlobRefused,
    InvalidRequest,
    PixcoreError,
    StoreConflict,
    StoreDenied,
    StoreFull,
    StoreNotFound,
    StoreUnavailable,
)
from pixcore_adapters.blob_store.s3.errors import FOREIGN, store_errors
from pixcore_adapters.blob_store.s3.store import S3BlobStore

LARGE = noise(1, 11 << 20)  # three parts
STORE_ERRORS = (StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable)
Proxied = Callable[..., tuple[S3BlobStore, FaultProxy]]


@pytest.fixture
def client(moto: S3) -> Client:
    """Connect to moto, without retries."""
    return s3_clients.client(moto)


@pytest.fixture
def store(client: Client) -> S3BlobStore:
    """Return an empty store on moto."""
    return s3_clients.store(client)


@pytest.fixture
def proxied(moto: S3, store: S3BlobStore) -> Iterator[Proxied]:
    """Return the store behind a proxy, which starts its script after the server has been probed."""
    with FaultProxy(moto.port) as proxy:

        def behind(*script: Fault, attempts: int = 1) -> tuple[S3BlobStore, FaultProxy]:
            tried = S3BlobStore(
                s3_clients.client(moto, attempts=attempts, endpoint=f"http://127.0.0.1:{proxy.port}"),
                store._bucket,
                "some/prefix",
            )
            put(tried, "warm/up", LARGE)
            tried.delete("warm/up")
            proxy.play(*script)
            return tried, proxy

        yield behind


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK retry without waiting."""
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None, time=lambda: 0.0))


def uploads(store: S3BlobStore) -> list[str]:
    """Return the keys of unfinished multipart uploads."""
    listed = store._client.list_multipart_uploads(Bucket=store._bucket).get("Uploads", [])
    return [upload["Key"] for upload in listed]


def refused_with(status: int, code: str) -> boto.ClientError:
    """Return boto3's error for a response."""
    return boto.ClientError(
        {"Error": {"Code": code, "Message": "…"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation"
    )


def translated(error: Exception) -> PixcoreError:
    """Return the store error for an error of boto3."""
    with pytest.raises(PixcoreError) as raised, store_errors("cannot do it"):
        raise error
    assert raised.value.__cause__ is error
    return raised.value


class TestErrors:
    """boto3's exceptions become store errors in one place."""

    @pytest.mark.parametrize("module", [boto, boto3_exceptions], ids=["botocore", "boto3"])
    def test_every_exception_class_is_translated(self, module: object) -> None:
        """Every exception class is translated, also those of new releases.

        Two of botocore's concern the making of a client's model. Of s3transfer, only a reader of files is used.
        """
        unraised = {boto.UndefinedModelAttributeError, boto.MissingServiceIdError}
        for _, kind in getmembers(module, isclass):
            if issubclass(kind, Exception) and not issubclass(kind, Warning) and kind not in unraised:
                assert issubclass(kind, FOREIGN)
                error = kind.__new__(kind)
                if isinstance(error, boto.ClientError):
                    error.response = {}
                assert isinstance(translated(error), STORE_ERRORS)

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (boto.EndpointConnectionError(endpoint_url="x"), StoreUnavailable),
            (boto.ConnectTimeoutError(endpoint_url="x"), StoreUnavailable),
            (boto.ReadTimeoutError(endpoint_url="x"), StoreUnavailable),
            (boto.ConnectionClosedError(endpoint_url="x"), StoreUnavailable),
            (boto.ResponseStreamingError(error="x"), StoreUnavailable),
            (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), StoreUnavailable),
            (boto.SSLError(endpoint_url="x", error="CERTIFICATE_VERIFY_FAILED"), StoreDenied),
            (boto.SSLError(endpoint_url="x", error="EOF occurred in violation of protocol"), StoreUnavailable),
            (boto.NoCredentialsError(), StoreDenied),
            (boto.ProfileNotFound(profile="x"), StoreDenied),
            (boto.ParamValidationError(report="x"), StoreDenied),
            (refused_with(403, "SignatureDoesNotMatch"), StoreDenied),
            (refused_with(403, "InvalidAccessKeyId"), StoreDenied),
            (refused_with(403, "403"), StoreDenied),
            (refused_with(400, "ExpiredToken"), StoreDenied),
            (refused_with(404, "NoSuchBucket"), StoreNotFound),
            (refused_with(404, "NoSuchKey"), StoreNotFound),
            (refused_with(404, "404"), StoreNotFound),
            (refused_with(404, "NoSuchUpload"), StoreUnavailable),
            (refused_with(409, "ConditionalRequestConflict"), StoreUnavailable),
            (refused_with(412, "PreconditionFailed"), StoreConflict),
            (refused_with(429, "TooManyRequests"), StoreUnavailable),
            (refused_with(500, "InternalError"), StoreUnavailable),
            (refused_with(400, "EntityTooLarge"), BlobRefused),
            (refused_with(507, "InsufficientStorage"), StoreFull),
            (refused_with(501, "NotImplemented"), StoreDenied),
            (refused_with(503, "SlowDown"), StoreUnavailable),
            (boto.ClientError({"Error": {"Code": "503"}}, "Operation"), StoreUnavailable),
        ],
        ids=lambda value: value.__name__ if isclass(value) else ascii(str(value))[1:60],
    )
    def test_each_says_whether_trying_again_helps(self, error: Exception, expected: type[PixcoreError]) -> None:
        """Each error says whether to retry, by status and code, in one line with the remedy."""
        raised = translated(error)
        assert type(raised) is expected
        assert re.fullmatch("cannot do it: .+; .+", str(raised))

    @pytest.mark.parametrize(
        ("status", "code", "blamed"),
        [
            (403, "AccessDenied", True),
            (401, "", True),
            (400, "ExpiredToken", True),
            (400, "InvalidArgument", False),
            (400, "400", False),
            (405, "MethodNotAllowed", False),
            (501, "NotImplemented", False),
            (413, "413", False),
            (301, "MovedPermanently", False),
        ],
    )
    def test_credentials_are_blamed_only_for_what_they_cause(self, status: int, code: str, blamed: bool) -> None:
        """Whoever reads "check the credentials" after a 400 or 501 looks for a fault that is not there."""
        assert ("credentials" in str(translated(refused_with(status, code)))) is blamed

    def test_an_untrusted_certificate_is_denied(self, moto: S3) -> None:
        """A certificate that cannot be verified is a permanent error."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=True)
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            tls = s3_clients.client(moto, endpoint=f"https://127.0.0.1:{server.server_port}")
            with pytest.raises(StoreDenied, match="AWS_CA_BUNDLE"):
                S3BlobStore(tls, "bucket").head("key")
            thread.join()

    def test_no_credentials_are_denied(self, monkeypatch: pytest.MonkeyPatch, moto: S3) -> None:
        """Missing credentials are a permanent error, and do not wait for the cloud's metadata service."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
        with pytest.raises(StoreDenied, match="credentials"):
            S3BlobStore.at(f"s3://bucket?endpoint={moto.endpoint}", {}).head("key")


def test_a_lost_response_to_showing_a_copy_is_found(proxied: Proxied) -> None:
    """The blob is there; a second show is a conflict, because another writer may have stored it."""
    store, proxy = proxied()
    put(store, "source", LARGE)
    show = store.prepare_copy("source", "key")
    proxy.play(Drop())
    shown = show()
    assert shown == store.head("key")
    assert read(store, "key") == LARGE
    with pytest.raises(StoreConflict):
        store.prepare_copy("source", "key")()


class TestUrls:
    """A URL and boto3's own configuration select a store."""

    def test_the_endpoint_may_be_in_the_url_or_the_configuration(
        self, monkeypatch: pytest.MonkeyPatch, moto: S3
    ) -> None:
        """The endpoint may be in the URL or in boto3's configuration; both reach the same blobs."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
        bucket = s3_clients.bucket()
        named = S3BlobStore.at(f"s3://{bucket}/a%20b/c/?endpoint={moto.endpoint}&region=eu-west-1", {})
        named.create()
        stored = put(named, "d e", b"x")
        assert stored.url == f"s3://{bucket}/a%20b/c/d%20e"
        assert named._client.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-west-1"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto.endpoint)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        found = S3BlobStore.at(f"s3://{bucket}", {})
        found.create()
        assert found.head("a b/c/d e").sha256 == stored.sha256
        assert found._client.meta.region_name == "eu-west-1"

    @pytest.mark.parametrize(
        "url",
        [
            "s3://",
            "s3:///prefix",
            "http://bucket/prefix",
            "s3://bucket/a//b",
            "s3://bucket/..",
            "s3://bucket/.pixcore",
            "s3://bucket?endpoint=not-a-url",
            "s3://bucket?region=not a region",
            "s3://bucket?endpont=http://127.0.0.1",
            "s3://bucket#fragment",
            "s3://sesame:sesame@bucket",
            "s3://bucket?endpoint=http://sesame:sesame@127.0.0.1",
            "s3://bucket?endpoint=http://127.0.0.1/?X-Amz-Signature%3Dsesame",
        ],
    )
    def test_another_url_is_refused(self, url: str) -> None:
        """An invalid URL is refused without repeating a secret."""
        with pytest.raises(InvalidRequest) as refused:
            S3BlobStore.at(url, {})
        assert "sesame" not in str(refused.value)

    def test_a_missing_profile_is_denied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A missing profile is a permanent error; boto3 raises it when it creates a client."""
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(StoreDenied, match="nobody"):
            S3BlobStore.at("s3://bucket", {})


@pytest.mark.usefixtures("_no_waiting")
class TestAttempts:
    """The SDK retries within one attempt of the pipeline, and both are bounded."""

    def test_a_call_is_four_requests_at_most(self, proxied: Proxied) -> None:
        """The SDK sends at most four requests; the store is used if one succeeds."""
        store, proxy = proxied(*[Answer(503)] * 4, attempts=4)
        with pytest.raises(StoreUnavailable):
            store.head("key")
        assert len(proxy.requests) == 4
        proxy.play(*[Answer(503)] * 3)
        put(store, "key", b"x")
        assert [line.split()[0] for line in proxy.requests] == ["PUT"] * 4 + ["HEAD"]

    def test_an_upload_phase_is_bounded(self, proxied: Proxied) -> None:
        """An upload phase is at most five attempts with four writes and four reads each."""
        store, proxy = proxied(*[Answer(503)] * 100, attempts=4)
        with pytest.raises(StoreUnavailable):
            retrying(Policies().upload, lambda _: None)(put, store, "key", b"x")
        assert len(proxy.requests) == 5 * (4 + 4)

    def test_the_store_of_a_url_tries_as_often(self, monkeypatch: pytest.MonkeyPatch, moto: S3) -> None:
        """The environment cannot change the number of the SDK's attempts."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
        with FaultProxy(moto.port, *[Answer(500)] * 9) as proxy:
            with pytest.raises(StoreUnavailable):
                S3BlobStore.at(f"s3://bucket?endpoint=http://127.0.0.1:{proxy.port}", {}).head("key")
            assert len(proxy.requests) == 4


class TestLostAnswers:
    """A write whose response is lost may have happened; the store finds out."""

    @pytest.mark.parametrize("attempts", [1, 4], ids=["once", "tried again"])
    @pytest.mark.usefixtures("_no_waiting")
    def test_a_whole_write_is_recognised(self, proxied: Proxied, attempts: int) -> None:
        """The SDK's retry is refused because of the first write, which is recognised as ours."""
        store, _ = proxied(Drop(), attempts=attempts)
        stored = put(store, "key", b"x", metadata={"attempt": "1"})
        assert store.head("key") == stored

    @pytest.mark.parametrize("attempts", [1, 4], ids=["once", "tried again"])
    @pytest.mark.usefixtures("_no_waiting")
    def test_a_write_in_parts_is_recognised(self, proxied: Proxied, attempts: int) -> None:
        """A multipart upload whose last response is lost is recognised as ours."""
        store, proxy = proxied(*[Pass()] * 5, Drop(), attempts=attempts)
        stored = put(store, "key", LARGE)
        assert "POST" in proxy.requests[5]
        assert store.head("key") == stored
        assert read(store, "key") == LARGE

    def test_a_replacement_is_recognised(self, proxied: Proxied) -> None:
        """A replacement whose response is lost is recognised by its version's id."""
        store, proxy = proxied()
        old = put(store, "key", b"same")
        put(store, "other", b"x", replacing=put(store, "other", b"x").etag)  # probes the server
        proxy.play(Pass(), Drop())
        new = put(store, "key", b"same", replacing=old.etag)
        assert new.etag != old.etag
        assert store.head("key") == new

    def test_the_same_bytes_of_another_writer_are_a_conflict(self, proxied: Proxied, store: S3BlobStore) -> None:
        """Another writer's blob with the same bytes is a conflict; ``publish`` decides whose chunk it is."""
        theirs = put(store, "key", b"same", metadata={"attempt": "2"})
        tried, _ = proxied(Drop())
        with pytest.raises(StoreUnavailable):
            put(tried, "key", b"same", metadata={"attempt": "2"})
        with pytest.raises(StoreConflict):
            put(tried, "key", b"same", metadata={"attempt": "2"})
        assert store.head("key") == theirs

    def test_a_write_that_never_came_is_worth_trying_again(self, proxied: Proxied) -> None:
        """A write that never arrived raises StoreUnavailable, and the next attempt creates the blob."""
        store, _ = proxied(Reset())
        with pytest.raises(StoreUnavailable):
            put(store, "key", b"x")
        assert keys(store) == []
        assert put(store, "key", b"x") == store.head("key")


class TestBrokenConnections:
    """A partial blob is never accepted as a complete one."""

    def test_a_part_is_sent_again_from_its_beginning(self, proxied: Proxied) -> None:
        """A part is sent again from its start."""
        store, _ = proxied(*[Pass()] * 3, Reset(after=1 << 20), attempts=4)
        put(store, "key", LARGE)
        assert read(store, "key") == LARGE

    def test_an_upload_that_fails_leaves_nothing(self, proxied: Proxied) -> None:
        """A failed upload leaves neither a blob nor parts, and the next one reads the source from its start."""
        store, _ = proxied(*[Pass()] * 3, Reset(after=1 << 20))
        with pytest.raises(StoreUnavailable):
            put(store, "key", LARGE)
        assert (keys(store), uploads(store)) == ([], [])
        put(store, "key", LARGE)
        assert read(store, "key") == LARGE

    @pytest.mark.parametrize("after", [0, 1 << 20], ids=["at its start", "in its middle"])
    def test_a_download_that_breaks_off_is_noticed(self, proxied: Proxied, after: int) -> None:
        """A download that breaks off raises an error."""
        store, proxy = proxied()
        put(store, "key", LARGE)
        proxy.play(Truncate(after))
        with store.open("key") as file, pytest.raises(StoreUnavailable, match="key"):
            file.read()

    def test_a_blob_stored_incompletely_is_an_error(self, client: Client, store: S3BlobStore) -> None:
        """A blob that the server stored incompletely raises an error, although the server reported success."""

        def shorter(parsed: dict[str, Any], **_: object) -> None:
            parsed["ContentLength"] = 1

        client.meta.events.register("after-call.s3.HeadObject", shorter)
        with pytest.raises(StoreUnavailable, match="1 of the 2 bytes"):
            put(store, "key", b"xy")


class TestRightAfter:
    """Other writers act between a write and the check of its result."""

    def test_a_blob_replaced_right_after_the_write_is_a_conflict(
        self, client: Client, store: S3BlobStore, moto: S3
    ) -> None:
        """A blob that is replaced at once raises StoreConflict, so that ``publish`` checks the newer attempt."""
        other = S3BlobStore(s3_clients.client(moto), store._bucket, "some/prefix")
        put(store, "other", b"x")  # probes the server

        def replace(**_: object) -> None:
            put(other, "key", b"newer", replacing=other.head("key").etag)

        client.meta.events.register("after-call.s3.PutObject", replace)
        with pytest.raises(StoreConflict, match="replaced"):
            put(store, "key", b"x")
        assert read(store, "key") == b"newer"

    def test_a_blob_missing_right_after_the_write_is_unavailable(
        self, client: Client, store: S3BlobStore, moto: S3
    ) -> None:
        """A blob that is missing right after the write raises StoreUnavailable."""
        other = S3BlobStore(s3_clients.client(moto), store._bucket, "some/prefix")
        put(store, "other", b"x")  # probes the server
        client.meta.events.register("after-call.s3.PutObject", lambda **_: other.delete("key"))
        with pytest.raises(StoreUnavailable, match="cannot be found"):
            put(store, "key", b"x")


class TestServersThatCannot:
    """The store relies on nothing that a server does not enforce."""

    @staticmethod
    def without(header: str, client: Client) -> None:
        """Make a server that ignores a condition, by removing it from the requests to moto."""

        def ignore(request: AWSRequest, **_: object) -> None:
            del request.headers[header]

        client.meta.events.register("before-sign.s3", ignore)

    @pytest.mark.parametrize("data", [b"x", LARGE], ids=["whole", "in parts"])
    def test_one_that_overwrites_is_refused(self, client: Client, store: S3BlobStore, data: bytes) -> None:
        """A server without If-None-Match is refused before anything is stored: workers would overwrite each other."""
        self.without("If-None-Match", client)
        for _ in range(2):
            with pytest.raises(StoreDenied, match=r"If-None-Match.*take another store"):
                put(store, "key", data)
        assert keys(store) == []

    def test_one_that_replaces_any_version_is_refused(self, client: Client, store: S3BlobStore) -> None:
        """A server without If-Match can create blobs, but not replace them."""
        self.without("If-Match", client)
        old = put(store, "key", b"old")
        with pytest.raises(StoreDenied, match=r"If-Match.*delete it yourself"):
            put(store, "key", b"new", replacing=old.etag)
        assert store.head("key") == old

    def test_where_parts_are_not_protected_a_large_blob_is_sent_whole(self, proxied: Proxied) -> None:
        """A large blob is sent whole to a server that ignores If-Match for parts, as moto does."""
        store, proxy = proxied()
        old = put(store, "key", LARGE)
        new = put(store, "key", LARGE, replacing=old.etag)
        with pytest.raises(StoreConflict):
            put(store, "key", LARGE, replacing=old.etag)
        assert store.head("key") == new
        assert read(store, "key") == LARGE
        begun = [line for line in proxy.requests if "POST" in line and line.endswith("?uploads")]
        assert [line.split("/")[-1] for line in begun] == ["key?uploads", "probe-2?uploads"]

    def test_a_server_is_probed_once(self, proxied: Proxied) -> None:
        """A server is probed once. The private object for it stays, and later writes cost no probe."""
        store, proxy = proxied()
        put(store, "first", b"x")
        put(store, "second", LARGE)
        assert not any("probe" in line for line in proxy.requests)
        assert keys(store) == ["first", "second"]

    def test_a_version_that_vanishes_while_it_is_replaced_is_a_conflict(
        self,
        moto: S3,
        client: Client,
        store: S3BlobStore,
    ) -> None:
        """A version that vanishes during its replacement is a conflict, although servers report a missing key."""
        put(store, "other", b"x", replacing=put(store, "other", b"x").etag)  # probes the server
        old = put(store, "key", b"old")
        other = S3BlobStore(s3_clients.client(moto), store._bucket, "some/prefix")
        client.meta.events.register("before-sign.s3.PutObject", lambda **_: other.delete("key"))
        with pytest.raises(StoreConflict, match="gone"):
            put(store, "key", b"new", replacing=old.etag)


class TestVersions:
    """S3 compares ETags, which equal bytes may share."""

    def test_equal_bytes_in_parts_differ_to_the_server(self, store: S3BlobStore) -> None:
        """Equal bytes sent in parts get different ETags, so that the server distinguishes the versions."""
        etags = set()
        for _ in range(4):
            etags.add(put(store, "key", LARGE).etag.partition(".")[0])
            store.delete("key")
        assert len(etags) > 1  # the sizes are random, so two may be equal

    def test_a_later_version_of_equal_bytes_is_not_replaced(self, store: S3BlobStore) -> None:
        """A later version of equal small bytes is not replaced: the store compares the id of the version first."""
        first = put(store, "key", b"same")
        second = put(store, "key", b"same", replacing=first.etag)
        with pytest.raises(StoreConflict):
            put(store, "key", b"zombie", replacing=first.etag)
        assert store.head("key") == second


class TestUploadsLeftBehind:
    """A killed writer leaves parts that are invisible and cost money."""

    def begin(self, store: S3BlobStore, key: str) -> None:
        """Start a multipart upload and abandon it."""
        store._client.create_multipart_upload(Bucket=store._bucket, Key=f"some/prefix/{key}")

    def test_an_upload_aborts_abandoned_uploads_of_its_key(self, store: S3BlobStore) -> None:
        """An upload aborts abandoned uploads of its key, but of no other key. Moto dates all uploads to 2010."""
        for key in ("key", "key", "key2", "key/below"):
            self.begin(store, key)
        put(store, "key", LARGE)
        assert sorted(uploads(store)) == ["some/prefix/key/below", "some/prefix/key2"]

    def test_a_recent_upload_is_not_aborted(self, swift: S3) -> None:
        """A recent upload of another worker is not aborted."""
        store = s3_clients.store(s3_clients.client(swift, attempts=4))
        self.begin(store, "key")
        put(store, "key", LARGE)
        assert uploads(store) == ["some/prefix/key"]


class TestObjectsOfOthers:
    """Other people and programs use the same bucket."""

    def test_an_object_of_another_program_is_a_blob(self, client: Client, store: S3BlobStore) -> None:
        """An object of another program is read whole to describe it, and can be replaced by its version."""
        client.put_object(Bucket=store._bucket, Key="some/prefix/theirs", Body=b"x", Metadata={"by": "hand"})
        (theirs,) = store.list()
        assert theirs == store.head("theirs")
        assert (theirs.size, theirs.sha256) == (1, hashlib.sha256(b"x").hexdigest())
        assert theirs.metadata == {"by": "hand"}
        assert put(store, "theirs", b"ours", replacing=theirs.etag) == store.head("theirs")

    def test_objects_with_invalid_keys_are_not_listed(self, client: Client, store: S3BlobStore) -> None:
        """Objects whose names are not keys, or that are outside of the prefix, are not listed."""
        for key in ("some/prefix/folder/", "some/prefix//a", "some/prefix/.pixcore/a", "some/prefix2/a", "some/a"):
            client.put_object(Bucket=store._bucket, Key=key, Body=b"x")
        assert keys(store) == []


def use_and_tell(client: Client, stranger: Client) -> list[str]:
    """Use every method of a store, with success and failure, and return all texts that result."""
    store = s3_clients.store(client)
    denied = S3BlobStore(stranger, store._bucket)
    texts = [str(put(store, "key", LARGE)), *map(str, store.list()), str(len(read(store, "key")))]
    failures = (
        lambda: put(store, "key", b"x"),
        lambda: store.head("missing"),
        lambda: S3BlobStore(client, s3_clients.bucket()).open("key"),
        lambda: list(denied.list()),
        lambda: denied.open("key"),
    )
    for fail in failures:
        try:
            fail()
        except PixcoreError as error:
            texts.append(f"{error!r} {error.__cause__!r}")
    return texts


def test_no_secret_is_revealed(moto: S3, swift: S3, caplog: pytest.LogCaptureFixture) -> None:
    """No secret appears in the SDK's log at DEBUG, in errors or in URLs."""
    signatures: set[str] = set()

    def listen(request: AWSRequest, **_: object) -> None:
        signatures.update(re.findall(r"Signature=(\w+)", request.headers["Authorization"].decode()))

    texts: list[str] = []
    wrong, token = moto.secret_key[::-1], swift.secret_key[::-1]
    with caplog.at_level(logging.DEBUG):
        for server in (moto, swift):
            client, stranger = s3_clients.client(server), s3_clients.client(server, secret=wrong)
            if server is moto:  # moto does not check it
                client._request_signer._credentials = Credentials(server.access_key, server.secret_key, token)
            for heard in (client, stranger):
                heard.meta.events.register("before-send.s3", listen)
            texts += use_and_tell(client, stranger)
    for name in ("botocore.endpoint", "urllib3.connectionpool"):
        assert any(record.name == name for record in caplog.records)
    text = "\n".join([caplog.text, *texts])
    assert len(signatures) > 20
    for secret in (moto.secret_key, swift.secret_key, wrong, token, *signatures):
        assert secret not in text
