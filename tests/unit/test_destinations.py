"""Exports to stores and file systems are whole or not seen, resume, and never replace other files."""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import fsspec
import pytest
from attrs import define, evolve, field

from pixcore.errors import InvalidRequest, PixcoreError, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.outputs.export.destinations import staged
from pixcore_adapters.outputs.export.destinations.blobs import Blobs
from pixcore_adapters.outputs.export.destinations.fsspec import FileSystem
from pixcore_adapters.outputs.export.destinations.remote import Remote, Stored
from pixcore_adapters.outputs.export.destinations.staged import Staged

FILES = MappingProxyType({"train/a.jpg": b"image", "test/a.jpg": b"image", "README.md": b"card"})
KINDS = ("store", "objects", "folders")
each_kind = pytest.mark.parametrize("kind", KINDS)


class Killed(BaseException):
    """Stands for the end of the process."""


@define
class Place:
    """A place in memory or on this disk. Records what is sent; from 0 on, raises Killed before step ``kill_at``."""

    inner: Remote
    kill_at: int = -1
    steps: int = 0
    sent: list[str] = field(factory=list)

    at_once = 1

    @property
    def url(self) -> str:
        """See ``Remote``."""
        return self.inner.url

    @property
    def rename(self) -> Callable[[str, str], None] | None:
        """See ``Remote``."""
        rename = self.inner.rename
        return (lambda folder, to: self._step(lambda: rename(folder, to))) if rename else None

    def list(self, folder: str) -> Iterator[Stored]:
        """See ``Remote``."""
        return self.inner.list(folder)

    def read(self, name: str) -> bytes:
        """See ``Remote``."""
        return self.inner.read(name)

    def put(self, name: str, source: Path, sent: Stored) -> None:
        """See ``Remote``."""
        self._step(lambda: self.inner.put(name, source, sent))
        if "/files/" in name:
            self.sent.append(sent.name)

    def prepare(self, name: str, to: str) -> Callable[[], object]:
        """See ``Remote``."""
        show = self._step(lambda: self.inner.prepare(name, to))
        return lambda: self._step(show)

    def clear(self, folder: str) -> None:
        """See ``Remote``. Removes the files one by one, in an unfavourable order."""
        for name in sorted([file.name for file in self.inner.list(folder)], reverse=True):
            self._step(partial(self.inner.clear, f"{folder}/{name}".rstrip("/")))
        self.inner.clear(folder)

    def _step(self, do: Callable[[], object]) -> object:
        if self.steps == self.kill_at:
            raise Killed
        self.steps += 1
        return do()


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Staged]:
    """Return a function that makes an empty destination of a kind, named ``out``."""

    def made(kind: str) -> Staged:
        if kind == "store":
            remote: Remote = Blobs(MemoryBlobStore(), "store:")
        else:
            root = f"/{uuid4().hex}" if kind == "objects" else str(tmp_path / uuid4().hex)
            remote = FileSystem(fsspec.filesystem("memory" if kind == "objects" else "file"), root, f"{kind}:{root}")
        return Staged(Place(remote), "out", tmp_path / "work")

    return made


def export(out: Staged, files: Mapping[str, bytes] = FILES) -> None:
    """Export these files."""
    with out.writing() as writing:
        for name, data in files.items():
            with writing.create(name) as path:
                path.write_bytes(data)


def shown(out: Staged) -> dict[str, bytes]:
    """Return what a reader of the destination finds."""
    return {file.name: out.remote.read(f"{out.name}/{file.name}") for file in out.remote.list(out.name)}


def everything(out: Staged) -> list[str]:
    """Return the names of all files of the place."""
    return sorted(file.name for file in out.remote.list(""))


@each_kind
def test_an_export_appears_whole(make: Callable[[str], Staged], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is listed while files are sent, and nothing but the export is left at its end; also in small batches."""
    monkeypatch.setattr(staged, "_BATCH", 1)
    out = make(kind)
    with out.writing() as files:
        for name, data in FILES.items():
            with files.create(name) as path:
                path.write_bytes(data)
            assert shown(out) == {}
    assert shown(out) == FILES
    assert everything(out) == sorted(f"out/{name}" for name in FILES)
    assert not list((out.work).iterdir())


def test_a_whole_store_can_be_the_destination(tmp_path: Path) -> None:
    """The store of a plug-in has no folder above it; what is hidden in it does not count as files of a user."""
    out = Staged(Place(Blobs(MemoryBlobStore(), "store:")), "", tmp_path / "work")
    with pytest.raises(Killed):
        export(evolve(out, remote=Place(out.remote.inner, kill_at=5)))
    assert all(name.startswith(".partial/") for name in everything(out))
    export(out)
    assert everything(out) == sorted(FILES)
    with pytest.raises(InvalidRequest, match="store: is not empty"):
        out.check()


@each_kind
def test_a_killed_export_is_completed_by_the_next_one(make: Callable[[str], Staged], kind: str) -> None:
    """Wherever it was killed: nothing is half visible, no file is sent twice, and no other file is ever touched."""
    counted = make(kind)
    export(counted)
    seen = set()
    for step in range(counted.remote.steps):
        out = make(kind)
        killed = evolve(out, remote=Place(out.remote.inner, kill_at=step))
        with pytest.raises(Killed):
            export(killed)
        before = shown(out)
        seen.add(len(before))
        assert before.items() <= FILES.items()
        assert "README.md" not in before or before == FILES
        again = evolve(out, remote=Place(out.remote.inner))
        if before == FILES and not any("/lists/" in name for name in everything(out)):
            with pytest.raises(InvalidRequest, match="is not empty"):  # it is whole, and was being tidied up
                export(again)
            continue
        export(again)
        assert shown(again) == FILES
        assert everything(again) == sorted(f"out/{name}" for name in FILES)
        assert not set(killed.remote.sent) & set(again.remote.sent)
    assert seen == ({0, 3} if kind == "folders" else {0, 1, 2, 3})


@each_kind
def test_a_destination_that_is_not_empty_stays_as_it_is(
    make: Callable[[str], Staged], kind: str, tmp_path: Path
) -> None:
    """Also if one of its files has the name of a file of the export."""
    out = make(kind)
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    out.remote.put("out/README.md", mine, Stored("README.md", 4, sha256(b"mine").hexdigest()))
    for use in (out.check, lambda: export(out)):
        with pytest.raises(InvalidRequest, match=r"out is not empty; nothing was written"):
            use()
    assert everything(out) == ["out/README.md"]
    assert shown(out) == {"README.md": b"mine"}


@pytest.mark.parametrize("kind", ["store", "objects"])
def test_another_export_does_not_continue_one_that_was_being_shown(make: Callable[[str], Staged], kind: str) -> None:
    """Its files are named; the export with the same options completes it."""
    out = make(kind)
    export(out)
    total = out.remote.steps
    out = make(kind)
    killed = evolve(out, remote=Place(out.remote.inner, kill_at=total - 5))
    with pytest.raises(Killed):
        export(killed)
    assert 0 < len(shown(out)) < len(FILES)
    with pytest.raises(InvalidRequest, match=r"holds files of an interrupted export that are not in this one, such as"):
        export(out, {"train-000000.tar": b"other", "README.md": b"card"})
    export(out)
    assert shown(out) == FILES


@each_kind
def test_an_export_with_other_options_replaces_what_was_only_sent(make: Callable[[str], Staged], kind: str) -> None:
    """A half-finished export of another layout leaves nothing behind, wherever it was killed before it was shown."""
    other = {"train-000000.tar": b"other", "test/a.jpg": b"another", "README.md": b"card"}
    for step in range(0, 9, 3):
        out = make(kind)
        with pytest.raises(Killed):
            export(evolve(out, remote=Place(out.remote.inner, kill_at=step)))
        assert shown(out) == {}
        export(out, other)
        assert shown(out) == other
        assert everything(out) == sorted(f"out/{name}" for name in other)


def test_a_file_system_that_becomes_full_is_reported_and_shows_nothing(
    make: Callable[[str], Staged], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent stays, so that the export continues once there is room."""
    out = make("objects")
    system = out.remote.inner.system
    put_file, room = system.put_file, [3]

    def full(source: str, path: str) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put_file(source, path)

    monkeypatch.setattr(system, "put_file", full)
    with pytest.raises(StoreDenied, match=r"cannot store .*No space left on device; free some space there"):
        export(out)
    assert shown(out) == {}
    monkeypatch.setattr(system, "put_file", put_file)
    lines: list[str] = []
    again = evolve(out, remote=Place(out.remote.inner), say=lines.append)
    export(again)
    assert shown(again) == FILES
    assert len(again.remote.sent) == 1
    assert lines == ["files that an interrupted export had sent already: 2 of 3"]


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), StoreDenied, "give this user the right"),
        (PermissionError("403"), StoreDenied, "give this user the right"),
        (NotImplementedError(), StoreDenied, "this file system cannot be written"),
        (FileNotFoundError("bucket"), StoreNotFound, "create it, or choose another"),
        (TimeoutError("no answer"), StoreUnavailable, "TimeoutError: no answer; try again"),
        (RuntimeError("https://host/x?sig=abc"), StoreUnavailable, "RuntimeError; try again"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_of_file_systems_are_store_errors(
    raised: Exception, expected: type[PixcoreError], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be of any class. A message holds no signature, and what may pass is tried again."""
    system = fsspec.filesystem("memory", skip_instance_cache=True)
    waits: list[float] = []
    place = FileSystem(system, "/root", "memory:///root", sleep=waits.append)

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(system, "find", fail)
    monkeypatch.setattr(system, "cat_file", fail)
    with pytest.raises(expected, match=text) as failed:
        place.read("name")
    assert "abc" not in str(failed.value)
    assert len(waits) == (4 if expected is StoreUnavailable else 0)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nosuch://host/out", "nothing can be exported to nosuch://host/out: ValueError: Protocol not known: nosuch"),
        ("smb://host/share/out", "smb://host/share/out needs a package that is not installed: .*smbprotocol"),
        ("https://host/out", "nothing can be exported to https://host/out: a web server only gives files"),
        ("memory://", "names no folder that an export can create; add a name"),
    ],
)
def test_a_url_that_cannot_be_opened_is_refused(url: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is missing."""
    monkeypatch.setitem(sys.modules, "smbprotocol", None)
    with pytest.raises(InvalidRequest, match=text):
        FileSystem.at(url)
