"""`pixcore push` uploads a dataset as `load_dataset` reads it, continues after an interruption, and shows no token."""

import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from command import at_home, fill, pixcore
from servers.hub import TOKEN, Hub

from pixcore_runners.cli import push

# of huggingface_hub's own calls of its HTTP client
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ARCHIVES = [f"data/chunk_{number}.zip" for number in (1, 2, 3)]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Start a Hub, log in, and make a dataset of six photos in three chunks."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as started:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", started.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        fill(tmp_path / "photos", 6)
        words = ("cat", "--dataset", "cats", "--source", "folder:photos", "--chunk-size", "2", "--near", "off")
        assert pixcore("run", *words).code == 0
        yield started


def stored(name: str) -> bytes:
    """Return a file of the dataset in its store."""
    return Path("pixcore-data/blobs/cats", name).read_bytes()


def test_a_dataset_is_uploaded_with_its_card(hub: Hub) -> None:
    """The repository has the files of the store, the card last, and is private; a second push sends nothing."""
    ran = pixcore("push", "cats", "me/cats", "--json")
    assert ran.code == 0, ran.err
    assert (ran.document["archives"], ran.document["sent"]) == (3, 3)
    assert ran.document["url"] == f"{hub.url}/datasets/me/cats"
    assert hub.files is not None
    names = [*ARCHIVES, "README.md", "croissant.json"]
    assert {name: hub.files[name] for name in names} == {name: stored(name) for name in names}
    assert b"| not stated | 6 |" in hub.files["README.md"]  # the table of licences
    assert hub.files.keys() == {*names, ".gitattributes"}
    assert (hub.commits, hub.private) == (["Add images of cats", "Describe cats"], True)
    ran = pixcore("push", "cats", "me/cats", "--json")
    assert (ran.code, ran.document["sent"], len(hub.sent), len(hub.commits)) == (0, 0, 3, 2)
    assert TOKEN not in ran.out + ran.err


def test_an_interrupted_push_continues(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives that are committed, or only sent, are not sent again; the card comes when all are there."""
    monkeypatch.setattr(push, "_AT_ONCE", 1)
    hub.refuse = lambda request: 403 if "/commit/" in request and len(hub.commits) == 1 else 0
    ran = pixcore("push", "cats", "me/cats")
    assert (ran.code, ran.out) == (2, "")
    assert f"cannot write {hub.url}/datasets/me/cats: 403 refused for this test; log in with `hf auth login`" in ran.err
    assert hub.files is not None
    assert hub.files.keys() == {".gitattributes", ARCHIVES[0]}
    hub.refuse = lambda _request: 0
    ran = pixcore("push", "cats", "me/cats", "--json")
    assert (ran.code, ran.document["sent"]) == (0, 2)
    assert len(hub.sent) == len(set(hub.sent)) == 3
    assert {*ARCHIVES, "README.md"} <= hub.files.keys()


def test_an_export_can_be_a_repository(hub: Hub) -> None:
    """In any layout, with the card last. An interrupted one continues; a repository with a dataset is refused."""
    words = ("export", "cats", "--format", "imagefolder", "--out")
    hub.refuse = lambda request: 503 if "/commit/" in request and len(hub.commits) == 1 else 0
    ran = pixcore(*words, "hf://datasets/me/cats", "--quiet")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert hub.files is not None
    assert "README.md" not in hub.files
    hub.refuse = lambda _request: 0
    assert pixcore(*words, "hf://datasets/me/cats").code == 0
    assert pixcore(*words, "local").code == 0
    local = {str(path.relative_to("local")): path.read_bytes() for path in Path("local").rglob("*") if path.is_file()}
    assert {name: data for name, data in hub.files.items() if name != ".gitattributes"} == local
    ran = pixcore(*words, "hf://datasets/me/cats")
    assert (ran.code, "holds a dataset already; nothing was written" in ran.err) == (2, True)
    hub.files = {"other.txt": b"mine"}
    ran = pixcore(*words, "hf://datasets/me/cats")
    assert (ran.code, "holds other.txt, which is not of this export" in ran.err) == (2, True)
    assert hub.files == {"other.txt": b"mine"}


def test_what_the_hub_refuses_is_one_line(hub: Hub) -> None:
    """With the remedy and the right exit code, and without the token."""
    expected = {401: (2, "log in with `hf auth login`"), 429: (1, "limits requests"), 404: (2, "check its name")}
    for status, (code, text) in expected.items():
        hub.refuse = lambda _request, status=status: status
        ran = pixcore("push", "cats", "me/cats", "--quiet")
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
        assert text in ran.err
        assert TOKEN not in ran.err
    assert hub.files is None


def test_images_of_something_else_are_not_mixed_with_these(hub: Hub) -> None:
    """Loaders read every archive of a repository."""
    hub.files = {"data/chunk_99.zip": b"other", "README.md": b"mine"}
    ran = pixcore("push", "cats", "me/cats")
    assert ran.code == 2
    assert "holds data/chunk_99.zip, which is not of this dataset; nothing was uploaded" in ran.err
    assert hub.files == {"data/chunk_99.zip": b"other", "README.md": b"mine"}


def test_an_impossible_push_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent: a bad name, a dataset that does not exist, and a package that is missing."""
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pixcore_adapters.outputs.hub", None)
        assert "pip install 'pixcore[hub]'" in pixcore("push", "cats", "me/cats").err
    for words, text in {
        ("cats", "cats"): "'cats' is no name of a repository; write OWNER/NAME",
        ("cats", "me/cats?x"): "is no name of a repository",
        ("dogs", "me/cats"): "no dataset 'dogs'",
    }.items():
        ran = pixcore("push", *words)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert text in ran.err
    assert hub.files is None


def test_a_damaged_archive_is_not_uploaded(hub: Hub) -> None:
    """The others stay; the message names the command that finds the damage."""
    path = Path("pixcore-data/blobs/cats/data/chunk_2.zip")
    path.write_bytes(path.read_bytes()[:-1])
    ran = pixcore("push", "cats", "me/cats")
    assert ran.code == 2
    assert "`pixcore verify` says what is wrong" in ran.err
    assert hub.files == {".gitattributes": b"*.zip filter=lfs"}
