"""Follow the README exactly, in an empty folder.

A shell runs every command as written, in order, with the ``pixcore`` of this environment. Every snippet for
``datasets`` runs with the ``datasets`` of a separate environment. Nothing within pixcore is replaced; only the
surroundings of a reader are:

- The network: a proxy on loopback, named by ``HTTPS_PROXY``. It answers for ``api.openverse.org``, in the format of
  Openverse, and for ``pictures.example``, over TLS that ``SSL_CERT_FILE`` trusts. pixcore uses it because of
  ``PIXCORE_PROXY_FROM_ENVIRONMENT``, and does not resolve the names because of ``PIXCORE_PRIVATE_HOSTS``.
- The reader's files: pictures in ``photos``, a ``list.csv``, and the TOML of the README.
- The servers: Azurite by the connection string, moto by ``AWS_ENDPOINT_URL``, PostgreSQL by libpq's ``PGHOSTADDR``.
- The values of the ``.env`` in the README: those of a Redis of the tests.

``NOT_HERE`` lists the commands that are not run, with the reasons.
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
IMAGES = 240  # as many as Openverse returns for a query

# Beginnings of commands that are not run here, and the tests that run them.
NOT_HERE = {
    "python3 dev.py demo": "tests/e2e/test_demo_command.py runs it with fewer pictures",
    "python3 dev.py test": "it runs this test",
    "pip install": "tests/integration/test_wheel.py installs the wheel; a test below checks the names of the extras",
}


@frozen
class Block:
    """A block of code."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console, except those that are not run here."""
        if self.language != "console":
            return []
        lines = [line.removeprefix("$ ") for line in self.text.splitlines()]
        return [line for line in lines if not line.startswith(tuple(NOT_HERE))]

    @property
    def is_left_open(self) -> bool:
        """Whether its last command keeps running, in a terminal of its own."""
        return any(command.startswith("pixcore worker") for command in self.commands)


# The blocks of each section, by its title.
SECTIONS = {
    section.partition("\n")[0]: [
        Block(*each) for each in re.findall(r"^```(\w+)\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    ]
    for section in re.split(r"^## ", README, flags=re.MULTILINE)[1:]
}


# -- the surroundings of a reader ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Start a network behind a proxy; yield the environment that leads to it."""
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
    # the target of CONNECT is `host:443`, whose port a URL parser returns as the path
    with Site({"443": tunnel, "/v1/images/": OpenverseApi(entries), **pictures}) as site:
        yield {
            "HTTPS_PROXY": f"http://{site.host}",
            "SSL_CERT_FILE": str(trusted),
            "PIXCORE_PROXY_FROM_ENVIRONMENT": "true",
            "PIXCORE_PRIVATE_HOSTS": f"{API},{PICTURES}",
        }


@pytest.fixture
def reader(tmp_path: Path, network: Mapping[str, str]) -> "Reader":
    """Return a reader with photos and a list in a folder, and another folder for temporary files."""
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
    """A reader who follows the README in a folder, with an environment and values for its ``.env``."""

    home: Path
    environment: dict[str, str]
    variables: dict[str, str] = field(factory=dict)

    def follow(self, section: str) -> None:
        """Run the blocks of a section in order; end commands that keep running at the end."""
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
        """Start the last command and those in the background; run the others before."""
        *before, last = commands
        self._run([command for command in before if not command.endswith("&")])
        # like the shell of a terminal, it outlives its commands and exits with the code of the last one
        script = [
            "trap : TERM",
            *(each for each in before if each.endswith("&")),
            last,
            "code=$?",
            "wait",
            "exit $code",
        ]
        # pytest shows its output if the test fails
        return subprocess.Popen(["sh", "-c", "\n".join(script)], **self._around(), start_new_session=True)

    def _close(self, terminal: "subprocess.Popen[str]") -> int:
        """End the commands of a terminal; return the exit code."""
        os.killpg(terminal.pid, signal.SIGTERM)
        try:
            return terminal.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(terminal.pid, signal.SIGKILL)

    def _load(self, snippet: str) -> None:
        """Run a snippet in an environment with ``datasets``."""
        python = had(lambda: venv("loaders")) / "bin" / "python"
        around = self._around(HF_HOME=f"{self.home.parent}/hf", HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore")
        ran = subprocess.run([python, "-I", "-c", snippet], **around, capture_output=True, timeout=300, check=False)
        assert ran.returncode == 0, ran.stderr

    def _around(self, **more: str) -> dict[str, Any]:
        return {"cwd": self.home, "env": {**self.environment, **more}, "stdin": subprocess.DEVNULL, "text": True}


# -- the tests -------------------------------------------------------------------------------------------------------


def test_a_dataset_of_your_own(reader: Reader) -> None:
    """A dataset must be collected, reported, verified, exported and loaded by ``datasets`` as the README says."""
    reader.follow("A dataset of your own")
    assert "red-panda" in (reader.home / "red-panda.html").read_text()
    assert [path.name for path in sorted((reader.home / "exported").glob("*.tar"))] == [
        "test-000000.tar",
        "train-000000.tar",
    ]


def test_sources(reader: Reader) -> None:
    """A folder, a list and a file of several keywords must each give a dataset of the documented name."""
    reader.follow("Sources, labels, quality")
    made = sorted(path.name for path in (reader.home / "pixcore-data/blobs").glob("[!.]*"))
    assert made == ["mine", "pandas", "pixcore-store.json", "red-panda"]


def test_stores(reader: Reader, azurite: Azure, moto: S3, postgres: Postgres) -> None:
    """Each store must be selected by its URL alone, with credentials from the places of the vendors' tools."""
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
    assert sorted(blob["Key"].rpartition("/")[2] for blob in blobs) == [
        *("README.md", "chunk_1.jsonl.gz", "chunk_1.zip", "croissant.json"),
    ]


def test_queues(reader: Reader, redis: Redis) -> None:
    """A worker in one terminal must run the chunks that another submits, and ``status --watch`` must see the end."""
    reader.environment |= {"PIXCORE_QUEUE": uuid4().hex}
    reader.variables |= {"PIXCORE_BROKER": redis.url()}
    reader.follow("Many machines")
    archives = (reader.home / "pixcore-data/blobs").glob("*/data/chunk_*.zip")
    assert len(list(archives)) == 2


def test_no_command_of_the_readme_is_left_out() -> None:
    """Every section with commands must have a test above, except for commands that NOT_HERE names."""
    tests = Path(__file__).read_text()
    for title, blocks in SECTIONS.items():
        if any(block.commands for block in blocks):
            assert f'reader.follow("{title}")' in tests
    commands = [line for line in README.splitlines() if line.startswith("$ ")]
    for beginning in NOT_HERE:
        assert any(command.startswith(f"$ {beginning}") for command in commands), (
            f"{beginning} is no longer in the README"
        )


def test_the_extras_of_the_readme_exist() -> None:
    """An installer only warns of an unknown extra."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"pip install '\.\[(.+?)\]'", README)
    assert named
    assert {name for names in named for name in names.split(",")} <= extras.keys()
