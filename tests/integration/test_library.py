"""The library: collect, open and read a dataset from Python."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command import at_home, fill, jpeg, pixcore
from hostile import Site, held, picture
from servers.fixtures import had
from servers.tools import site_packages

from pixcore import InvalidRequest, LibraryMissing, NoValidImages
from pixcore_runners import library as px
from pixcore_runners.library import unpacked

# Reads the dataset `mine` by pandas and `datasets`, with the packages of the folder that it is told.
CONVERTED = """
import json, sys
import pixcore as px
sys.path.append(sys.argv[1])
ds = px.open("mine", **json.loads(sys.argv[2]))
table, loaded = ds.to_pandas(), ds.to_datasets()
again = ds.to_datasets()
print(json.dumps({
    "rows": [row["url"] for row in ds.rows()],
    "pandas": list(table["url"]),
    "widths": str(table["width"].dtype),
    "datasets": list(loaded["url"]),
    "sizes": [image.size for image in loaded["image"]],
    "cached": [file["filename"] for file in loaded.cache_files] == [file["filename"] for file in again.cache_files],
}))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, without a terminal."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.setenv("PIXCORE_WORK", str(tmp_path / "work"))
    return tmp_path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Collect a dataset of twelve pictures in three chunks; return the settings with which it opens."""
    home = tmp_path_factory.mktemp("mine")
    settings = {"store": f"file:{home}/blobs", "status": f"sqlite:///{home}/status.db", "work": f"{home}/work"}
    fill(home / "photos", 12)
    px.collect(source=f"folder:{home}/photos", dataset="mine", chunk_size=5, progress=False, **settings)
    return settings


@pytest.fixture
def mine(places: dict[str, str]) -> px.Dataset:
    """Return that dataset."""
    return px.open("mine", **places)


def test_a_dataset_is_a_sequence_of_its_pictures(places: dict[str, str], mine: px.Dataset) -> None:
    """Every access must give the picture and the row of the same image, across chunks and from behind."""
    assert (len(mine), mine.shortfall, mine.name) == (12, 0, "mine")
    assert [picture.url for picture in mine] == [row["url"] for row in mine.rows()]
    assert mine[-1].data == (Path(places["work"]).parent / "photos" / mine[11].url).read_bytes()
    assert [picture.url for picture in mine[4:6]] == [mine[4].url, mine[5].url]
    assert mine[7].image.size == (mine[7].row["width"], mine[7].row["height"])
    assert mine.labels == ("photos",)
    with pytest.raises(IndexError):
        mine[12]


def test_few_archives_are_unpacked_and_none_when_the_dataset_is_gone(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset larger than the disk must be readable, and reading must leave nothing behind."""
    monkeypatch.setattr(unpacked, "_MOST", 2)
    ds = px.open("mine", **places)
    folders = Path(places["work"])
    for place in (0, 11, 5, 0, 11):
        assert ds[place].data
        assert 1 <= len(list(folders.glob("chunk-*"))) <= 2
    del ds
    gc.collect()
    assert list(folders.glob("chunk-*")) == []


def test_a_dataset_that_changed_says_to_open_it_again(home: Path) -> None:
    """The archives were replaced, so the rows and the pictures would no longer belong together."""
    fill(home / "photos", 3)
    read, unread = px.collect(source="folder:./photos", progress=False), px.open("photos")
    image = str(read[0].row["sha256"])
    pixcore("exclude", "photos", image)
    assert pixcore("apply", "photos").code == 0
    assert read[0].row["sha256"] == image  # it is unpacked already
    with pytest.raises(InvalidRequest, match=r"dataset photos has changed since it was opened; .*px\.open\('photos'\)"):
        unread[0]
    assert len(px.open("photos")) == 2


def test_two_calls_at_once_collect_each_chunk_once(home: Path) -> None:
    """Two notebooks may collect one dataset at the same time; both must get the whole of it."""
    fill(home / "photos", 12)
    program = (
        "from pixcore_runners import library as px\n"
        "ds = px.collect(source='folder:./photos', dataset='mine', chunk_size=3, progress=False)\n"
        "print(*(picture.row['sha256'] for picture in ds))"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    one, other = (process.communicate()[0].split() for process in both)
    assert (one, len(one)) == (other, 12)
    chunks = pixcore("status", "mine", "--json").chunks
    assert [(chunk["accepted"], chunk["attempt"]) for chunk in chunks] == [(3, 1)] * 4


def test_a_cancelled_task_gives_its_chunk_back_and_a_call_resumes(home: Path) -> None:
    """An application that ends, or a notebook whose cell is stopped, must not leave a chunk claimed."""
    opened = threading.Event()
    with Site({"/0.jpg": picture(jpeg(0)), "/1.jpg": held(opened, picture(jpeg(1)))}) as site:
        (home / "list.txt").write_text(f"{site.url('/0.jpg')}\n{site.url('/1.jpg')}\n")

        async def cancelled() -> None:
            collecting = asyncio.ensure_future(
                px.collect_async(source="urls:list.txt", private_hosts=site.host, progress=False)
            )
            async with asyncio.timeout(60):
                while "/1.jpg" not in site.paths():  # noqa: ASYNC110 - an Event could not be set from the other thread
                    await asyncio.sleep(0.01)
            collecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await collecting

        asyncio.run(cancelled())
        assert [chunk["status"] for chunk in pixcore("status", "list", "--json").chunks] == ["pending"]
        opened.set()
        assert len(px.collect(source="urls:list.txt", private_hosts=site.host, progress=False)) == 2


def test_a_call_without_any_image_raises_an_error_with_the_reasons(home: Path) -> None:
    """An empty dataset would fail later, in code that is not to blame; once it is mended, the same call goes on."""
    (home / "photos").mkdir()
    (home / "photos" / "page.jpg").write_text("<html>")
    with pytest.raises(NoValidImages, match=r"dataset photos: no image was collected \(.*not_an_image.*retry=True"):
        px.collect(source="folder:./photos", progress=False)
    fill(home / "photos", 1)
    (home / "photos" / "page.jpg").write_bytes(jpeg(7))
    assert len(px.collect(source="folder:./photos", retry=True, progress=False)) == 2


@pytest.mark.parametrize(
    ("keyword", "options", "message"),
    [
        ("", {}, r"such as: px\.collect\('red panda', count=100\); a folder or a list needs none: source=\"folder:\./"),
        ("../photos", {}, "'../photos' looks like a path, but there is no such folder or file"),
        (".", {}, r"'\.' is a folder, not a keyword; to collect it: px\.collect\(source=\"folder:\.\"\)"),
        ("cats", {}, "the number of images of 'cats' is missing; add count=N, at most"),
        ("cats", {"colour": 1}, "^unknown setting 'colour'; use one of: store, "),
        ("cats", {"licence": "by"}, r"^unknown setting 'licence'; did you mean license\?"),
    ],
)
def test_a_wrong_call_names_the_argument_as_python_writes_it(
    home: Path, keyword: str, options: dict[str, object], message: str
) -> None:
    """A message about options of the command would not help in a notebook; nothing may be left behind."""
    with pytest.raises(InvalidRequest, match=message):
        px.collect(keyword, **options)  # type: ignore[arg-type]
    assert not (home / "pixcore-data").exists()


def test_a_dataset_that_does_not_exist_is_refused_with_those_that_do(places: dict[str, str]) -> None:
    """The user must be able to correct a misspelt name."""
    with pytest.raises(InvalidRequest, match="no dataset 'mein' in the status database; it holds: mine"):
        px.open("mein", **places)


@pytest.mark.parametrize("package", ["pandas", "datasets", "torch"])
def test_a_missing_package_is_named(mine: px.Dataset, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixcore needs none of them, so the error must say what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LibraryMissing, match=f"{package} is not installed; install it: pip install {package}"):
        getattr(mine, f"to_{package}")()


@pytest.mark.loaders
def test_pandas_and_datasets_get_the_rows_and_pictures(home: Path, places: dict[str, str], mine: px.Dataset) -> None:
    """The real libraries must accept the types of all columns, and find the same dataset in their cache."""
    packages = had(lambda: site_packages("loaders"))
    settings = {"HF_HOME": str(home / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run(
        [sys.executable, "-c", CONVERTED, str(packages), json.dumps(places)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["rows"] == found["pandas"] == found["datasets"] == [picture.url for picture in mine]
    assert found["sizes"] == [list(picture.image.size) for picture in mine]
    assert (found["widths"], found["cached"]) == ("int64", True)
