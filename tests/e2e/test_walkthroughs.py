"""Follow the README, the tutorial and the how-to pages word for word, in an empty folder.

A shell runs every command as written, in order, with the ``pixcore`` of this environment. Snippets for ``datasets`` run
with the ``datasets`` of a separate environment. ``reader.py`` has the surroundings of a reader, and the commands that
are not run, with the reasons. Here are the reader's files and servers: pictures in ``photos``, a ``list.csv``, Azurite
by the connection string, moto by ``AWS_ENDPOINT_URL``, PostgreSQL by libpq's ``PGHOSTADDR``, a Redis in ``.env``.
"""

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import boto3
import psycopg
import pytest
from command import fill, jpeg
from psycopg import sql
from reader import NOT_RUN, PICTURES, ROOT, Reader, blocks, network
from servers.addresses import S3, Azure, Postgres, Redis
from servers.fixtures import had
from servers.tools import venv

IMAGES = 240  # as many as Openverse returns for a query

# The pages that the tests below follow.
FOLLOWED = (
    "docs/tutorial.md",
    *(f"docs/how-to/{name}.md" for name in ("clean-a-folder", "list-with-captions", "load", "many-machines")),
    *(f"docs/how-to/{name}.md" for name in ("completion", "own-filter", "review", "stores")),
)

# Other pages with commands, and where these run; or why they do not.
ELSEWHERE = {
    "CONTRIBUTING.md": "commands of dev.py: tests/integration/test_dev.py",
    "README.md": "each command is one of the tutorial: a test below",
    "docs/datasets.md": "tests/integration/test_cli_datasets.py runs them with datasets of its own",
    "docs/decisions.md": "tests/integration/test_cli_decisions.py and test_apply.py run them with images of their own",
    "docs/fetching.md": "tests/integration/test_cli_web.py runs them with lists of its own",
    "docs/from-img2dataset.md": "tests/integration/test_from_img2dataset.py runs them as written",
    "docs/from-pixcrawler.md": "tests/integration/test_from_pixcrawler.py runs the workers",
    "docs/extending.md": "tests/integration/test_extending.py runs them as written",
    "docs/configuration.md": "tests/integration/test_export_stores.py runs them with stores of its own",
    "docs/operations.md": "they need systemd, Flower, rq-dashboard, a collector or AWS, or run for minutes; "
    "tests/integration/test_queue_faults.py, test_metrics.py and test_health.py run the workers",
    "docs/outcomes.md": "tests/integration/test_cli_outcomes.py runs them with images of its own",
    "docs/python.md": "tests/e2e/test_notebook.py runs the notebook; sybil the example",
    "docs/sources.md": "tests/integration/test_cli_search.py runs searches",
}


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Start a network in which Openverse has pictures, some of them copies; yield the environment that leads to it."""
    with network(tmp_path_factory.mktemp("network"), [jpeg(n // 9 if n % 9 == 8 else n) for n in range(IMAGES)]) as way:
        yield way


@pytest.fixture
def reader(tmp_path: Path, online: Mapping[str, str]) -> Reader:
    """Return a reader with photos and a list in a folder, and another folder for temporary files."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    fill(home / "photos", 30)
    rows = [f"https://{PICTURES}/{n}.jpg,Panda {n},Ada,cc0" for n in range(90, IMAGES)]
    (home / "list.csv").write_text("\n".join(["url,title,creator,license", *rows, ""]))
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {**online, "PATH": path, "HOME": str(tmp_path), "TMPDIR": str(temporary)}
    if "PYTHONPATH" in os.environ:  # of a checkout that is not installed
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return Reader(home, environment, python=lambda: had(lambda: venv("loaders")) / "bin" / "python")


def test_the_tutorial_and_its_dataset_loaded(reader: Reader) -> None:
    """A newcomer must have a dataset, a report, a review and an export, and load them, by the commands as written."""
    reader.follow("docs/tutorial.md")
    assert "sailing-boat" in (reader.home / "sailing-boat.html").read_text()
    assert [path.name for path in sorted((reader.home / "exported").glob("*.tar"))] == [
        "test-000000.tar",
        "train-000000.tar",
    ]
    reader.follow("docs/how-to/load.md")
    assert list((reader.home / "small").glob("*.tar"))


def test_a_folder_and_lists(reader: Reader) -> None:
    """A folder, a list and a file of several keywords must each give a dataset of the documented name."""
    for page in ("clean-a-folder", "review", "list-with-captions"):
        reader.follow(f"docs/how-to/{page}.md")
    made = sorted(path.name for path in (reader.home / "pixcore-data/blobs").glob("[!.]*"))
    assert made == ["animals", "mine", "pandas", "pixcore-store.json"]
    assert (reader.home / "cleaned/train/metadata.parquet").exists()


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
    reader.follow("docs/how-to/stores.md")
    blobs = s3.list_objects_v2(Bucket="bucket", Prefix="prefix/red-panda/")["Contents"]
    assert sorted(blob["Key"].rpartition("/")[2] for blob in blobs) == [
        *("README.md", "chunk_1.jsonl.gz", "chunk_1.zip", "croissant.json"),
    ]


def test_queues(reader: Reader, redis: Redis) -> None:
    """A worker in one terminal must run the chunks that another submits, and ``status --watch`` must see the end."""
    reader.environment |= {"PIXCORE_QUEUE": uuid4().hex}
    reader.variables |= {"PIXCORE_BROKER": redis.url()}
    reader.follow("docs/how-to/many-machines.md")
    archives = (reader.home / "pixcore-data/blobs").glob("*/data/chunk_*.zip")
    assert len(list(archives)) == 2


def test_every_command_of_the_documents_is_run_or_has_a_reason() -> None:
    """A reader must be able to trust each command; so each is run here, or the page or a table says why not."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    names = {page.relative_to(ROOT).as_posix() for page in pages}
    shown = {name for name in names if any(block.language == "console" for block in blocks(name))}
    assert shown - set(FOLLOWED) - ELSEWHERE.keys() == set()
    tests = Path(__file__).read_text()
    assert [
        page
        for page in FOLLOWED
        if Path(page).stem not in tests.partition("def online")[2] and any(block.commands for block in blocks(page))
    ] == []
    tutorial = {command for block in blocks("docs/tutorial.md") for command in block.commands}
    assert {command for block in blocks("README.md") for command in block.commands} <= tutorial
    everything = "".join((ROOT / name).read_text() for name in names)
    assert [beginning for beginning in NOT_RUN if f"$ {beginning}" not in everything] == []
    for reason in ELSEWHERE.values():
        assert [path for path in re.findall(r"tests/[\w/]+\.py", reason) if not (ROOT / path).exists()] == []


def test_the_named_extras_exist() -> None:
    """An installer only warns of an unknown extra."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pages = (page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    named = {
        name for page in pages for names in re.findall(r"pip install '\S*\[(.+?)\]'", page) for name in names.split(",")
    }
    assert named
    assert named <= extras.keys()
