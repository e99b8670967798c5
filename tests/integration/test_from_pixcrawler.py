"""Faults of PixCrawler that no other test covers, tested with its interface: number and metadata in, URL out."""

import json
import logging
import time
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azure_stores import container
from azure_stores import store as azure_store
from command import at_home, jpeg
from pictures import encoded, photo
from PIL import Image
from servers.addresses import Azure

from pixcore import ChunkResult, InvalidRequest
from pixcore.chunk.events import silent
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.planning.caller_chunks import caller_chunk
from pixcore_runners.queueing.delivery import Deliveries
from pixcore_runners.settings import load_here


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder whose empty subfolder of photos is the source."""
    at_home(tmp_path, monkeypatch)
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("PIXCORE_SOURCE", "folder:photos")
    return tmp_path


@pytest.fixture
def assembly(home: Path) -> Assembly:
    """Return an assembly with a created store and status database."""
    assert home
    return assemble(load_here().settings, create=True)


def process(chunk_id: object, metadata: Mapping[str, Any]) -> ChunkResult:
    """Deliver a chunk to a worker that starts before and ends afterwards."""
    worker = Deliveries(lambda: load_here().settings, lambda: False)
    try:
        key = caller_chunk(chunk_id, metadata, worker.assembly(), time.sleep).chunk.key
        result = worker.deliver(key, "task-1", silent)
    finally:
        worker.close()
    assert isinstance(result, ChunkResult)
    return result


def archived(result: ChunkResult) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the images of the archive and its rows."""
    with zipfile.ZipFile(result.url.removeprefix("file://")) as archive:
        rows = [json.loads(line) for line in archive.read("rows.jsonl").splitlines()]
        return [name for name in archive.namelist() if name not in ("rows.jsonl", "metadata.parquet")], rows


@pytest.mark.usefixtures("assembly")
def test_the_counts_equal_the_images_in_the_archive(home: Path) -> None:
    """Duplicates, damaged files and web pages must not count, but two squares of different colours must."""
    whole = jpeg(1)
    held = {
        "good.jpg": whole,
        "twin.jpg": whole,
        "near.jpg": encoded(photo(1, 64, 64).resize((96, 96))),
        "cut.jpg": jpeg(2)[:-200],
        "page.jpg": b"<!doctype html><title>Not found</title>",
        "garbage.jpg": bytes(range(256)) * 8,
        "red.png": encoded(Image.new("RGB", (64, 64), "red"), "PNG"),
        "blue.png": encoded(Image.new("RGB", (64, 64), "blue"), "PNG"),
    }
    for name, data in held.items():
        (home / "photos" / name).write_bytes(data)
    result = process(7, {"keyword": "cat", "count": len(held)})
    members, rows = archived(result)
    assert {row["url"] for row in rows} - {"good.jpg", "twin.jpg", "near.jpg"} == {"red.png", "blue.png"}
    assert len(rows) == len(members) == result.progress.accepted == 3
    assert result.shortfall == len(held) - 3


@pytest.mark.parametrize(
    ("number", "metadata"), [(7, {}), ("../../7", {"keyword": "cat"})], ids=["no keyword", "no number"]
)
def test_an_invalid_call_leaves_nothing(
    home: Path, assembly: Assembly, number: object, metadata: Mapping[str, Any]
) -> None:
    """It must leave no chunk that is processing for ever, and no work directory."""
    with pytest.raises(InvalidRequest):
        process(number, metadata)
    assert not assembly.status.summary()
    assert not list(home.glob("work/chunk-*"))


@pytest.mark.usefixtures("assembly")
def test_a_file_url_outlives_the_work_directory(home: Path) -> None:
    """The caller must be able to open the URL after the worker has cleaned up, under the name of the old system."""
    (home / "photos/1.jpg").write_bytes(jpeg(1))
    result = process(7, {"keyword": "cat", "count": 1})
    assert result.url == f"file://{home}/pixcore-data/blobs/chunk_7.zip"
    assert len(archived(result)[0]) == 1
    assert not list(home.glob("work/chunk-*"))


def test_a_signature_is_in_no_url_log_or_database(
    home: Path, azurite: Azure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody who reads the URL, the logs or the status database could write into the store with it."""
    name = container()
    azure_store(azurite, name).create()
    token = generate_container_sas(
        azurite.account,
        name,
        account_key=azurite.key,
        permission=ContainerSasPermissions.from_string("rcwdl"),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    monkeypatch.setenv("AZURE_CONTAINER_NAME", name)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"BlobEndpoint={azurite.url};SharedAccessSignature={token}")
    (home / "photos/1.jpg").write_bytes(jpeg(1))
    assemble(load_here().settings, create=True)
    with caplog.at_level(logging.DEBUG):
        result = process(7, {"keyword": "cat", "count": 1})
    assert result.url == f"{azurite.url}/{name}/chunk_7.zip"
    assert result.url in caplog.text  # the log is not empty and names the blob
    everything = caplog.text.encode() + (home / "pixcore-data/status.db").read_bytes()
    signature = token.rpartition("sig=")[2]
    assert [part for part in (signature, unquote(signature), azurite.key) if part.encode() in everything] == []
