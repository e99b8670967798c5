"""The servers of the tests: real clients can connect, and nothing is left of the servers, however a run ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from redis import Redis as RedisClient
from redis.exceptions import AuthenticationError, RedisError
from servers import azurite, moto, postgres, redis, swift, tools
from servers.addresses import S3, Azure, Postgres, Redis
from servers.fixtures import Own, had
from servers.server import Setup, free_port, listening, speaks_http, started
from servers.tools import Unavailable, installed
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

TESTS = Path(__file__).parents[1]
WRONG = "d3Jvbmc="  # in base64, like Azure's keys


def s3(server: S3, secret: str = "") -> Any:  # noqa: ANN401 - boto3 creates its classes at run time
    """Return a client that does not retry."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret or server.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


def azure(server: Azure, key: str = "") -> BlobServiceClient:
    """Return a client that does not retry."""
    return BlobServiceClient(
        server.url, {"account_name": server.account, "account_key": key or server.key}, retry_total=0
    )


def test_redis_needs_its_password_and_keeps_its_data(own: Own) -> None:
    """Tests of queues need a broker that still has its messages after a restart."""
    server = own(redis.prepare)
    with RedisClient.from_url(server.address.url()) as client:
        client.set("a", "b")
    stranger = RedisClient.from_url(server.address.url().replace(server.address.password, WRONG))
    with stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    server.stop()
    with RedisClient.from_url(server.address.url()) as client:
        with pytest.raises(RedisError):
            client.ping()
        server.start()
        assert client.get("a") == b"b"


def test_postgres_needs_its_password_and_keeps_its_data(own: Own) -> None:
    """The server must stop and start again while a client is connected."""
    server = own(postgres.prepare)
    url = server.address.url(driver="postgresql")
    with psycopg.connect(url, autocommit=True) as idle:
        idle.execute("CREATE TABLE a AS SELECT 1 AS b")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(server.address.password, WRONG))
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start()
    with psycopg.connect(url) as back:
        assert back.execute("SELECT b FROM a").fetchone() == (1,)


def test_swift_needs_its_secret_and_keeps_its_data(own: Own) -> None:
    """Swift is the strict S3 server, which refuses signatures that moto accepts."""
    server = own(swift.prepare)
    client = s3(server.address)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="b", Body=b"c")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(server.address, WRONG).get_object(Bucket="bucket", Key="b")
    server.stop()
    with pytest.raises(BotoCoreError):
        client.get_object(Bucket="bucket", Key="b")
    server.start()
    assert client.get_object(Bucket="bucket", Key="b")["Body"].read() == b"c"


def test_azurite_needs_its_key_and_keeps_its_data(own: Own) -> None:
    """Tests of the Azure store need a server that checks keys and keeps its blobs after a restart."""
    server = own(azurite.prepare)
    with azure(server.address) as client, azure(server.address, WRONG) as stranger:
        client.create_container("container").upload_blob("b", b"c")
        with pytest.raises(AzureError, match="AuthorizationFailure"):
            stranger.get_blob_client("container", "b").download_blob()
        server.stop()
        with pytest.raises(AzureError):
            client.get_blob_client("container", "b").download_blob()
        server.start()
        assert client.get_blob_client("container", "b").download_blob().readall() == b"c"
    with BlobServiceClient.from_connection_string(server.address.connection_string) as client:
        assert client.get_blob_client("container", "b").exists()


def test_moto_stores_and_starts_again(own: Own) -> None:
    """Moto loses its data when it stops, but must keep its address."""
    server = own(moto.prepare)
    client = s3(server.address)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="b", Body=b"c")
    assert client.get_object(Bucket="bucket", Key="b")["Body"].read() == b"c"
    server.stop()
    with pytest.raises(BotoCoreError):
        client.list_buckets()
    server.start()
    assert client.list_buckets()["Buckets"] == []


def test_fixtures_return_the_shared_servers(
    redis: Redis, postgres: Postgres, moto: S3, swift: S3, azurite: Azure
) -> None:
    """All shared servers must run, each at a port of its own."""
    ports = {server.port for server in (redis, postgres, moto, swift, azurite)}
    assert len(ports) == 5
    assert all(map(listening, ports))


# Shares a Redis, has one of its own, writes their ports to a file, and waits.
WAITING = """
import json, os
from pathlib import Path
import pytest
from servers.redis import prepare

@pytest.mark.parametrize("number", range(2))
def test_waits(redis, own, number):
    file = Path(f"ports-{number}.part")
    file.write_text(json.dumps([os.environ["TEST_SERVERS"], redis.port, own(prepare).address.port]))
    file.rename(f"ports-{number}")
    Path("wait").open().read()
"""


@pytest.mark.parametrize(
    ("workers", "how"),
    [(0, signal.SIGKILL), (2, signal.SIGKILL), (0, signal.SIGINT)],
    ids=["killed", "xdist-killed", "interrupted"],
)
def test_a_killed_run_leaves_no_server_and_no_folder(
    workers: int, how: signal.Signals, tmp_path: Path, redis: Redis
) -> None:
    """No cleanup by hand may be needed after kill -9, and the servers of other runs must stay."""
    (tmp_path / "test_waiting.py").write_text(WAITING)
    os.mkfifo(tmp_path / "wait")
    command = (sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-n", str(workers))
    with (
        (tmp_path / "wait").open("rb+", buffering=0),
        subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE
        ) as run,
    ):
        try:
            texts = [eventually((tmp_path / f"ports-{number}").read_text) for number in range(workers or 1)]
            places = [tuple(json.loads(text)) for text in texts]
            folder, shared, _ = places[0]
            assert {place[:2] for place in places} == {(folder, shared)}  # one run with one shared Redis
            ports = {port for place in places for port in place[1:]}
            assert all(map(listening, ports))
        finally:
            run.send_signal(how)
            run.wait(60)

    def gone() -> None:
        assert not any(map(listening, ports))
        assert processes(folder) == []
        assert not Path(folder).exists()

    eventually(gone)
    assert listening(redis.port)


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """A run that is killed without a server has no other process to remove its folder."""
    begin = "import os; from servers.run import servers_of_this_run as run\nwith run(): os.kill(os.getpid(), {})"
    for how, left in ((signal.SIGKILL, 1), (0, 0)):
        environment = os.environ | {"PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path)}
        subprocess.run((sys.executable, "-c", begin.format(int(how))), env=environment, check=False)
        assert len(list(tmp_path.glob("*"))) == left


def eventually(get: Callable[[], Any]) -> Any:  # noqa: ANN401 - the result of ``get``
    """Call ``get`` until it succeeds, for half a minute at most; return its result."""
    for attempt in Retrying(
        retry=retry_if_exception_type((AssertionError, OSError)),
        wait=wait_fixed(0.02),
        stop=stop_after_delay(30),
        reraise=True,
    ):
        with attempt:
            return get()
    return None


def processes(folder: str) -> list[bytes]:
    """Return the commands of processes that run in a folder or name it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process has ended
            command = (process / "cmdline").read_bytes()
            if folder in str((process / "cwd").readlink()) or folder.encode() in command:
                found.append(command)
    return found


def test_the_error_of_a_server_that_ends_at_its_start_has_its_output() -> None:
    """The folder with the log of the server is removed, so the error must contain the log."""

    def prepare(_folder: Path) -> Setup[None]:
        port = free_port()
        return Setup(None, (port,), (("sh", "-c", "echo no luck; exit 3"),), lambda: speaks_http(port))

    with pytest.raises(Unavailable, match="no luck"):
        started(prepare)


def test_a_port_that_another_server_took_is_replaced(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several runs on one machine may choose the same port at the same time."""
    first = own(redis.prepare)
    ports = iter([first.address.port, free := free_port()])
    monkeypatch.setattr(redis, "free_port", lambda: next(ports))
    assert own(redis.prepare).address.port == free


@pytest.mark.parametrize(
    ("ci", "end"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)], ids=["ci", "elsewhere"]
)
def test_ci_fails_without_a_server(ci: str, end: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """On other machines the tests are skipped; both outcomes must name the reason."""
    monkeypatch.setenv("CI", ci)

    def nothing() -> None:
        raise Unavailable("not for this machine")

    with pytest.raises(end, match="not for this machine"):
        had(nothing)


def test_an_incomplete_installation_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted installer left must neither be used nor prevent the next installation."""
    monkeypatch.setattr(tools, "CACHE", tmp_path / "cache")

    def broken(folder: Path) -> None:
        (folder / "half").touch()
        tools.run("sh", "-c", "echo no network; exit 1")

    def complete(folder: Path) -> None:
        (folder / "program").touch()

    with pytest.raises(Unavailable, match="no network"):
        installed("a", "1", broken)
    folder = installed("a", "1", complete)
    assert {path.name for path in folder.iterdir()} == {"program", "complete"}
    assert installed("a", "1", broken) == folder  # already complete, so nothing is installed
    assert installed("a", "2", complete) != folder


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder may be read-only or missing, and the error must name the variable that replaces it."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(tools, "CACHE", tmp_path / "file" / "cache")
    with pytest.raises(Unavailable, match="PIXCORE_CACHE"):
        installed("a", "1", Path.touch)
