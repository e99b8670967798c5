"""The pixcore command with its status in PostgreSQL: selected by a URL, with equal results."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from command import at_home, files, fill, pixcore
from databases import new_name
from servers.addresses import Postgres

RUN = ("run", "--source", "folder:photos", "--chunk-size", "4", "--json", "--quiet")


@pytest.fixture
def status(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty database; set its password in the environment; change to a folder with ten photos."""
    at_home(tmp_path, monkeypatch)
    fill(tmp_path / "photos", 10)
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    name = new_name()
    with closing(psycopg.connect(postgres.url(driver="postgresql"), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://{postgres.user}@127.0.0.1:{postgres.port}/{name}"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_run_gives_the_same_documents_on_either_database(status: str, tmp_path: Path, workers: int) -> None:
    """A second run must print the same document byte for byte, and no database file may be created."""
    ran = pixcore(*RUN, "--status", status, "--store", "file:here", "--workers", workers)
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [4, 4, 2])
    assert pixcore(*RUN, "--status", status, "--store", "file:here") == ran
    assert not [name for name in files(tmp_path) if name.endswith(".db")]
    usual = pixcore(*RUN, "--store", "file:there")
    for column in ("id", "sha256", "accepted", "status", "rejected", "attempt"):
        assert [chunk[column] for chunk in usual.chunks] == [chunk[column] for chunk in ran.chunks]
    assert pixcore("status", "--status", status).out == pixcore("status").out


def test_plan_and_status_create_no_tables(status: str, postgres: Postgres) -> None:
    """`plan` and `status` must work on an empty database and leave it empty."""
    assert len(pixcore("plan", *RUN[1:-1], "--status", status).chunks) == 3
    assert pixcore("status", "--status", status, "--json").document["datasets"] == []
    url = f"{status.replace('+psycopg', '').replace('@', f':{postgres.password}@')}"
    with closing(psycopg.connect(url)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_check_works_on_postgres(status: str) -> None:
    """Every right must work with the right password."""
    assert pixcore("check", "--status", status).code == 0


def test_a_wrong_password_is_refused_and_not_printed(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error must name the database and not contain the password."""
    monkeypatch.setenv("PGPASSWORD", "hidden-and-wrong")
    ran = pixcore("check", "--status", status, "--verbose")
    assert ran.code == 2
    assert "hidden-and-wrong" not in ran.out + ran.err
    assert ran.err.splitlines()[-1].startswith("pixcore: status database postgresql+psycopg://")
