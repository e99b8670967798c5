"""The tables of built-in adapters: every line can be imported and called as its table documents."""

import sys
from inspect import signature
from pathlib import Path

import pytest

from pixcore import Archiver, BlobStore, InvalidRequest
from pixcore.chunk.events import silent
from pixcore.model.rows import COLUMN_TYPES
from pixcore_adapters.outputs.export.layout import ExportRequest
from pixcore_runners.assembly.assembly import assemble, layout
from pixcore_runners.registry.table import Builtin, Table
from pixcore_runners.registry.tables import ARCHIVERS, BLOB_STORES, LAYOUTS, SEARCHES
from pixcore_runners.settings import Settings

ROOT = Path(__file__).parents[2]


def test_each_store_is_created_from_its_url_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins are created by the same call."""
    key = "AccountName=a;AccountKey=QQ==;EndpointSuffix=example.org"
    urls = {
        "file": "file:./out",
        "azure": "azure://cats/data",
        "s3": "s3://cats/data?region=eu-west-1",
        "gs": "gs://cats/data",
        "memory": "memory://",
    }
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")  # otherwise Google's client looks for a login
    assert urls.keys() == BLOB_STORES.builtin.keys()
    for scheme, url in urls.items():
        make = BLOB_STORES.find(scheme)
        assert make is not None
        store: BlobStore = make(url, {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=https;{key}"})
        assert callable(store.put)


def test_each_archiver_is_created_without_arguments() -> None:
    """The suffix must distinguish its archives from those of other kinds."""
    suffixes = []
    for kind in ARCHIVERS.builtin:
        make = ARCHIVERS.find(kind)
        assert make is not None
        archiver: Archiver = make()
        suffixes.append(archiver.suffix)
    assert suffixes == [".zip", ".tar"]


def test_each_searched_source_is_created_from_the_environment() -> None:
    """Its name must be the registered one, because slices and rows contain that name."""
    for name in SEARCHES.builtin:
        make = SEARCHES.find(name)
        assert make is not None
        assert make({}).about.name == name


@pytest.mark.parametrize("name", LAYOUTS.builtin)
def test_each_layout_is_made_for_an_export(name: str) -> None:
    """``export`` writes with every layout by the same call."""
    made = layout(name)(ExportRequest("cats", COLUMN_TYPES))
    assert list(signature(made.write).parameters) == ["samples", "files"]


def test_a_layout_that_does_not_exist_is_refused() -> None:
    """The message must list the existing layouts."""
    with pytest.raises(InvalidRequest, match="unknown layout 'zip'; use one of: imagefolder, webdataset, parquet"):
        layout("zip")


@pytest.mark.parametrize(("url", "package", "extra"), [("azure://a", "azure", "azure"), ("s3://a", "boto3", "s3")])
def test_a_missing_package_names_the_extra(url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message must contain a command that the user can copy."""
    for module in [
        module for module in sys.modules if module.startswith((f"pixcore_adapters.blob_store.{extra}", package))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InvalidRequest, match=rf"is not installed; pip install 'pixcore\[{extra}\]'"):
        assemble(Settings(store=url, status="memory://"))


def test_every_extra_of_a_table_exists() -> None:
    """Otherwise the command of the message would install nothing."""
    extras = {line.extra for table in (BLOB_STORES, ARCHIVERS, SEARCHES, LAYOUTS) for line in table.builtin.values()}
    project = (ROOT / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in project for extra in extras if extra)


def test_a_missing_module_of_a_builtin_without_an_extra_is_raised_unchanged() -> None:
    """The module is missing because of a defect, and no extra would help."""
    with pytest.raises(ModuleNotFoundError):
        Table({"x": Builtin("pixcore_adapters.no_such_module:X")}).find("x")


def test_adapters_without_credentials_read_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable ``.env`` does not stop the demo, which uses no configuration."""
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    here = assemble(Settings(store="file:./blobs", status="memory://", work=tmp_path / "work"))
    with here.pipeline(silent):
        assert here.capacity("met", ()) > 0
    with pytest.raises(InvalidRequest, match="\\.env is not UTF-8"):
        assemble(Settings(store="azure://cats", status="memory://"))
