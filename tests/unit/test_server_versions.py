"""Servers that are too old are refused by one line that names the version that is needed."""

import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import BinaryIO

import pytest
from celery.concurrency.prefork import TaskPool

from pixcore import InvalidRequest
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_runners.celery.ready import CheckSettings, make_app
from pixcore_runners.queueing.redis_version import require_redis
from pixcore_runners.queueing.runner import open_runner
from pixcore_runners.settings import SecretUrl, Settings

Serve = Callable[[Callable[[BinaryIO, BinaryIO], None]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves a protocol on a port of loopback, which it returns."""
    with ExitStack() as servers:

        def start(talk: Callable[[BinaryIO, BinaryIO], None]) -> int:
            class Handler(socketserver.StreamRequestHandler):
                def handle(self) -> None:
                    talk(self.rfile, self.wfile)  # type: ignore[arg-type]

            server = servers.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            servers.callback(thread.join)
            servers.callback(server.shutdown)
            return int(server.server_address[1])

        yield start


def redis_of(version: str) -> Callable[[BinaryIO, BinaryIO], None]:
    """Return how a Redis of that version answers. Before 6.0 there was no HELLO."""

    def talk(requests: BinaryIO, answers: BinaryIO) -> None:
        while head := requests.readline():
            words = [requests.read(int(requests.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
            if words[0] == b"INFO":
                info = f"# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\n"
                answers.write(f"${len(info)}\r\n{info}\r\n".encode())
            elif words[0] == b"HELLO":
                answers.write(b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n")
            else:
                answers.write(b"+OK\r\n")

    return talk


@pytest.mark.parametrize(
    ("runner", "version", "needed"),
    [("celery", "5.0.7", "Celery needs Redis 6.2"), ("celery", "6.0.16", "6.2"), ("rq", "5.0.7", "RQ needs Redis 6.0")],
)
def test_an_old_broker_is_refused(serve: Serve, runner: str, version: str, needed: str) -> None:
    """`submit` asks first how many deliveries wait."""
    broker = f"redis://:sesame@127.0.0.1:{serve(redis_of(version))}/0"
    with pytest.raises(InvalidRequest, match=rf"is Redis {version}, and .*{needed} or newer; upgrade it") as refused:
        open_runner(runner, Settings(broker=SecretUrl(broker))).waiting()
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("old", ["broker", "result_backend"])
def test_a_worker_of_celerys_own_command_is_refused(serve: Serve, old: str) -> None:
    """It ends before it takes a message; results must fit as well as the broker."""
    urls = {"broker": "amqp://127.0.0.1:1//", old: f"redis://127.0.0.1:{serve(redis_of('6.0.16'))}/0"}
    app = make_app(Settings(**{name: SecretUrl(url) for name, url in urls.items()}))
    worker = SimpleNamespace(pool_cls=TaskPool, app=app)
    with app, pytest.raises(SystemExit, match=r"pixcore: .* is Redis 6\.0\.16, and Celery needs Redis 6\.2 or newer"):
        CheckSettings(worker).create(worker)


@pytest.mark.parametrize("version", ["6.0.16", "6.2.0", "7.2.4", "10.0.0", "unknown"])
def test_a_new_enough_redis_is_accepted(serve: Serve, version: str) -> None:
    """Versions are compared by number; one that cannot be read is not refused."""
    require_redis(SecretUrl(f"redis://127.0.0.1:{serve(redis_of(version))}/0"), (6, 0), "RQ")


def test_a_server_that_is_away_is_left_to_its_users() -> None:
    """They try again, and say what to do."""
    require_redis(SecretUrl("redis://127.0.0.1:1/0"), (6, 0), "RQ")
    require_redis(SecretUrl("amqp://127.0.0.1:1//"), (6, 0), "Celery")
    require_redis(None, (6, 0), "Celery")


def postgres_of(version: str) -> Callable[[BinaryIO, BinaryIO], None]:
    """Return how a PostgreSQL of that version lets a client in, without a password."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!i", len(body) + 4) + body

    def talk(requests: BinaryIO, answers: BinaryIO) -> None:
        while True:
            (length,) = struct.unpack("!i", requests.read(4))
            (code,) = struct.unpack("!i", requests.read(length - 4)[:4])
            if code >> 16 == 3:  # the version of the protocol
                break
            answers.write(b"N")  # no encryption
        answers.write(message(b"R", struct.pack("!i", 0)))
        parameters = {"server_version": version, "client_encoding": "UTF8"}
        answers.writelines(message(b"S", f"{name}\0{value}\0".encode()) for name, value in parameters.items())
        answers.write(message(b"Z", b"I"))
        requests.read()  # until the client leaves

    return talk


@pytest.mark.parametrize(("version", "shown"), [("9.6.24", "9.6"), ("9.5.0", "9.5")])
def test_an_old_postgres_is_refused(serve: Serve, version: str, shown: str) -> None:
    """Before any statement is sent, which could fail with an error of its own."""
    port = serve(postgres_of(version))
    repo = SqlStatusRepo(f"postgresql+psycopg://me@127.0.0.1:{port}/db?sslmode=disable&gssencmode=disable", 3)
    with pytest.raises(InvalidRequest, match=rf"on PostgreSQL {shown}, and pixcore needs PostgreSQL 10 or newer"):
        repo.summary()
