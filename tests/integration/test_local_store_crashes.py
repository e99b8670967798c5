"""The store in a folder beside other processes, and on a full disk."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from contract.blob_store import keys, noise, put, read

from pixcore.errors import StoreDenied
from pixcore_adapters.blob_store.local import LocalBlobStore

CHILD = """
import hashlib, os, signal, sys
from pathlib import Path
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore.errors import StoreConflict, StoreDenied

root, source = Path(sys.argv[1]), Path(sys.argv[2])
store = LocalBlobStore(root)

def put(data, method="put", **more):
    digest = hashlib.sha256(data).hexdigest()
    described = {"sha256": digest, "size": len(data), "content_type": "t/t", "metadata": {"by": "child"}}
    return getattr(store, method)("key", source, **described, **more)
"""


def start(code: str, root: Path, source: Path) -> "subprocess.Popen[bytes]":
    """Run code in another process, with ``store``, and ``put`` of the bytes in ``source``, defined."""
    return subprocess.Popen([sys.executable, "-c", CHILD + code, root, source])


def private_files(root: Path) -> list[str]:
    """Return the store's private files except for its lock."""
    files = (root / ".pixcore").rglob("*")
    return sorted(str(path.relative_to(root)) for path in files if path.is_file() and path.name != "lock")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> LocalBlobStore:
    """Return an empty store."""
    return LocalBlobStore(root)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Return a named pipe. A writer that stores from it blocks in the middle of ``put``."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_killed_writer_leaves_nothing_visible(store: LocalBlobStore, root: Path, pipe: Path) -> None:
    """A writer killed in the middle of a copy leaves no visible blob, and the next writer removes its file."""
    writer = start("put(bytes(2_000_000))", root, pipe)
    with pipe.open("wb", buffering=0) as feed:
        feed.write(bytes(1_000_000))
        (half,) = (root / ".pixcore/tmp").iterdir()
        assert half.stat().st_size > 0
        assert keys(store) == []
        writer.kill()
        writer.wait()
    assert half.exists()
    put(store, "other", b"x")
    assert not half.exists()
    assert put(store, "key", b"mine") == store.head("key")


def test_a_living_writer_is_not_swept(store: LocalBlobStore, root: Path, pipe: Path) -> None:
    """The sweep does not remove the file of a writer that is still running."""
    writer = start("put(bytes(2_000_000))", root, pipe)
    with pipe.open("wb", buffering=0) as feed:
        feed.write(bytes(1_000_000))
        put(store, "other", b"x")
        feed.write(bytes(1_000_000))
    assert writer.wait() == 0
    assert store.head("key").metadata == {"by": "child"}
    assert read(store, "key") == bytes(2_000_000)


@pytest.mark.parametrize("method", ["put", "take_over"])
@pytest.mark.parametrize(
    ("moment", "survivor"),
    [("Path.rename", b"old"), ("LocalBlobStore._tidy", b"new")],
    ids=["before the rename", "after the rename"],
)
def test_a_crash_beside_the_rename_is_old_or_new(
    store: LocalBlobStore, root: Path, tmp_path: Path, *, moment: str, survivor: bytes, method: str
) -> None:
    """A crash at the rename leaves the old or the new version with its sidecar. The next put removes the other's."""
    old = put(store, "key", b"old", metadata={"by": "parent"})
    (tmp_path / "source").write_bytes(b"new")
    code = (
        f"{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nput(b'new', {method!r}, replacing={old.etag!r})"
    )
    assert start(code, root, tmp_path / "source").wait() == -signal.SIGKILL
    blob = store.head("key")
    assert read(store, "key") == survivor
    assert blob.sha256 == hashlib.sha256(survivor).hexdigest()
    assert blob.metadata == {"by": "parent" if survivor == b"old" else "child"}
    put(store, "key", b"newest", replacing=blob.etag)
    assert len(private_files(root)) == 1


def test_a_forked_child_does_not_keep_the_lock(root: Path, tmp_path: Path) -> None:
    """A forked child does not keep the lock, which would block every writer."""
    (tmp_path / "source").write_bytes(b"x")
    code = """
with store._locked():
    child = os.fork()
    signal.alarm(20)  # a deadlock must end, too
    if not child:
        signal.pause()
put(b"x")
os.kill(child, signal.SIGKILL)
"""
    assert start(code, root, tmp_path / "source").wait() == 0


def test_processes_lose_no_update(store: LocalBlobStore, root: Path, tmp_path: Path) -> None:
    """Concurrent processes lose no update: comparing and replacing is atomic between processes."""
    put(store, "key", b"0")
    code = """
done = 0
while done < 20:
    etag = store.head("key").etag
    with store.open("key") as file:
        number = int(file.read()) + 1
    source.write_bytes(b"%d" % number)
    try:
        put(b"%d" % number, replacing=etag)
    except StoreConflict:
        continue
    done += 1
"""
    writers = [start(code, root, tmp_path / f"source {number}") for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert read(store, "key") == b"60"
    assert len(private_files(root)) == 1


def test_a_file_beyond_the_limit_is_refused(store: LocalBlobStore, root: Path, tmp_path: Path) -> None:
    """A file beyond the size limit is refused and leaves nothing, although the kernel writes its beginning."""
    (tmp_path / "source").write_bytes(bytes(1_000_000))
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    put(bytes(1_000_000))
except StoreDenied as error:
    sys.exit(0 if str(root) in str(error) else str(error))
sys.exit("stored beyond the limit")
"""
    assert start(code, root, tmp_path / "source").wait() == 0
    assert keys(store) == private_files(root) == []


def test_a_full_disk_is_refused_at_every_byte(root: Path) -> None:
    """If the disk fills up in the blob, its sidecar or a folder, the put is complete or leaves nothing."""
    root.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", root], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a small disk here")
    try:
        store, outcomes = LocalBlobStore(root), set()
        for pages in range(10, 20):
            data = noise(pages, pages * 4096)
            try:
                put(store, "d/key", data)
            except StoreDenied as error:
                assert str(root) in str(error)  # noqa: PT017 - either outcome is correct
                assert keys(store) == private_files(root) == []
                assert not (root / "d").exists()
                outcomes.add("refused")
            else:
                assert read(store, "d/key") == data
                store.delete("d/key")
                outcomes.add("stored")
    finally:
        subprocess.run(["umount", root], check=True)
    assert outcomes == {"stored", "refused"}
