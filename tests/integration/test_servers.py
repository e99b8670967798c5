"""The servers of the tests: real clients get in, and nothing stays of them, however a run ends."""

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
WRONG = "d3Jvbmc="  # in base64, which Azure's keys are in


def s3(server: S3, secret: str = "") -> Any:  # noqa: ANN401 - boto3 makes its classes as it runs
    """A client that tries once."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret or server.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


def azure(server: Azure, key: str = "") -> BlobServiceClient:
    """A client that tries once."""
    return BlobServiceClient(
        server.url, {"account_name": server.account, "account_key": key or server.key}, retry_total=0
    )


def test_redis_lets_in_who_has_the_password_and_keeps_its_data(own: Own) -> None:
    """Queues lean on it: a broker that restarts has its messages still."""
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


def test_postgres_lets_in_who_has_the_password_and_keeps_its_data(own: Own) -> None:
    """The same, of the status database, with a client connected while it stops."""
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


def test_swift_lets_in_who_has_the_secret_and_keeps_its_data(own: Own) -> None:
    """The strict S3: what moto lets pass is refused here."""
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


def test_azurite_lets_in_who_has_the_key_and_keeps_its_data(own: Own) -> None:
    """The same, of Azure Blob Storage."""
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
    """The quick S3 forgets when it stops; its address stays."""
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


def test_fixtures_give_the_servers_of_the_run(
    redis: Redis, postgres: Postgres, moto: S3, swift: S3, azurite: Azure
) -> None:
    """The servers that every other test leans on are there, each at a place of its own."""
    ports = {server.port for server in (redis, postgres, moto, swift, azurite)}
    assert len(ports) == 5
    assert all(map(listening, ports))


# shares a Redis, has one of its own, says where they are, and waits
WAITING = """
import json, os
from pathlib import Path
import pytest
from servers.redis import prepare

@pytest.mark.parametrize("number", range(2))
def test_waits(redis, own, number):
    said = Path(f"said-{number}.part")
    said.write_text(json.dumps([os.environ["TEST_SERVERS"], redis.port, own(prepare).address.port]))
    said.rename(f"said-{number}")
    Path("wait").open().read()
"""


@pytest.mark.parametrize(
    ("workers", "how"),
    [(0, signal.SIGKILL), (2, signal.SIGKILL), (0, signal.SIGINT)],
    ids=["killed", "xdist-killed", "interrupted"],
)
def test_nothing_stays_of_a_run(workers: int, how: signal.Signals, tmp_path: Path, redis: Redis) -> None:
    """Neither a program nor the folder, and the servers of other runs stay; nobody has to clean up after kill -9."""
    (tmp_path / "test_waiting.py").write_text(WAITING)
    os.mkfifo(tmp_path / "wait")
    pytest_there = (sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-n", str(workers))
    with (
        (tmp_path / "wait").open("rb+", buffering=0),
        subprocess.Popen(
            pytest_there, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE
        ) as there,
    ):
        try:
            said = [eventually((tmp_path / f"said-{number}").read_text) for number in range(workers or 1)]
            places = [tuple(json.loads(text)) for text in said]
            folder, shared, _ = places[0]
            assert {place[:2] for place in places} == {(folder, shared)}  # one run, which has one Redis for all
            ports = {port for place in places for port in place[1:]}
            assert all(map(listening, ports))
        finally:
            there.send_signal(how)
            there.wait(60)

    def gone() -> None:
        assert not any(map(listening, ports))
        assert processes(folder) == []
        assert not Path(folder).exists()

    eventually(gone)
    assert listening(redis.port)


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """A run that had no server when it was killed has nobody else to clean up after it."""
    begin = "import os; from servers.run import servers_of_this_run as run\nwith run(): os.kill(os.getpid(), {})"
    for how, left in ((signal.SIGKILL, 1), (0, 0)):
        environment = os.environ | {"PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path)}
        subprocess.run((sys.executable, "-c", begin.format(int(how))), env=environment, check=False)
        assert len(list(tmp_path.glob("*"))) == left


def eventually(get: Callable[[], Any]) -> Any:  # noqa: ANN401 - what ``get`` gives
    """Wait for what another process does, half a minute at most."""
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
    """The commands that run in or below a folder, or speak of it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            command = (process / "cmdline").read_bytes()
            if folder in str((process / "cwd").readlink()) or folder.encode() in command:
                found.append(command)
    return found


def test_a_server_that_dies_at_its_start_says_why() -> None:
    """Nobody should have to look for the log of a server in a folder that is gone."""

    def prepare(_folder: Path) -> Setup[None]:
        port = free_port()
        return Setup(None, (port,), (("sh", "-c", "echo no luck; exit 3"),), lambda: speaks_http(port))

    with pytest.raises(Unavailable, match="no luck"):
        started(prepare)


def test_a_port_that_was_taken_meanwhile_is_given_up(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several runs on one machine choose their ports at the same time."""
    first = own(redis.prepare)
    ports = iter([first.address.port, free := free_port()])
    monkeypatch.setattr(redis, "free_port", lambda: next(ports))
    assert own(redis.prepare).address.port == free


@pytest.mark.parametrize(
    ("ci", "end"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)], ids=["ci", "elsewhere"]
)
def test_ci_fails_without_a_server(ci: str, end: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere its tests are skipped; either says why."""
    monkeypatch.setenv("CI", ci)

    def nothing() -> None:
        raise Unavailable("not for this machine")

    with pytest.raises(end, match="not for this machine"):
        had(nothing)


def test_half_an_installation_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The installer may be killed or lose the network; what it left must neither be used nor be in the way."""
    monkeypatch.setattr(tools, "CACHE", tmp_path / "cache")

    def broken(folder: Path) -> None:
        (folder / "half").touch()
        tools.run("sh", "-c", "echo no network; exit 1")

    def whole(folder: Path) -> None:
        (folder / "program").touch()

    with pytest.raises(Unavailable, match="no network"):
        installed("a", "1", broken)
    folder = installed("a", "1", whole)
    assert {path.name for path in folder.iterdir()} == {"program", "complete"}
    assert installed("a", "1", broken) == folder  # it is whole, so nothing is made
    assert installed("a", "2", whole) != folder


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder may be read-only, or none; the remedy is a variable."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(tools, "CACHE", tmp_path / "file" / "cache")
    with pytest.raises(Unavailable, match="PIXCORE_CACHE"):
        installed("a", "1", Path.touch)
