"""Adapters of other distributions: found by entry point, reported if broken, never in place of pixcore's own."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import at_home, fill, pixcore
from distributions import Entries, installed

from pixcore import InvalidRequest
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.assembly.sources import OnDemand
from pixcore_runners.registry import plugins
from pixcore_runners.settings import Settings
from pixcore_runners.settings.source_names import parse

STORES, SOURCES, ARCHIVERS = "pixcore.blob_stores", "pixcore.sources", "pixcore.archivers"

STORE = """
from pixcore_adapters.blob_store.memory import MemoryBlobStore

class Store(MemoryBlobStore):
    def __init__(self, url, environ):
        super().__init__()
        self.url, self.environ, self.created = url, dict(environ), False

    def create(self):
        self.created = True
"""
SOURCE = """
from pixcore_adapters.downloader.sources.search import About, PageRequest, ResultPage

class Source:
    about = About("herd", 10, 30, "free", "https://herd.example/terms", "never", frozenset({"cc0"}))

    def __init__(self, environ):
        pass

    def request(self, query, licenses, page, cursor):
        return PageRequest(f"https://herd.example/{query}")

    def read(self, answer):
        return ResultPage([])
"""
ARCHIVER = """
from attrs import frozen
from pixcore_adapters.archiver.memory import MemoryArchiver

@frozen
class Archiver(MemoryArchiver):
    suffix: str = ".herd"
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs distributions for the test; change to an empty folder."""
    home = tmp_path / "home"
    home.mkdir()
    at_home(home, monkeypatch)
    loaded: list[str] = []

    def install(name: str, entries: Entries, **modules: str) -> None:
        loaded.extend(modules)
        monkeypatch.syspath_prepend(installed(tmp_path / name, name, entries, **modules))

    yield install
    for module in loaded:
        sys.modules.pop(module, None)


def store(**settings: Any) -> Any:  # noqa: ANN401 - Settings checks them, and the store is a class of the test
    """Return the store that these settings name."""
    return assemble(Settings(status="memory://", **settings)).store


def assembly() -> Assembly:
    """Return an assembly with everything in memory."""
    return assemble(Settings(store="memory://", status="memory://"))


# -- stores ------------------------------------------------------------------------------------------------------------


def test_a_store_is_created_with_its_url_and_the_environment(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store interprets its URL itself, and reads secrets from the environment, which includes `.env`."""
    install("pixcore-herd", {STORES: {"herd": "herd:Store"}}, herd=STORE)
    monkeypatch.setenv("HERD_KEY", "of the environment")
    Path(".env").write_text("HERD_KEY=of the file\nHERD_USER=ada\n")
    made = store(store="herd:cows?fresh")
    assert made.url == "herd:cows?fresh"
    assert (made.environ["HERD_KEY"], made.environ["HERD_USER"]) == ("of the environment", "ada")


@pytest.mark.parametrize("wanted", [True, False])
def test_the_container_of_a_plugin_is_created_only_with_the_option(install: Install, wanted: bool) -> None:
    """A mistyped name must not create a container, as with the built-in stores."""
    install("pixcore-herd", {STORES: {"herd": "herd:Store"}}, herd=STORE)
    assert store(store="herd://cows", create_container=wanted).created == wanted


def test_a_store_without_containers_ignores_the_option_to_create_one(install: Install) -> None:
    """`--create-container` concerns only stores with a method for it."""
    module = "from pixcore_adapters.blob_store.memory import MemoryBlobStore\ndef make(url, environ):\n    return "
    install("pixcore-herd", {STORES: {"herd": "herd:make"}}, herd=f"{module}MemoryBlobStore()")
    assert isinstance(store(store="herd:cows", create_container=True), MemoryBlobStore)


def test_an_unknown_store_lists_the_known_ones(install: Install) -> None:
    """Plug-ins come after the built-in stores, and a broken one is listed too without being loaded."""
    install("pixcore-herd", {STORES: {"herd": "missing:Store", "flock": "missing:Store"}})
    with pytest.raises(InvalidRequest) as refused:
        store(store="hurd:cows")
    assert str(refused.value) == (
        "unknown store 'hurd:cows'; use one of: file:FOLDER, azure://CONTAINER/PREFIX, s3://BUCKET/PREFIX,"
        " gs://BUCKET/PREFIX, memory://, flock:, herd:"
    )


# -- sources -----------------------------------------------------------------------------------------------------------


def test_a_source_of_a_plugin_is_searched_like_a_built_in_one(install: Install) -> None:
    """It must be searched by the keyword, up to its limit and with its own licences."""
    install("pixcore-herd", {SOURCES: {"herd": "herd:Source"}}, herd=SOURCE)
    assert parse("herd") == ("herd", "")
    assert assembly().capacity("herd", ["cc0"]) == 30
    with pytest.raises(InvalidRequest, match="herd cannot be limited to the licence by"):
        assembly().capacity("herd", ["by"])


def test_an_unknown_source_lists_the_known_ones(install: Install) -> None:
    """Plug-ins come after the built-in sources."""
    install("pixcore-herd", {SOURCES: {"herd": "missing:Source"}})
    with pytest.raises(InvalidRequest, match=r"unknown source 'hurd'; use one of: openverse, .*, ddgs, herd$"):
        parse("hurd")


def test_a_source_with_a_name_other_than_the_registered_one_is_refused(install: Install) -> None:
    """Its slices would have the registered name and its rows the other."""
    install("pixcore-herd", {SOURCES: {"flock": "herd:Source"}}, herd=SOURCE)
    with pytest.raises(InvalidRequest, match="source 'flock' has the name 'herd'"):
        assembly().capacity("flock", [])


def test_a_source_of_an_earlier_interface_is_refused(install: Install) -> None:
    """Its author must learn what is missing, not see a traceback."""
    install("pixcore-herd", {SOURCES: {"herd": "herd:Source"}}, herd=SOURCE.replace("about =", "name ="))
    with pytest.raises(InvalidRequest, match="source 'herd' has no `about`; update the package that registers it"):
        assembly().capacity("herd", [])


# -- kinds of archive --------------------------------------------------------------------------------------------------


def test_archives_of_a_plugin_are_packed_and_verified(install: Install, tmp_path: Path) -> None:
    """The setting, the suffix of the key and `verify` must accept the kind."""
    install("pixcore-herd", {ARCHIVERS: {"herd": "herd:Archiver"}}, herd=ARCHIVER)
    Path("pixcore.toml").write_text('archive = "herd"\n')
    source = f"folder:{fill(tmp_path / 'photos', 3)}"
    ran = pixcore("run", "--source", source, "--dataset", "cows", "--json", "--quiet")
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [3])
    assert ran.chunks[0]["url"].endswith("/cows/data/chunk_1.herd")
    verified = pixcore("verify", "cows", "--json", "--quiet")
    assert (verified.code, verified.document["archives"], verified.document["images"]) == (0, 1, 3)


def test_an_unknown_kind_of_archive_is_an_error_of_the_settings(install: Install) -> None:
    """The error must name the place of the setting, before any work begins."""
    install("pixcore-herd", {ARCHIVERS: {"herd": "herd:Archiver"}}, herd=ARCHIVER)
    Path("pixcore.toml").write_text('archive = "hurd"\n')
    ran = pixcore("config", "show")
    assert (ran.code, "pixcore.toml: archive cannot be 'hurd'" in ran.err) == (2, True)


# -- any group ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("Shop = 1", "AttributeError: module 'herd' has no attribute 'Store'"),
        ("raise RuntimeError('too\\nold')", "RuntimeError: too old"),
    ],
    ids=["import", "name", "anything"],
)
def test_a_package_that_cannot_be_loaded_is_named(install: Install, module: str, complaint: str) -> None:
    """The error must be one line, because a traceback would look like a defect of pixcore."""
    install("pixcore-herd", {STORES: {"herd": "herd:Store"}}, herd=module)
    ran = pixcore("check", "--store", "herd:cows")
    assert ran.code == 2
    assert f"'herd' of pixcore-herd cannot be loaded: {complaint}; repair or uninstall pixcore-herd" in " ".join(
        ran.err.split()
    )
    assert "Traceback" not in ran.err


def test_two_packages_with_one_name_are_refused(install: Install) -> None:
    """Which package is used must not depend on the order of folders."""
    for name in ("pixcore-herd", "another-herd"):
        install(name, {STORES: {"herd": "herd:Store"}}, herd=STORE)
    with pytest.raises(
        InvalidRequest, match=r"another-herd and pixcore-herd each register 'herd' as one of pixcore\.blob_stores"
    ):
        store(store="herd:cows")


def test_a_plugin_cannot_replace_a_built_in_adapter(install: Install, tmp_path: Path) -> None:
    """An installed package must not be able to intercept the built-in stores, sources and archivers."""
    module = f"import pathlib\npathlib.Path({str(tmp_path / 'loaded')!r}).touch()\n"
    names: Entries = {STORES: {"file": "thief:x"}, SOURCES: {"folder": "thief:x"}, ARCHIVERS: {"zip": "thief:x"}}
    install("pixcore-thief", names, thief=module)
    fill(tmp_path / "photos", 2)
    ran = pixcore("run", "--source", f"folder:{tmp_path / 'photos'}", "--store", "file:./out", "--json", "--quiet")
    assert (ran.code, [chunk["accepted"] for chunk in ran.chunks]) == (0, [2])
    assert pixcore("verify", "photos", "--store", "file:./out").code == 0
    assert not (tmp_path / "loaded").exists()


def test_plugins_are_searched_only_if_needed(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search reads all installed packages, which would slow every start down."""
    assert install  # changes to an empty folder
    monkeypatch.setattr(plugins, "entry_points", lambda **_: pytest.fail("searched"))
    fill(tmp_path / "photos", 2)
    ran = pixcore("run", "--source", f"folder:{tmp_path / 'photos'}", "--json", "--quiet")
    assert (ran.code, json.loads(ran.out)["dataset"]) == (0, "photos")


def test_a_found_source_is_kept() -> None:
    """A source that serves many chunks must be loaded once, and an unknown name must stay unknown."""
    found: list[str] = []

    def find(name: str) -> int:
        found.append(name)
        return {"a": 1, "b": 2}[name]

    sources = OnDemand(["a"], find)
    assert list(sources) == ["a"]
    assert [sources["a"], sources["b"], sources["b"]] == [1, 2, 2]
    assert found == ["a", "b"]
    assert "c" not in sources
    assert dict(sources) == {"a": 1, "b": 2}
    assert len(sources) == 2
