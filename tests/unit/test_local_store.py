"""What a store in a folder must withstand: crashes, full disks, missing rights, users with their own tools."""

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from contract.blob_store import keys, put, read

from pixcore.errors import StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable
from pixcore_adapters.blob_store.local import LocalBlobStore


def private_files(root: Path) -> list[str]:
    """The files that the store keeps for itself, but for its lock."""
    files = (root / ".pixcore").rglob("*")
    return sorted(str(path.relative_to(root)) for path in files if path.is_file() and path.name != "lock")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, because no folder is closed to root. A child process might not reach its interpreter."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Name a folder that is not made yet."""
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> LocalBlobStore:
    """Give an empty store."""
    return LocalBlobStore(root)


class TestPlainFiles:
    """Users open, copy and move what is stored with their own tools."""

    def test_a_blob_is_an_ordinary_file(self, store: LocalBlobStore, root: Path) -> None:
        """Under its key, readable to whom the umask allows, with a URL that leads there."""
        umask = os.umask(0o027)
        try:
            url = put(store, "d/data/50 %.zip", b"images").url
        finally:
            os.umask(umask)
        file = root / "d/data/50 %.zip"
        assert file.read_bytes() == b"images"
        assert file.stat().st_mode & 0o777 == 0o640
        assert file.parent.stat().st_mode & 0o777 == 0o750
        assert url == file.as_uri()

    def test_a_relative_root_stays_where_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program that changes its folder must not change its store."""
        monkeypatch.chdir(tmp_path)
        store = LocalBlobStore(Path("blobs"))
        monkeypatch.chdir("/")
        assert put(store, "key", b"x").url == (tmp_path / "blobs/key").as_uri()

    def test_a_linked_root_works(self, tmp_path: Path) -> None:
        """Data disks are linked to where programs look for them."""
        (tmp_path / "disk").mkdir()
        (tmp_path / "link").symlink_to("disk")
        store = LocalBlobStore(tmp_path / "link")
        assert put(store, "a/b", b"x").url == (tmp_path / "link/a/b").as_uri()
        assert (tmp_path / "disk/a/b").read_bytes() == b"x"
        assert keys(store) == ["a/b"]

    def test_a_file_copied_there_is_a_blob(self, store: LocalBlobStore, root: Path) -> None:
        """It is described by reading it, and can be replaced and deleted like any other."""
        (root / "d").mkdir(parents=True)
        (root / "d/mine").write_bytes(b"mine")
        (blob,) = store.list()
        assert blob == store.head("d/mine")
        assert (blob.key, blob.size, blob.sha256) == ("d/mine", 4, hashlib.sha256(b"mine").hexdigest())
        assert (blob.content_type, blob.metadata) == ("application/octet-stream", {})
        with pytest.raises(StoreConflict):
            put(store, "d/mine", b"x")
        put(store, "d/mine", b"x", replacing=blob.etag)
        store.delete("d/mine")
        assert not (root / "d").exists()

    def test_a_changed_file_is_described_as_it_is(self, store: LocalBlobStore, root: Path) -> None:
        """A stale hash would let a damaged archive pass as the one that was stored."""
        old = put(store, "key", b"images", metadata={"attempt": "1"})
        (root / "key").write_bytes(b"edited")
        new = store.head("key")
        assert (new.sha256, new.metadata) == (hashlib.sha256(b"edited").hexdigest(), {})
        assert new.etag != old.etag

    def test_a_damaged_card_is_as_good_as_none(self, store: LocalBlobStore, root: Path) -> None:
        """The blob is whole; it must not become unreadable through what lies beside it."""
        put(store, "key", b"images", metadata={"attempt": "1"})
        (card,) = (root / ".pixcore/meta").rglob("*.json")
        for damage in ("", "\0" * 99, "null", "[]", '{"sha256": '):
            card.write_text(damage)
            assert store.head("key").sha256 == hashlib.sha256(b"images").hexdigest()

    def test_what_is_no_blob_is_not_listed(self, store: LocalBlobStore, root: Path) -> None:
        """Pipes would block, links may go in circles, and a name that is not Unicode cannot be a key."""
        put(store, "d/key", b"x")
        os.mkfifo(root / "pipe")
        (root / "circle").symlink_to(".")
        (root / "nowhere").symlink_to("missing")
        Path(os.fsdecode(os.fsencode(root) + b"/\xff")).write_bytes(b"x")
        assert keys(store) == ["d/key"]
        with pytest.raises(StoreNotFound):
            store.open("pipe")

    def test_nothing_is_made_by_looking(self, store: LocalBlobStore, root: Path) -> None:
        """A mistyped path must not come into being because somebody listed it."""
        assert keys(store) == keys(store, "a") == []
        store.delete("key")
        assert not root.exists()


class TestKeys:
    """What a folder cannot hold is refused with the reason."""

    def test_a_name_that_is_too_long_is_refused(self, store: LocalBlobStore, root: Path) -> None:
        """Limits of the file system are no reason to try again."""
        for key in ("é" * 200, "/".join(["part"] * 2000)):
            with pytest.raises(StoreDenied, match="another key"):
                put(store, key, b"x")
        assert put(store, "x" * 255, b"x") == store.head("x" * 255)
        assert sorted(path.name for path in root.iterdir()) == [".pixcore", "x" * 255]

    def test_a_file_is_no_folder(self, store: LocalBlobStore, root: Path) -> None:
        """The one thing that a flat map allows and a folder does not: ``a`` beside ``a/b``."""
        put(store, "a", b"x")
        put(store, "b/c", b"x")
        for key in ("a/b", "a/b/c", "b"):
            with pytest.raises(StoreDenied, match="take another key"):
                put(store, key, b"x")
        assert keys(store) == ["a", "b/c"]
        assert len(private_files(root)) == 2

    def test_deep_keys_are_listed(self) -> None:
        """Deeper than the interpreter can recurse."""
        key = "/".join("k" * 1200)
        with tempfile.TemporaryDirectory() as name:  # not pytest's, which could not be removed if anything failed here
            store = LocalBlobStore(Path(name))
            put(store, key, b"x")
            try:
                assert keys(store) == [key]
            finally:
                store.delete(key)


class TestCrashes:
    """A process may die at any moment."""

    def test_an_interrupted_writer_clears_up(
        self, store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl-C and time limits are raised in the middle of anything."""

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            put(store, "a/b", b"x")
        assert private_files(root) == []
        assert [path.name for path in root.iterdir()] == [".pixcore"]


class TestVersions:
    """An etag is made of a file's time and size, and yet never comes twice."""

    def test_a_clock_that_stands_still_makes_new_versions(
        self, store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two writes can fall into one tick, and clocks are set back; the files' times must not run away for that."""
        monkeypatch.setattr(time, "time_ns", lambda: 10**18)
        etags = [put(store, "key", b"same").etag]
        for _ in range(9):
            etags.append(put(store, "key", b"same", replacing=etags[-1]).etag)
        assert len(set(etags)) == 10
        assert (root / "key").stat().st_mtime_ns == 10**18 + 9

    def test_a_file_system_of_whole_seconds_makes_new_versions(
        self, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some file systems keep no nanoseconds: a version must not look like the one it replaces."""
        utime = os.utime
        monkeypatch.setattr(os, "utime", lambda file, ns: utime(file, ns=(ns[0], ns[1] // 10**9 * 10**9)))
        first = put(store, "key", b"1st", metadata={"attempt": "1"})
        second = put(store, "key", b"2nd", metadata={"attempt": "2"}, replacing=first.etag)
        assert first.etag != second.etag
        assert store.head("key") == second


class TestRaces:
    """Looking takes several steps, and others do not wait for it."""

    def test_a_blob_replaced_meanwhile_is_described_as_it_is_now(
        self, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The card of the version that was seen first is gone by then; the file has other bytes."""
        versions = [put(store, "key", b"old", metadata={"attempt": "1"})]
        read_card = store._read_sidecar

        def replaced_before(key: str, etag: str) -> object:
            if len(versions) == 1:
                versions.append(put(store, key, b"new", metadata={"attempt": "2"}, replacing=etag))
            return read_card(key, etag)

        monkeypatch.setattr(store, "_read_sidecar", replaced_before)
        assert store.head("key") == versions[1]

    def test_a_blob_deleted_meanwhile_is_not_found(
        self, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It must not be described from what was seen first."""
        put(store, "key", b"x")
        read_card = store._read_sidecar

        def deleted_before(key: str, etag: str) -> object:
            store.delete(key)
            return read_card(key, etag)

        monkeypatch.setattr(store, "_read_sidecar", deleted_before)
        with pytest.raises(StoreNotFound):
            store.head("key")

    def test_a_blob_deleted_by_two_is_deleted(
        self, store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The slower one finds neither the blob nor the folder that it lay in."""
        put(store, "d/key", b"x")
        locked = store._locked

        def deleted_before() -> AbstractContextManager[None]:
            LocalBlobStore(root).delete("d/key")
            return locked()

        monkeypatch.setattr(store, "_locked", deleted_before)
        store.delete("d/key")
        assert keys(store) == []


class TestRefusals:
    """What the system refuses ends as a store error that names the place, and leaves nothing behind."""

    @pytest.mark.parametrize("call", ["fsync", "utime"])
    def test_every_system_error_is_translated(
        self, store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """The pipeline knows store errors only; what it cannot name would end a worker."""
        put(store, "old", b"old")
        for number in errno.errorcode:

            def failing(*_: object, number: int = number, **__: object) -> None:
                raise OSError(number, os.strerror(number))

            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing)
                with pytest.raises((StoreDenied, StoreUnavailable), match=str(root)) as caught:
                    put(store, "a/b", b"x")
            assert "\n" not in str(caught.value)
            assert isinstance(caught.value.__cause__, OSError)
            assert keys(store) == ["old"]
            assert len(private_files(root)) == 1

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            *((number, StoreDenied) for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)),
            *((number, StoreUnavailable) for number in (errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT)),
        ],
    )
    def test_only_what_may_pass_is_worth_another_try(
        self, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
    ) -> None:
        """A network disk comes back by itself; rights and room do not."""

        def failing(_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(kind):
            put(store, "key", b"x")

    def test_a_disk_that_fails_while_reading_is_unavailable(self, store: LocalBlobStore, root: Path) -> None:
        """The blob is open by then: the error comes out of the file, and must still be a store's."""
        memory = Path("/proc/self/mem")  # a regular file by its looks, of which the first page cannot be read
        if not memory.exists():
            pytest.skip("no /proc/self/mem to fail with EIO")
        root.mkdir()
        (root / "key").symlink_to(memory)
        with pytest.raises(StoreUnavailable, match="key"):
            store.head("key")
        for size in (10, -1):
            with store.open("key") as file, pytest.raises(StoreUnavailable, match="key"):
                file.read(size)

    def test_a_root_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        """A mistyped path is told from an empty store, whatever is asked first."""
        (tmp_path / "file").write_bytes(b"precious")
        for path in (tmp_path / "file", tmp_path / "file/below"):
            store = LocalBlobStore(path)
            uses = (
                partial(put, store, "key", b"x"),
                partial(store.head, "key"),
                partial(store.open, "key"),
                partial(keys, store),
                partial(keys, store, "key"),
                partial(store.delete, "key"),
            )
            for use in uses:
                with pytest.raises(StoreDenied, match=str(path)):
                    use()
        assert (tmp_path / "file").read_bytes() == b"precious"

    def test_a_folder_without_permission_is_refused(self) -> None:
        """The user learns which folder, and what to do about it."""
        with tempfile.TemporaryDirectory() as name:  # not pytest's, whose parents are closed to nobody anyway
            folder = Path(name)
            folder.chmod(0o555)
            root = folder / "store"
            with unprivileged(), pytest.raises(StoreDenied, match=rf"{root}.*right"):
                put(LocalBlobStore(root), "key", b"x")
            assert not root.exists()
            folder.chmod(0o755)

    def test_a_store_that_may_only_be_read_is_read(self) -> None:
        """Reading writes nothing, not even a lock; what may not be done is refused."""
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            store = LocalBlobStore(root)
            stored = put(store, "d/open", b"x", metadata={"attempt": "1"})
            put(store, "d/closed", b"x")
            (root / "d/closed").chmod(0)
            for folder in (root, root / "d"):
                folder.chmod(0o555)
            (root / ".pixcore/lock").chmod(0o444)
            with unprivileged():
                assert [blob for blob in store.list() if blob.key == "d/open"] == [stored]
                assert read(store, "d/open") == b"x"
                for use in (
                    partial(store.open, "d/closed"),
                    partial(put, store, "d/new", b"x"),
                    partial(put, store, "d/open", b"x", replacing=stored.etag),
                    partial(store.delete, "d/open"),
                ):
                    with pytest.raises(StoreDenied, match="right"):
                        use()
            for folder in (root, root / "d"):
                folder.chmod(0o755)
            assert keys(store) == ["d/closed", "d/open"]
