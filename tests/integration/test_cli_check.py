"""``pixcore check`` tries every right that a run needs, and names what is lacking with its remedy."""

from pathlib import Path
from typing import Any

import pytest
from command import at_home, files, pixcore

from pixcore import StoreDenied, StoreUnavailable
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_runners.assembly import assembly

RIGHTS = [
    ("work", "write"),
    ("decoder", "decode"),
    ("status", "read"),
    ("status", "write"),
    ("store", "write"),
    ("store", "read"),
    ("store", "list"),
    ("store", "create only"),
    ("store", "replace"),
    ("store", "delete"),
    ("store", "write large"),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    at_home(tmp_path, monkeypatch)
    return tmp_path


def test_every_right_is_tried_and_no_file_is_left(home: Path) -> None:
    """Everything must work on the default installation, and the probes must be removed."""
    ran = pixcore("check", "--json")
    assert (ran.code, ran.err) == (0, "")
    probes = ran.document["probes"]
    assert [(probe["part"], probe["right"]) for probe in probes] == RIGHTS
    assert all(probe["works"] and not probe["error"] and probe["seconds"] > 0 for probe in probes)
    assert not [name for name in files(home) if "check" in name or "probe" in name]
    lines = pixcore("check").out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [part for part, _ in RIGHTS]
    assert all(" yes " in line for line in lines[1:])


def without(name: str, effect: Any) -> type[MemoryBlobStore]:  # noqa: ANN401 - the replacement of a method
    """Return a class of stores with one method replaced."""
    return type("Lacking", (MemoryBlobStore,), {name: effect})


def overwrites(self: MemoryBlobStore, key: str, source: Path, *, replacing: str | None = None, **values: Any) -> object:  # noqa: ANN401
    """Put a blob, and ignore an existing one."""
    del replacing
    self.delete(key)
    return MemoryBlobStore.put(self, key, source, **values)


def denied(*_: object, **__: object) -> object:
    """Raise StoreDenied."""
    raise StoreDenied("this key may not do that; ask its owner")


def unreachable(*_: object, **__: object) -> object:
    """Raise StoreUnavailable."""
    raise StoreUnavailable("nobody answers; try again")


@pytest.mark.parametrize(
    ("lacking", "rights", "message", "code"),
    [
        (without("put", denied), ["write"], "this key may not do that; ask its owner", 2),
        (without("put", unreachable), ["write"], "nobody answers; try again", 1),
        (without("put", overwrites), ["create only", "replace"], "use a store that enforces conditional writes", 2),
        (without("open", denied), ["read"], "ask its owner", 2),
        (without("list", lambda *_: iter(())), ["list"], "use a store whose listings are consistent", 2),
        (without("delete", lambda *_: None), ["delete"], "use a store whose deletes are consistent", 2),
    ],
    ids=["no right to write", "away", "no conditions", "no right to read", "lists late", "deletes late"],
)
def test_a_lacking_right_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, lacking: type[MemoryBlobStore], rights: list[str], message: str, code: int
) -> None:
    """The other rights must still be tried, unless nothing can be written at all."""
    store = lacking()
    monkeypatch.setattr(assembly, "store_at", lambda _url, **_: store)
    ran = pixcore("check", "--json")
    assert ran.code == code
    failed = [probe for probe in ran.document["probes"] if not probe["works"]]
    assert [probe["right"] for probe in failed] == rights
    assert all(message in probe["error"] for probe in failed)
    tried = [probe["right"] for probe in ran.document["probes"] if probe["part"] == "store"]
    assert tried == (["write"] if rights == ["write"] else [right for part, right in RIGHTS if part == "store"])


def test_an_unusable_status_database_is_one_line(home: Path) -> None:
    """The error must be the same line as that of every other command."""
    (home / "status.db").write_text("no database " * 100)
    ran = pixcore("check", "--status", "sqlite:///status.db")
    assert (ran.code, ran.out) == (2, "")
    assert "status.db is not an SQLite file; use another path" in ran.err
