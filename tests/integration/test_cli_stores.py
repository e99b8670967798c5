"""The pixcore command on real servers: stores selected by URL, no partial blob, no credential in any output."""

import gzip
import hashlib
import random
import shutil
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import Ran, at_home, fill, pixcore, start
from fault_proxy import FaultProxy, Pass, Stall
from pictures import encoded
from PIL import Image
from servers.addresses import S3, Azure
from stores import STORES, RealStore, real_store
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from pixcore import BlobStore, Status
from pixcore_runners import library
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.settings import load_here

RUN = ("run", "--source", "folder:photos", "--json", "--quiet")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with six photos."""
    at_home(tmp_path, monkeypatch)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fill(tmp_path / "photos", 6)
    return tmp_path


@pytest.fixture(params=STORES)
def server(request: pytest.FixtureRequest) -> Azure | S3:
    """Return each of the servers in turn."""
    found: Azure | S3 = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket() -> str:
    """Return a name that no other test uses."""
    return f"cats-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def store(home: Path, server: Azure | S3, bucket: str, monkeypatch: pytest.MonkeyPatch) -> RealStore:  # noqa: ARG001 - it clears the environment first
    """Return a container or bucket that does not exist yet; set its credentials in the environment."""
    real = real_store(server, bucket)
    real.enter(monkeypatch)
    return real


def opened(url: str) -> BlobStore:
    """Open the store as the command does."""
    return assemble(load_here(flags={"store": url}).settings).store


def blobs(url: str) -> dict[str, bytes]:
    """Return the content of all archives in the store."""
    store = opened(url)
    found = {}
    for blob in store.list("photos/data"):
        with store.open(blob.key) as file:
            found[blob.key] = file.read()
    return found


def check_stored_archives(ran: Ran, url: str) -> None:
    """Check that every chunk is complete and that the store has exactly its recorded archive."""
    assert {chunk["status"] for chunk in ran.chunks} == {"completed"}
    found = {key: hashlib.sha256(data).hexdigest() for key, data in blobs(url).items()}
    assert found == {f"photos/data/chunk_{chunk['id']}.zip": chunk["sha256"] for chunk in ran.chunks}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_stores_what_it_records(store: RealStore, home: Path, workers: int) -> None:
    """The document names each whole archive; a second run does no work, and the library reads the images."""
    ran = pixcore(*RUN, "--store", store.url, "--create-container", "--chunk-size", "4", "--workers", workers)
    assert (ran.code, ran.err) == (0, "")
    check_stored_archives(ran, store.url)
    for chunk in ran.chunks:
        assert chunk["url"].endswith(f"/pre/fix/photos/data/chunk_{chunk['id']}.zip")
    for data in blobs(store.url).values():
        (home / "copy.zip").write_bytes(data)
        with zipfile.ZipFile(home / "copy.zip") as archive:
            assert archive.testzip() is None
    assert pixcore(*RUN, "--store", store.url, "--chunk-size", "4") == ran
    read = library.open("photos", store=store.url)
    assert [picture.data for picture in read] == [(home / "photos" / picture.url).read_bytes() for picture in read]
    assert len(read) == 6


def test_lists_are_read_from_a_store(store: RealStore, home: Path) -> None:
    """One by its URL, several by their prefix or a glob. Another bucket's options are in the URL, the own are known."""
    created = opened(f"{store.url}")
    created.create()  # type: ignore[attr-defined]
    pq.write_table(pa.table({"url": [f"http://a.example/{n}" for n in range(5)], "n": range(5)}), home / "a.parquet")
    (home / "b.csv.gz").write_bytes(gzip.compress(b"url,n\nhttp://b.example/1,7\n"))
    for name in ("a.parquet", "b.csv.gz", "_c.csv"):
        data = (home / name).read_bytes() if not name.startswith("_") else b""
        (home / "blob").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        created.put(
            f"lists/{name}", home / "blob", sha256=digest, size=len(data), content_type="text/plain", metadata={}
        )
    base, _, options = store.url.partition("?")
    options = options and f"?{options}"
    for place, rows in (("/a.parquet", 5), ("/b.csv.gz", 1), ("", 6), ("/", 6), ("/*.gz", 1)):
        ran = pixcore("plan", "--source", f"urls:{base}/lists{place}{options}", "--json", "--dataset", "d")
        assert (ran.code, ran.document["lists"][0]["rows"], ran.document["lists"][0]["kept"]) == (0, rows, ["n"])
        assert {part["query"] for part in ran.chunks[0]["slices"]} == {f"{base}/lists{place}"}
    ran = pixcore("plan", "--source", f"urls:{base}/lists/a.parquet", "--store", store.url, "--json")
    assert (ran.code, ran.chunks[0]["keyword"], ran.chunks[0]["target"]) == (0, "a", 5)
    (home / "d.toml").write_text(f'[[keyword]]\nname = "k"\nsource = "urls:{base}/lists/a.parquet{options}"\n')
    assert pixcore("plan", "d.toml", "--json").chunks[0]["target"] == 5
    for absent in ("nothing", "a.csv", "_c.csv/x", "*.tsv"):
        ran = pixcore("plan", "--source", f"urls:{base}/lists/{absent}{options}", "--json")
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    ran = pixcore("plan", "--source", "urls:ftp://a/b.csv")
    assert (ran.code, "unknown store 'ftp://a'; use one of: file:FOLDER" in ran.err) == (2, True)


def test_a_container_is_created_only_with_the_option(store: RealStore) -> None:
    """A mistyped name must not create a bucket; the error names the option, with which the run continues."""
    refused = pixcore(*RUN, "--store", store.url)
    assert refused.code != 0
    assert "--create-container" in refused.err + refused.out
    ran = pixcore("run", "--source", "folder:photos", "--store", store.url, "--create-container", "--json", "--quiet")
    if ran.code:
        ran = pixcore("retry", "photos", "--store", store.url, "--json", "--quiet")
    assert ran.code == 0
    check_stored_archives(ran, store.url)


def test_check_tries_every_right(store: RealStore, request: pytest.FixtureRequest) -> None:
    """All rights work on each server except replacing on Swift, and no probe may be left."""
    ran = pixcore("check", "--store", store.url, "--create-container", "--json")
    lacking = ["replace"] if "[swift]" in request.node.name else []
    assert [probe["right"] for probe in ran.document["probes"] if not probe["works"]] == lacking
    assert ran.code == (2 if lacking else 0)
    assert list(opened(store.url).list()) == []


def test_no_secret_is_shown(store: RealStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid and invalid credentials must not be in the output, the log, the status database or the archives."""
    [word] = {"AZURE_STORAGE_CONNECTION_STRING", "AWS_SECRET_ACCESS_KEY"} & store.environ.keys()
    secret = store.environ[word].partition("AccountKey=")[2].partition(";")[0] or store.environ[word]
    pixcore("check", "--store", store.url, "--create-container", "--json")
    ran = pixcore("run", "--source", "folder:photos", "--store", store.url, "--verbose", "--json")
    assert ran.code == 0
    wrong = "d3Jvbmc" + secret[7:] if "AZURE" in word else "wrong-secret-of-nobody"
    monkeypatch.setenv(word, store.environ[word].replace(secret, wrong))
    refused = pixcore("check", "--store", store.url, "--verbose")
    for text in (ran.out, ran.err, refused.out, refused.err):
        assert secret not in text
        assert wrong not in text
    everything = Path("pixcore-data/status.db").read_bytes() + b"".join(blobs_with(store, monkeypatch).values())
    assert secret.encode() not in everything


def blobs_with(store: RealStore, patched: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Return the archives, read with the valid credential."""
    store.enter(patched)
    return blobs(store.url)


def test_azures_variables_alone_select_azure(
    home: Path, azurite: Azure, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installations of the system that pixcore replaces set only these, perhaps in `.env`."""
    (home / ".env").write_text(f"AZURE_STORAGE_CONNECTION_STRING={azurite.connection_string}\n")
    monkeypatch.setenv("AZURE_CONTAINER_NAME", bucket)
    ran = pixcore(*RUN, "--create-container")
    assert ran.code == 0
    assert [chunk["url"] for chunk in ran.chunks] == [f"{azurite.url}/{bucket}/photos/data/chunk_1.zip"]
    check_stored_archives(ran, f"azure://{bucket}")


@pytest.mark.parametrize(("url", "extra"), [("azure://box", "azure"), ("s3://box", "s3")])
@pytest.mark.usefixtures("home")
def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch, url: str, extra: str) -> None:
    """The error must contain the command that installs the SDK."""
    for module in ("azure.storage.blob", "boto3"):
        monkeypatch.setitem(sys.modules, module, None)
    for module in list(sys.modules):
        if module.startswith(f"pixcore_adapters.blob_store.{extra}."):
            monkeypatch.delitem(sys.modules, module)
    ran = pixcore("check", "--store", url)
    assert ran.code == 2
    assert f"pip install 'pixcore[{extra}]'" in ran.err


# -- kill -9 in the middle of an upload ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return photos for an archive of some 20 MB, which every store uploads in several requests."""
    folder = tmp_path_factory.mktemp("heavy")
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (1200, 1500, 3), dtype=np.uint8)
        (folder / f"{number}.jpg").write_bytes(encoded(Image.fromarray(noise), quality=97))
    return folder


@pytest.fixture
def proxied(server: Azure | S3) -> Iterator[FaultProxy]:
    """Return a proxy in front of the server."""
    with FaultProxy(server.port) as proxy:
        yield proxy


Kill = Callable[[int], None]


@pytest.fixture
def kill(  # noqa: PLR0917 - fixtures
    home: Path, heavy: Path, server: Azure | S3, proxied: FaultProxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Kill:
    """Return a function that kills a run at a random moment, runs it again and checks the store."""
    monkeypatch.setenv("PIXCORE_LEASE_TTL", "1")
    shutil.rmtree(home / "photos")
    shutil.copytree(heavy, home / "photos")
    through, direct = real_store(server, bucket, proxied.port), real_store(server, bucket)
    direct.enter(monkeypatch)
    pixcore("check", "--store", direct.url, "--create-container")

    def kill(seed: int) -> None:
        for leftover in (home / "pixcore-data", home / "work"):
            shutil.rmtree(leftover, ignore_errors=True)
        for key in blobs(direct.url):
            opened(direct.url).delete(key)
        draw = random.Random(seed)  # noqa: S311 - no secret
        calm, after = draw.randrange(8), draw.randrange(9 << 20)
        proxied.play(*[Pass()] * calm, *[Stall(after)] * 8)
        through.enter(monkeypatch)
        process = start("run", "--source", "folder:photos", "--store", through.url, "--quiet")
        wait_for(lambda: len(proxied.requests) > calm or process.poll() is not None)
        process.kill()
        process.communicate()
        proxied.play()
        direct.enter(monkeypatch)
        before = blobs(direct.url)
        ran = pixcore(*RUN, "--store", direct.url)
        assert ran.code == 0, f"seed {seed}: {ran.err}"
        check_stored_archives(ran, direct.url)
        assert list(before.values()) in ([], list(blobs(direct.url).values())), f"seed {seed}: a half blob was visible"
        [record] = assemble(load_here(flags={"store": direct.url}).settings).status.find("photos")
        assert record.status is Status.COMPLETED
        assert not list((home / "work").glob("chunk-*"))

    return kill


def wait_for(true: Callable[[], bool]) -> None:
    """Wait until a condition of another process is true."""
    Retrying(retry=retry_if_result(lambda value: not value), wait=wait_fixed(0.02), stop=stop_after_delay(60))(true)


def test_a_killed_upload_leaves_no_half_blob(kill: Kill) -> None:
    """Whenever the upload is killed, the rerun must complete and leave one complete blob."""
    for seed in range(2):
        kill(seed)


@pytest.mark.soak
def test_fifty_killed_uploads_leave_no_half_blob(kill: Kill) -> None:
    """Fifty random moments of the kill find rare races."""
    for seed in range(100, 150):
        kill(seed)
