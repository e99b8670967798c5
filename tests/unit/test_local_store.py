"""The store in a folder: full disks, missing rights, races, and users with their own tools."""

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
from pixcore.model.archives import Blob
from pixcore_adapters.blob_store.local import LocalBlobStore


def private_files(root: Path) -> list[str]:
    """Return the store's private files except for its lock."""
    files = (root / ".pixcore").rglob("*")
    return sorted(str(path.relative_to(root)) for path in files if path.is_file() and path.name != "lock")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Drop root's rights for a while. A child process could fail to reach its interpreter."""
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
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> LocalBlobStore:
    """Return an empty store."""
    return LocalBlobStore(root)


def take_over(store: LocalBlobStore, source: Path, sha256: str, size: int) -> Blob:
    """Let the store take a file over."""
    return store.take_over("d/key", source, sha256=sha256, size=size, content_type="t/t", metadata={"a": "b"})


class TestTakingOver:
    """An archive is written once: the store makes the caller's file the blob."""

    @pytest.mark.parametrize("same_disk", [True, False])
    def test_a_file_becomes_the_blob_if_it_is_on_the_same_disk(
        self, store: LocalBlobStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, same_disk: bool
    ) -> None:
        """A file of another file system is copied. Either way, the caller may remove its file."""
        source = tmp_path / "archive"
        source.write_bytes(b"images")
        inode = source.stat().st_ino
        if not same_disk:
            monkeypatch.setattr(os, "link", partial(_refuse, errno.EXDEV))
        blob = take_over(store, source, hashlib.sha256(b"images").hexdigest(), 6)
        source.unlink()
        assert ((root / "d/key").stat().st_ino == inode) == same_disk
        assert blob == store.head("d/key")
        assert (read(store, "d/key"), blob.size, blob.metadata) == (b"images", 6, {"a": "b"})
        assert len(private_files(root)) == 1  # the sidecar

    def test_a_file_of_another_size_is_refused(self, store: LocalBlobStore, root: Path, tmp_path: Path) -> None:
        """A file that was cut must not become a blob, and the caller keeps it."""
        source = tmp_path / "archive"
        source.write_bytes(b"imag")
        with pytest.raises(StoreConflict, match="4 bytes, but 6 were expected"):
            take_over(store, source, hashlib.sha256(b"images").hexdigest(), 6)
        assert source.read_bytes() == b"imag"
        assert keys(store) == private_files(root) == []


def _refuse(number: int, *_: object, **__: object) -> None:
    raise OSError(number, os.strerror(number))


class TestPlainFiles:
    """Users open, copy and move blobs with their own tools."""

    def test_a_blob_is_an_ordinary_file(self, store: LocalBlobStore, root: Path) -> None:
        """A blob is a file at its key, with the umask's permissions, and the URL points to it."""
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

    def test_a_relative_root_does_not_move_with_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A later change of the current folder does not move a store with a relative root."""
        monkeypatch.chdir(tmp_path)
        store = LocalBlobStore(Path("blobs"))
        monkeypatch.chdir("/")
        assert put(store, "key", b"x").url == (tmp_path / "blobs/key").as_uri()

    def test_a_linked_root_works(self, tmp_path: Path) -> None:
        """The root may be a symlink, as to a data disk."""
        (tmp_path / "disk").mkdir()
        (tmp_path / "link").symlink_to("disk")
        store = LocalBlobStore(tmp_path / "link")
        assert put(store, "a/b", b"x").url == (tmp_path / "link/a/b").as_uri()
        assert (tmp_path / "disk/a/b").read_bytes() == b"x"
        assert keys(store) == ["a/b"]

    def test_a_file_copied_into_the_folder_is_a_blob(self, store: LocalBlobStore, root: Path) -> None:
        """A file that a user copied in is described by reading it, and can be replaced and deleted."""
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

    def test_a_changed_file_is_described_with_its_new_hash(self, store: LocalBlobStore, root: Path) -> None:
        """A changed file gets a new hash: a stale one would let a damaged archive pass."""
        old = put(store, "key", b"images", metadata={"attempt": "1"})
        (root / "key").write_bytes(b"edited")
        new = store.head("key")
        assert (new.sha256, new.metadata) == (hashlib.sha256(b"edited").hexdigest(), {})
        assert new.etag != old.etag

    def test_a_damaged_sidecar_counts_as_missing(self, store: LocalBlobStore, root: Path) -> None:
        """A damaged sidecar counts as missing; the blob stays readable."""
        put(store, "key", b"images", metadata={"attempt": "1"})
        (card,) = (root / ".pixcore/meta").rglob("*.json")
        for damage in ("", "\0" * 99, "null", "[]", '{"sha256": '):
            card.write_text(damage)
            assert store.head("key").sha256 == hashlib.sha256(b"images").hexdigest()

    def test_files_that_are_not_blobs_are_not_listed(self, store: LocalBlobStore, root: Path) -> None:
        """Pipes, symlinks to folders and names that are not Unicode are not listed."""
        put(store, "d/key", b"x")
        os.mkfifo(root / "pipe")
        (root / "circle").symlink_to(".")
        (root / "nowhere").symlink_to("missing")
        Path(os.fsdecode(os.fsencode(root) + b"/\xff")).write_bytes(b"x")
        assert keys(store) == ["d/key"]
        with pytest.raises(StoreNotFound):
            store.open("pipe")

    def test_reading_creates_no_folder(self, store: LocalBlobStore, root: Path) -> None:
        """Reading creates no folder, so a mistyped path does not come into existence."""
        assert keys(store) == keys(store, "a") == []
        store.delete("key")
        assert not root.exists()


class TestKeys:
    """Keys that a folder cannot hold are refused with the reason."""

    def test_a_name_that_is_too_long_is_refused(self, store: LocalBlobStore, root: Path) -> None:
        """A name that is too long for the file system raises a permanent error."""
        for key in ("é" * 200, "/".join(["part"] * 2000)):
            with pytest.raises(StoreDenied, match="another key"):
                put(store, key, b"x")
        assert put(store, "x" * 255, b"x") == store.head("x" * 255)
        assert sorted(path.name for path in root.iterdir()) == [".pixcore", "x" * 255]

    def test_a_key_below_another_key_is_refused(self, store: LocalBlobStore, root: Path) -> None:
        """A folder cannot hold both ``a`` and ``a/b``; the second is refused."""
        put(store, "a", b"x")
        put(store, "b/c", b"x")
        for key in ("a/b", "a/b/c", "b"):
            with pytest.raises(StoreDenied, match="take another key"):
                put(store, key, b"x")
        assert keys(store) == ["a", "b/c"]
        assert len(private_files(root)) == 2

    def test_deep_keys_are_listed(self) -> None:
        """Keys nested deeper than Python's recursion limit are listed."""
        key = "/".join("k" * 1200)
        with tempfile.TemporaryDirectory() as name:  # not pytest's folder, which a failing test could not remove
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
        """An exception in the middle of a put, such as Ctrl-C, leaves nothing."""

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            put(store, "a/b", b"x")
        assert private_files(root) == []
        assert [path.name for path in root.iterdir()] == [".pixcore"]


class TestVersions:
    """An etag consists of a file's time and size, and never repeats for a key."""

    def test_a_clock_that_stands_still_makes_new_versions(
        self, store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Versions differ although the clock stands still or is set back; the files' times stay near the clock."""
        monkeypatch.setattr(time, "time_ns", lambda: 10**18)
        etags = [put(store, "key", b"same").etag]
        for _ in range(9):
            etags.append(put(store, "key", b"same", replacing=etags[-1]).etag)
        assert len(set(etags)) == 10
        assert (root / "key").stat().st_mtime_ns == 10**18 + 9

    def test_a_file_system_of_whole_seconds_makes_new_versions(
        self, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Versions differ on a file system that stores whole seconds."""
        utime = os.utime
        monkeypatch.setattr(os, "utime", lambda file, ns: utime(file, ns=(ns[0], ns[1] // 10**9 * 10**9)))
        first = put(store, "key", b"1st", metadata={"attempt": "1"})
        second = put(store, "key", b"2nd", metadata={"attempt": "2"}, replacing=first.etag)
        assert first.etag != second.etag
        assert store.head("key") == second


class TestRaces:
    """Describing a blob takes several steps, while other processes write."""

    def test_a_blob_replaced_meanwhile_is_described_as_its_new_version(
        self, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A blob replaced in between is described as its new version, though the sidecar of the first one is gone."""
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
        """A blob deleted in between is not found, although its status was read before."""
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
        """If two processes delete a blob, the slower one finds neither blob nor folder and must raise no error."""
        put(store, "d/key", b"x")
        locked = store._locked

        def deleted_before() -> AbstractContextManager[None]:
            LocalBlobStore(root).delete("d/key")
            return locked()

        monkeypatch.setattr(store, "_locked", deleted_before)
        store.delete("d/key")
        assert keys(store) == []


class TestRefusals:
    """An error of the operating system becomes a store error that names the path, and leaves nothing."""

    @pytest.mark.parametrize("call", ["fsync", "utime"])
    def test_every_system_error_is_translated(
        self, store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """Every errno becomes a store error; any other exception would end a worker."""
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
    def test_only_transient_errors_are_unavailable(
        self, store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
    ) -> None:
        """A network disk may recover, so its errors are transient. Missing rights and a full disk are permanent."""

        def failing(_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(kind):
            put(store, "key", b"x")

    def test_a_disk_that_fails_while_reading_is_unavailable(self, store: LocalBlobStore, root: Path) -> None:
        """An error while an open blob is read is a store error too."""
        memory = Path("/proc/self/mem")  # looks like a regular file, but its first page cannot be read
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
        """A root that is a file is refused by every operation; it must not look like an empty store."""
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
        """A folder without permission is named, with the remedy."""
        with tempfile.TemporaryDirectory() as name:  # not pytest's folder, whose parents are closed to other users
            folder = Path(name)
            folder.chmod(0o555)
            root = folder / "store"
            with unprivileged(), pytest.raises(StoreDenied, match=rf"{root}.*right"):
                put(LocalBlobStore(root), "key", b"x")
            assert not root.exists()
            folder.chmod(0o755)

    def test_a_store_that_may_only_be_read_is_read(self) -> None:
        """A read-only store can be read, because reading takes no lock. Writing is refused."""
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
