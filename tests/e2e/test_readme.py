"""The README followed word for word in an empty folder.

Every command of it is run by a shell as it is written, in order, with the ``pixcore`` of this environment; so is every
snippet for ``datasets``, with the ``datasets`` of an environment of its own. What lies around them stands in for what a
reader has, and nothing within pixcore is replaced:

- The network: a proxy on loopback, which ``HTTPS_PROXY`` names. It answers for ``api.openverse.org``, in the format of
  Openverse, and for ``pictures.example``, over TLS that ``SSL_CERT_FILE`` trusts. pixcore goes there by
  ``PIXCORE_PROXY_FROM_ENVIRONMENT``, and without looking the names up by ``PIXCORE_PRIVATE_HOSTS``.
- The reader's files: pictures in ``photos``, a ``list.csv``, and the TOML of the README.
- The stores: Azurite by the connection string, moto by ``AWS_ENDPOINT_URL``; PostgreSQL by libpq's ``PGHOSTADDR``.
- The values of the ``.env`` that the README shows: those of a Redis of the tests.

What is not run, and why, is in ``NOT_HERE``.
"""

import os
import re
import signal
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import psycopg
import pytest
import trustme
from apis import OpenverseApi, openverse_entry
from attrs import define, field, frozen
from command import fill, jpeg
from hostile import Client, Site, head, picture
from psycopg import sql
from servers.addresses import S3, Azure, Postgres, Redis
from servers.fixtures import had
from servers.tools import venv

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
API, PICTURES = "api.openverse.org", "pictures.example"
IMAGES = 240  # as many as Openverse shows of a query

# Beginnings of commands that are not run here, and where else.
NOT_HERE = {
    "python3 dev.py demo": "tests/e2e/test_demo_command.py runs it, on fewer pictures",
    "python3 dev.py test": "it runs this",
    "pip install": "tests/integration/test_wheel.py installs the wheel; here the extras' names are looked at",
}


@frozen
class Block:
    """A block of code."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console, but for those that are not run here."""
        if self.language != "console":
            return []
        lines = [line.removeprefix("$ ") for line in self.text.splitlines()]
        return [line for line in lines if not line.startswith(tuple(NOT_HERE))]

    @property
    def is_left_open(self) -> bool:
        """Whether it is for a terminal of its own, in which the last command goes on."""
        return any(command.startswith("pixcore worker") for command in self.commands)


# The blocks of each section, by its title.
SECTIONS = {
    section.partition("\n")[0]: [
        Block(*each) for each in re.findall(r"^```(\w+)\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    ]
    for section in re.split(r"^## ", README, flags=re.MULTILINE)[1:]
}


# -- what a reader has -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A network behind a proxy, and the environment that leads there."""
    authority = trustme.CA()
    trusted = tmp_path_factory.mktemp("network") / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(API, PICTURES).configure_cert(tls)

    async def tunnel(client: Client) -> bool:
        await client.send(head(200))
        await client._writer.start_tls(tls)
        return True

    entries = [
        openverse_entry(f"https://{PICTURES}/{n}.jpg", n, license="by" if n % 2 else "cc0") for n in range(IMAGES)
    ]
    pictures = {f"/{n}.jpg": picture(jpeg(n)) for n in range(IMAGES)}
    # the target of CONNECT is `host:443`, in which a parser of URLs takes the port for a path
    with Site({"443": tunnel, "/v1/images/": OpenverseApi(entries), **pictures}) as site:
        yield {
            "HTTPS_PROXY": f"http://{site.host}",
            "SSL_CERT_FILE": str(trusted),
            "PIXCORE_PROXY_FROM_ENVIRONMENT": "true",
            "PIXCORE_PRIVATE_HOSTS": f"{API},{PICTURES}",
        }


@pytest.fixture
def reader(tmp_path: Path, network: Mapping[str, str]) -> "Reader":
    """Somebody in a folder with photos and a list, beside the folder for temporary files."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    fill(home / "photos", 30, first=1000)
    rows = [f"https://{PICTURES}/{n}.jpg,Panda {n},Ada,cc0" for n in range(150)]
    (home / "list.csv").write_text("\n".join(["url,title,creator,license", *rows, ""]))
    for block in (block for blocks in SECTIONS.values() for block in blocks if block.language == "toml"):
        (home / f"{tomllib.loads(block.text)['dataset']}.toml").write_text(block.text)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return Reader(home, {**network, "PATH": path, "HOME": str(tmp_path), "TMPDIR": str(temporary)})


@define
class Reader:
    """Somebody who follows the README in a folder, with an environment, and values of their own for its ``.env``."""

    home: Path
    environment: dict[str, str]
    variables: dict[str, str] = field(factory=dict)

    def follow(self, section: str) -> None:
        """Do what a section says, in order; what goes on by itself is ended at the end."""
        terminals = []
        try:
            for block in SECTIONS[section]:
                if block.is_left_open:
                    terminals.append(self._open(block.commands))
                elif block.language == "ini":
                    names = [line.partition("=")[0] for line in block.text.splitlines()]
                    (self.home / ".env").write_text("".join(f"{name}={self.variables[name]}\n" for name in names))
                elif block.language == "py":
                    self._load(block.text)
                else:
                    self._run(block.commands)
        finally:
            codes = [self._close(terminal) for terminal in terminals]
        assert not any(codes)

    def _run(self, commands: list[str]) -> None:
        for command in commands:
            ran = subprocess.run(["sh", "-c", command], **self._around(), capture_output=True, timeout=120, check=False)
            assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"

    def _open(self, commands: list[str]) -> "subprocess.Popen[str]":
        """Start the last command and those before it that go on by themselves; the others are run first."""
        *before, last = commands
        self._run([command for command in before if not command.endswith("&")])
        # like a terminal's shell it outlives what runs in it, and then gives the last command's exit code
        script = [
            "trap : TERM",
            *(each for each in before if each.endswith("&")),
            last,
            "code=$?",
            "wait",
            "exit $code",
        ]
        # what it says, pytest shows if the test fails
        return subprocess.Popen(["sh", "-c", "\n".join(script)], **self._around(), start_new_session=True)

    def _close(self, terminal: "subprocess.Popen[str]") -> int:
        """End what runs in it; gives the exit code."""
        os.killpg(terminal.pid, signal.SIGTERM)
        try:
            return terminal.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(terminal.pid, signal.SIGKILL)

    def _load(self, snippet: str) -> None:
        """Run a snippet where ``datasets`` is installed."""
        python = had(lambda: venv("loaders")) / "bin" / "python"
        around = self._around(HF_HOME=f"{self.home.parent}/hf", HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore")
        ran = subprocess.run([python, "-I", "-c", snippet], **around, capture_output=True, timeout=300, check=False)
        assert ran.returncode == 0, ran.stderr

    def _around(self, **more: str) -> dict[str, Any]:
        return {"cwd": self.home, "env": {**self.environment, **more}, "stdin": subprocess.DEVNULL, "text": True}


# -- the tests -------------------------------------------------------------------------------------------------------


def test_a_dataset_of_your_own(reader: Reader) -> None:
    """Searched, looked at, proven, exported, and loaded by ``datasets`` as the README says."""
    reader.follow("A dataset of your own")
    assert "red-panda" in (reader.home / "red-panda.html").read_text()
    assert [path.name for path in sorted((reader.home / "exported").glob("*.tar"))] == [
        "test-000000.tar",
        "train-000000.tar",
    ]


def test_sources(reader: Reader) -> None:
    """A folder, a list, and a file of several keywords; the folder holds what its name says."""
    reader.follow("Sources, labels, quality")
    made = sorted(path.name for path in (reader.home / "pixcore-data/blobs").glob("[!.]*"))
    assert made == ["mine", "pandas", "red-panda"]


def test_stores(reader: Reader, azurite: Azure, moto: S3, postgres: Postgres) -> None:
    """Each reached by its URL alone, with credentials from where the vendors' tools look."""
    keys = {"AWS_ACCESS_KEY_ID": moto.access_key, "AWS_SECRET_ACCESS_KEY": moto.secret_key}
    region = {"AWS_DEFAULT_REGION": moto.region, "AWS_EC2_METADATA_DISABLED": "true"}
    reader.environment |= {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    reader.environment |= {"AWS_ENDPOINT_URL": moto.endpoint, **keys, **region}
    s3 = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name=moto.region,
        aws_access_key_id=moto.access_key,
        aws_secret_access_key=moto.secret_key,
    )
    s3.create_bucket(Bucket="bucket")
    password = uuid4().hex
    reader.environment |= {"PGHOSTADDR": "127.0.0.1", "PGPORT": str(postgres.port), "PGPASSWORD": password}
    with closing(psycopg.connect(postgres.url(driver="postgresql"), autocommit=True)) as connection:
        connection.execute(sql.SQL('CREATE ROLE "user" LOGIN PASSWORD {}').format(password))
        connection.execute('CREATE DATABASE db OWNER "user"')
    reader.follow("Other stores, other databases")
    blobs = s3.list_objects_v2(Bucket="bucket", Prefix="prefix/red-panda/")["Contents"]
    assert sorted(blob["Key"].rpartition("/")[2] for blob in blobs) == ["README.md", "chunk_1.zip", "croissant.json"]


def test_queues(reader: Reader, redis: Redis) -> None:
    """Two terminals: what is submitted in the one is worked off in the other, and ``status --watch`` sees the end."""
    reader.environment |= {"PIXCORE_QUEUE": uuid4().hex}
    reader.variables |= {"PIXCORE_BROKER": redis.url()}
    reader.follow("Many machines")
    archives = (reader.home / "pixcore-data/blobs").glob("*/data/chunk_*.zip")
    assert len(list(archives)) == 2


def test_no_command_of_the_readme_is_left_out() -> None:
    """Each section with commands is followed above, but for commands that are named here with the reason."""
    tests = Path(__file__).read_text()
    for title, blocks in SECTIONS.items():
        if any(block.commands for block in blocks):
            assert f'reader.follow("{title}")' in tests
    commands = [line for line in README.splitlines() if line.startswith("$ ")]
    for beginning in NOT_HERE:
        assert any(command.startswith(f"$ {beginning}") for command in commands), f"{beginning} is not in it any more"


def test_the_extras_of_the_readme_are_there() -> None:
    """An installer only warns of one that is not."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"pip install '\.\[(.+?)\]'", README)
    assert named
    assert {name for names in named for name in names.split(",")} <= extras.keys()
