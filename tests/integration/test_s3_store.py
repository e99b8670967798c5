"""What the S3 store makes of faults: boto3's errors, lost answers, servers that cannot do all of S3."""

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
    InvalidRequest,
    PixcoreError,
    StoreConflict,
    StoreDenied,
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
    """Connect to moto; try once."""
    return s3_clients.client(moto)


@pytest.fixture
def store(client: Client) -> S3BlobStore:
    """Give an empty store on moto."""
    return s3_clients.store(client)


@pytest.fixture
def proxied(moto: S3, store: S3BlobStore) -> Iterator[Proxied]:
    """Give the store through a proxy, which begins its script when the server has been asked what it enforces."""
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
    """Let the SDK try again at once."""
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None, time=lambda: 0.0))


def uploads(store: S3BlobStore) -> list[str]:
    """The keys whose upload in parts has begun and not ended."""
    listed = store._client.list_multipart_uploads(Bucket=store._bucket).get("Uploads", [])
    return [upload["Key"] for upload in listed]


def refused_with(status: int, code: str) -> boto.ClientError:
    """An error as boto3 raises it for an answer."""
    return boto.ClientError(
        {"Error": {"Code": code, "Message": "…"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Operation"
    )


def translated(error: Exception) -> PixcoreError:
    """What the store raises for an error of boto3's."""
    with pytest.raises(PixcoreError) as raised, store_errors("cannot do it"):
        raise error
    assert raised.value.__cause__ is error
    return raised.value


class TestErrors:
    """Foreign errors become the store's, in one place."""

    @pytest.mark.parametrize("module", [boto, boto3_exceptions], ids=["botocore", "boto3"])
    def test_none_is_left_untranslated(self, module: object) -> None:
        """A new class in a new release must not fall through, whatever it needs to be made.

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
            (refused_with(501, "NotImplemented"), StoreDenied),
            (refused_with(503, "SlowDown"), StoreUnavailable),
            (boto.ClientError({"Error": {"Code": "503"}}, "Operation"), StoreUnavailable),
        ],
        ids=lambda value: value.__name__ if isclass(value) else ascii(str(value))[1:60],
    )
    def test_each_says_whether_trying_again_helps(self, error: Exception, expected: type[PixcoreError]) -> None:
        """By status and code, because one class of boto3's stands for most of them; in one line, with a remedy."""
        told = translated(error)
        assert type(told) is expected
        assert re.fullmatch("cannot do it: .+; .+", str(told))

    def test_a_certificate_that_nobody_vouches_for_is_denied(self, moto: S3) -> None:
        """To try again would be to knock at a stranger's door."""
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
        """Whoever forgot to say who he is learns it, and is not asked for ever by the cloud's own address."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
        with pytest.raises(StoreDenied, match="credentials"):
            S3BlobStore.at(f"s3://bucket?endpoint={moto.endpoint}", {}).head("key")


class TestUrls:
    """A store is found by its URL and boto3's own configuration."""

    def test_a_url_says_where_and_the_environment_who(self, monkeypatch: pytest.MonkeyPatch, moto: S3) -> None:
        """What is stored through one URL is found through the other, whose endpoint boto3 finds itself."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
        bucket = s3_clients.bucket()
        told = S3BlobStore.at(f"s3://{bucket}/a%20b/c/?endpoint={moto.endpoint}&region=eu-west-1", {})
        told.create()
        stored = put(told, "d e", b"x")
        assert stored.url == f"s3://{bucket}/a%20b/c/d%20e"
        assert told._client.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-west-1"
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
        """A mistake is told at once, and a secret not repeated."""
        with pytest.raises(InvalidRequest) as refused:
            S3BlobStore.at(url, {})
        assert "sesame" not in str(refused.value)

    def test_a_profile_that_is_not_there_is_denied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """boto3 looks for it as soon as it is asked for a client."""
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(StoreDenied, match="nobody"):
            S3BlobStore.at("s3://bucket", {})


@pytest.mark.usefixtures("_no_waiting")
class TestAttempts:
    """The SDK tries again inside one attempt of the pipeline's, and both are bounded."""

    def test_a_call_is_four_requests_at_most(self, proxied: Proxied) -> None:
        """An overloaded server is asked again a few times; what has come through by then is a success."""
        store, proxy = proxied(*[Answer(503)] * 4, attempts=4)
        with pytest.raises(StoreUnavailable):
            store.head("key")
        assert len(proxy.requests) == 4
        proxy.play(*[Answer(503)] * 3)
        put(store, "key", b"x")
        assert [line.split()[0] for line in proxy.requests] == ["PUT"] * 4 + ["HEAD"]

    def test_an_upload_phase_is_bounded(self, proxied: Proxied) -> None:
        """Five attempts of the pipeline's, each of them four writes and four questions whether one got through."""
        store, proxy = proxied(*[Answer(503)] * 100, attempts=4)
        with pytest.raises(StoreUnavailable):
            retrying(Policies().upload, lambda _: None)(put, store, "key", b"x")
        assert len(proxy.requests) == 5 * (4 + 4)

    def test_the_store_of_a_url_tries_as_often(self, monkeypatch: pytest.MonkeyPatch, moto: S3) -> None:
        """Whatever the environment says of attempts: they are part of the pipeline's sum."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
        with FaultProxy(moto.port, *[Answer(500)] * 9) as proxy:
            with pytest.raises(StoreUnavailable):
                S3BlobStore.at(f"s3://bucket?endpoint=http://127.0.0.1:{proxy.port}", {}).head("key")
            assert len(proxy.requests) == 4


class TestLostAnswers:
    """A write whose answer is lost has happened or not; the store finds out which."""

    @pytest.mark.parametrize("attempts", [1, 4], ids=["once", "tried again"])
    @pytest.mark.usefixtures("_no_waiting")
    def test_a_whole_write_is_recognised(self, proxied: Proxied, attempts: int) -> None:
        """The SDK's second try is refused because of the first one, which must not look like somebody else's."""
        store, _ = proxied(Drop(), attempts=attempts)
        stored = put(store, "key", b"x", metadata={"attempt": "1"})
        assert store.head("key") == stored

    @pytest.mark.parametrize("attempts", [1, 4], ids=["once", "tried again"])
    @pytest.mark.usefixtures("_no_waiting")
    def test_a_write_in_parts_is_recognised(self, proxied: Proxied, attempts: int) -> None:
        """After the list of old uploads, the beginning and three parts, the end is what makes the blob."""
        store, proxy = proxied(*[Pass()] * 5, Drop(), attempts=attempts)
        stored = put(store, "key", LARGE)
        assert "POST" in proxy.requests[5]
        assert store.head("key") == stored
        assert read(store, "key") == LARGE

    def test_a_replacement_is_recognised(self, proxied: Proxied) -> None:
        """Of the two versions, the one that is there now is told by its name."""
        store, proxy = proxied()
        old = put(store, "key", b"same")
        put(store, "other", b"x", replacing=put(store, "other", b"x").etag)  # asks what is enforced
        proxy.play(Pass(), Drop())
        new = put(store, "key", b"same", replacing=old.etag)
        assert new.etag != old.etag
        assert store.head("key") == new

    def test_the_same_bytes_of_another_are_not_ours(self, proxied: Proxied, store: S3BlobStore) -> None:
        """Whoever lost must learn of it, although what is there looks the same; whose chunk it is, publish asks."""
        theirs = put(store, "key", b"same", metadata={"attempt": "2"})
        tried, _ = proxied(Drop())
        with pytest.raises(StoreUnavailable):
            put(tried, "key", b"same", metadata={"attempt": "2"})
        with pytest.raises(StoreConflict):
            put(tried, "key", b"same", metadata={"attempt": "2"})
        assert store.head("key") == theirs

    def test_a_write_that_never_came_is_worth_trying_again(self, proxied: Proxied) -> None:
        """Nothing was stored: the next attempt creates it."""
        store, _ = proxied(Reset())
        with pytest.raises(StoreUnavailable):
            put(store, "key", b"x")
        assert keys(store) == []
        assert put(store, "key", b"x") == store.head("key")


class TestBrokenConnections:
    """Half of a blob is never taken for a whole one."""

    def test_a_part_is_sent_again_from_its_beginning(self, proxied: Proxied) -> None:
        """What is left of a half-read source would be stored as a whole one."""
        store, _ = proxied(*[Pass()] * 3, Reset(after=1 << 20), attempts=4)
        put(store, "key", LARGE)
        assert read(store, "key") == LARGE

    def test_an_upload_that_fails_leaves_nothing(self, proxied: Proxied) -> None:
        """Neither a blob nor parts that cost money; and the next one begins with a source opened anew."""
        store, _ = proxied(*[Pass()] * 3, Reset(after=1 << 20))
        with pytest.raises(StoreUnavailable):
            put(store, "key", LARGE)
        assert (keys(store), uploads(store)) == ([], [])
        put(store, "key", LARGE)
        assert read(store, "key") == LARGE

    @pytest.mark.parametrize("after", [0, 1 << 20], ids=["at its start", "in its middle"])
    def test_a_download_that_breaks_off_is_noticed(self, proxied: Proxied, after: int) -> None:
        """The end of a connection is not the end of a blob."""
        store, proxy = proxied()
        put(store, "key", LARGE)
        proxy.play(Truncate(after))
        with store.open("key") as file, pytest.raises(StoreUnavailable, match="key"):
            file.read()

    def test_a_blob_that_was_shortened_on_its_way_is_not_ours(self, client: Client, store: S3BlobStore) -> None:
        """A server that says it stored everything is asked how much."""

        def shorter(parsed: dict[str, Any], **_: object) -> None:
            parsed["ContentLength"] = 1

        client.meta.events.register("after-call.s3.HeadObject", shorter)
        with pytest.raises(StoreUnavailable, match="1 of the 2 bytes"):
            put(store, "key", b"xy")


class TestRightAfter:
    """What others do between a write and the look at what came of it."""

    def test_a_blob_that_is_replaced_at_once_is_a_conflict(self, client: Client, store: S3BlobStore, moto: S3) -> None:
        """A newer attempt was waiting: publish finds out that it is one."""
        other = S3BlobStore(s3_clients.client(moto), store._bucket, "some/prefix")
        put(store, "other", b"x")  # asks what is enforced

        def replace(**_: object) -> None:
            put(other, "key", b"newer", replacing=other.head("key").etag)

        client.meta.events.register("after-call.s3.PutObject", replace)
        with pytest.raises(StoreConflict, match="replaced"):
            put(store, "key", b"x")
        assert read(store, "key") == b"newer"

    def test_a_blob_that_is_not_there_at_once_is_worth_trying_again(
        self, client: Client, store: S3BlobStore, moto: S3
    ) -> None:
        """Somebody deleted it, or the server shows it later: in both cases, it is not known to be stored."""
        other = S3BlobStore(s3_clients.client(moto), store._bucket, "some/prefix")
        put(store, "other", b"x")  # asks what is enforced
        client.meta.events.register("after-call.s3.PutObject", lambda **_: other.delete("key"))
        with pytest.raises(StoreUnavailable, match="cannot be found"):
            put(store, "key", b"x")


class TestServersThatCannot:
    """What a server does not enforce is not relied on."""

    @staticmethod
    def without(header: str, client: Client) -> None:
        """Make a server of moto that ignores a condition, by taking it away before it gets there."""

        def ignore(request: AWSRequest, **_: object) -> None:
            del request.headers[header]

        client.meta.events.register("before-sign.s3", ignore)

    @pytest.mark.parametrize("data", [b"x", LARGE], ids=["whole", "in parts"])
    def test_one_that_overwrites_is_refused(self, client: Client, store: S3BlobStore, data: bytes) -> None:
        """Before anything is stored: two workers would overwrite each other's archives in silence."""
        self.without("If-None-Match", client)
        for _ in range(2):
            with pytest.raises(StoreDenied, match=r"If-None-Match.*take another store"):
                put(store, "key", data)
        assert keys(store) == []

    def test_one_that_replaces_any_version_is_refused(self, client: Client, store: S3BlobStore) -> None:
        """It may still create."""
        self.without("If-Match", client)
        old = put(store, "key", b"old")
        with pytest.raises(StoreDenied, match=r"If-Match.*delete it yourself"):
            put(store, "key", b"new", replacing=old.etag)
        assert store.head("key") == old

    def test_where_parts_are_not_protected_a_large_blob_is_sent_whole(self, proxied: Proxied) -> None:
        """Moto ends an upload in parts whatever If-Match says, and obeys it for whole writes."""
        store, proxy = proxied()
        old = put(store, "key", LARGE)
        new = put(store, "key", LARGE, replacing=old.etag)
        with pytest.raises(StoreConflict):
            put(store, "key", LARGE, replacing=old.etag)
        assert store.head("key") == new
        assert read(store, "key") == LARGE
        begun = [line for line in proxy.requests if "POST" in line and line.endswith("?uploads")]
        assert [line.split("/")[-1] for line in begun] == ["key?uploads", "probe?uploads"]

    def test_a_server_is_asked_once(self, proxied: Proxied) -> None:
        """The object that it is asked with stays, private, and costs later writes nothing."""
        store, proxy = proxied()
        put(store, "first", b"x")
        put(store, "second", LARGE)
        assert not any("probe" in line for line in proxy.requests)
        assert keys(store) == ["first", "second"]

    def test_the_version_that_goes_while_it_is_replaced_is_a_conflict(
        self,
        moto: S3,
        client: Client,
        store: S3BlobStore,
    ) -> None:
        """Servers say of it that there is no such key, which is not what is wrong with the store."""
        put(store, "other", b"x", replacing=put(store, "other", b"x").etag)  # asks what is enforced
        old = put(store, "key", b"old")
        other = S3BlobStore(s3_clients.client(moto), store._bucket, "some/prefix")
        client.meta.events.register("before-sign.s3.PutObject", lambda **_: other.delete("key"))
        with pytest.raises(StoreConflict, match="gone"):
            put(store, "key", b"new", replacing=old.etag)


class TestVersions:
    """S3 compares ETags, and equal bytes may have equal ones."""

    def test_equal_bytes_in_parts_differ_to_the_server(self, store: S3BlobStore) -> None:
        """So it is the server that tells an older attempt's archive from a newer one's of the same bytes."""
        etags = set()
        for _ in range(4):
            etags.add(put(store, "key", LARGE).etag.partition(".")[0])
            store.delete("key")
        assert len(etags) > 1  # their sizes are random, so two may be equal

    def test_a_later_version_of_equal_bytes_is_not_replaced(self, store: S3BlobStore) -> None:
        """For small blobs the server cannot tell; the store looks at the version's name before it writes."""
        first = put(store, "key", b"same")
        second = put(store, "key", b"same", replacing=first.etag)
        with pytest.raises(StoreConflict):
            put(store, "key", b"zombie", replacing=first.etag)
        assert store.head("key") == second


class TestUploadsLeftBehind:
    """A writer that is killed leaves parts that nobody sees and somebody pays for."""

    def begin(self, store: S3BlobStore, key: str) -> None:
        """Begin an upload in parts and go away."""
        store._client.create_multipart_upload(Bucket=store._bucket, Key=f"some/prefix/{key}")

    def test_those_of_the_key_go_with_its_next_upload(self, store: S3BlobStore) -> None:
        """Moto says of every upload that it began in 2010. Those of other keys are not this writer's business."""
        for key in ("key", "key", "key2", "key/below"):
            self.begin(store, key)
        put(store, "key", LARGE)
        assert sorted(uploads(store)) == ["some/prefix/key/below", "some/prefix/key2"]

    def test_one_that_may_live_stays(self, swift: S3) -> None:
        """Another worker with the same chunk, a moment ago, is no dead one."""
        store = s3_clients.store(s3_clients.client(swift, attempts=4))
        self.begin(store, "key")
        put(store, "key", LARGE)
        assert uploads(store) == ["some/prefix/key"]


class TestObjectsOfOthers:
    """Buckets are shared with people and their tools."""

    def test_what_others_put_there_is_a_blob(self, client: Client, store: S3BlobStore) -> None:
        """It is read to describe it, and replaced by its version like any other."""
        client.put_object(Bucket=store._bucket, Key="some/prefix/theirs", Body=b"x", Metadata={"by": "hand"})
        (theirs,) = store.list()
        assert theirs == store.head("theirs")
        assert (theirs.size, theirs.sha256) == (1, hashlib.sha256(b"x").hexdigest())
        assert theirs.metadata == {"by": "hand"}
        assert put(store, "theirs", b"ours", replacing=theirs.etag) == store.head("theirs")

    def test_what_no_store_takes_is_not_listed(self, client: Client, store: S3BlobStore) -> None:
        """Consoles make an object ``folder/`` of a folder; beside the prefix is another store."""
        for key in ("some/prefix/folder/", "some/prefix//a", "some/prefix/.pixcore/a", "some/prefix2/a", "some/a"):
            client.put_object(Bucket=store._bucket, Key=key, Body=b"x")
        assert keys(store) == []


def use_and_tell(client: Client, stranger: Client) -> list[str]:
    """Do all that a store does, fail in all ways, and give every text that comes of it."""
    store = s3_clients.store(client)
    denied = S3BlobStore(stranger, store._bucket)
    told = [str(put(store, "key", LARGE)), *map(str, store.list()), str(len(read(store, "key")))]
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
            told.append(f"{error!r} {error.__cause__!r}")
    return told


def test_no_secret_is_told(moto: S3, swift: S3, caplog: pytest.LogCaptureFixture) -> None:
    """Not by the SDK at DEBUG, not by an error, and not by a blob's URL: logs are copied into reports."""
    signatures: set[str] = set()

    def listen(request: AWSRequest, **_: object) -> None:
        signatures.update(re.findall(r"Signature=(\w+)", request.headers["Authorization"].decode()))

    told: list[str] = []
    wrong, token = moto.secret_key[::-1], swift.secret_key[::-1]
    with caplog.at_level(logging.DEBUG):
        for server in (moto, swift):
            client, stranger = s3_clients.client(server), s3_clients.client(server, secret=wrong)
            if server is moto:  # which does not mind
                client._request_signer._credentials = Credentials(server.access_key, server.secret_key, token)
            for heard in (client, stranger):
                heard.meta.events.register("before-send.s3", listen)
            told += use_and_tell(client, stranger)
    for name in ("botocore.endpoint", "urllib3.connectionpool"):
        assert any(record.name == name for record in caplog.records)
    text = "\n".join([caplog.text, *told])
    assert len(signatures) > 20
    for secret in (moto.secret_key, swift.secret_key, wrong, token, *signatures):
        assert secret not in text
