"""The servers as fixtures. If one is unavailable the test is skipped with the reason; with ``CI=true`` it fails."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol, TypeVar

import pytest

from servers import azurite, gcs, juicefs, ministack, moto, postgres, rclone, redis, swift
from servers.addresses import S3, Azure, Google, Postgres, Redis
from servers.run import servers_of_this_run
from servers.server import Prepare, Server, started
from servers.shared import shared
from servers.tools import Unavailable

A = TypeVar("A")


def pytest_configure(config: pytest.Config) -> None:
    """Tie the servers to the first process of the run, because xdist's workers come and go."""
    if not hasattr(config, "workerinput"):
        run = ExitStack()
        run.enter_context(servers_of_this_run())
        config.add_cleanup(run.close)


class Own(Protocol):
    """Starts separate servers for a test: ``server = own(servers.azurite.prepare)``."""

    def __call__(self, prepare: Prepare[A], /) -> Server[A]:
        """Start one; it ends with the test."""
        ...


def had(get: Callable[[], A]) -> A:
    """Return what ``get`` returns; skip or fail the test if it is unavailable."""
    try:
        return get()
    except Unavailable as exc:
        if os.environ.get("CI") == "true":
            pytest.fail(f"a server that CI needs: {exc}", pytrace=False)
        pytest.skip(str(exc))


@pytest.fixture(scope="session", name="redis")
def _redis() -> Redis:
    """Return the Redis of the run."""
    return had(lambda: shared(redis.prepare))


@pytest.fixture(scope="session", name="postgres")
def _postgres() -> Postgres:
    """Return the PostgreSQL of the run."""
    return had(lambda: shared(postgres.prepare))


@pytest.fixture(scope="session", name="moto")
def _moto() -> S3:
    """Return the moto of the run."""
    return had(lambda: shared(moto.prepare))


@pytest.fixture(scope="session", name="swift")
def _swift() -> S3:
    """Return the Swift of the run."""
    return had(lambda: shared(swift.prepare))


@pytest.fixture(scope="session", name="ministack")
def _ministack() -> S3:
    """Return the MiniStack of the run."""
    return had(lambda: shared(ministack.prepare))


@pytest.fixture(scope="session", name="juicefs")
def _juicefs() -> S3:
    """Return the gateway of JuiceFS of the run."""
    return had(lambda: shared(juicefs.prepare))


@pytest.fixture(scope="session", name="rclone")
def _rclone() -> S3:
    """Return the S3 of rclone of the run."""
    return had(lambda: shared(rclone.prepare))


@pytest.fixture(scope="session", name="azurite")
def _azurite() -> Azure:
    """Return the Azurite of the run."""
    return had(lambda: shared(azurite.prepare))


@pytest.fixture(scope="session", name="gcs")
def _gcs() -> Google:
    """Return the fake-gcs-server of the run."""
    return had(lambda: shared(gcs.prepare))


@pytest.fixture
def own() -> Iterator[Own]:
    """Start separate servers for the test."""
    with ExitStack() as stack:

        def start(prepare: Prepare[A], /) -> Server[A]:
            return stack.enter_context(had(lambda: started(prepare)))

        yield start
