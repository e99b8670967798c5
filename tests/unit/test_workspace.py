"""The work directory is private while it exists, and removed afterwards whatever happened."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixcore.chunk.workspace import local_disk, sweep, workspace
from pixcore.errors import ClaimLost, InvalidRequest, SourceUnavailable, TransientError, WorkspaceFull

NOBODY = 65534
Left = list[tuple[Path, OSError]]


@pytest.fixture
def left() -> Left:
    """Return the list that records what could not be removed."""
    return []


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Run the test as a user other than root; yield a folder of that user."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(os.getuid())


def use(root: Path, left: Left) -> Path:
    """Create a work directory, fill it and leave it."""
    with workspace(root, lambda path, error: left.append((path, error))) as folder:
        (folder / "images").mkdir()
        for n in range(3):
            (folder / "images" / f"{n}").write_bytes(b"picture")
    return folder


def test_a_work_directory_is_private(tmp_path: Path) -> None:
    """Other users must not read unchecked pictures, whatever the umask."""
    before = os.umask(0)
    try:
        with workspace(tmp_path / "a" / "b", lambda _path, _error: None) as folder:
            assert folder.parent == tmp_path / "a" / "b"
            for private in (folder, folder.parent):
                assert stat.S_IMODE(private.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_two_attempts_never_share_a_work_directory(tmp_path: Path) -> None:
    """The second attempt at a chunk must not find files of the first one."""
    with (
        workspace(tmp_path, lambda _path, _error: None) as one,
        workspace(tmp_path, lambda _path, _error: None) as other,
    ):
        assert one != other


def test_nothing_is_left_after_success(tmp_path: Path, left: Left) -> None:
    """Files that are left behind would fill the disk over time."""
    use(tmp_path, left)
    assert list(tmp_path.iterdir()) == []
    assert left == []


@pytest.mark.parametrize("error", [ClaimLost("gone"), OSError("foreign"), KeyboardInterrupt(), SystemExit(1)])
def test_nothing_is_left_after_a_failure_which_is_raised_unchanged(tmp_path: Path, error: BaseException) -> None:
    """The pipeline decides by the type of the error, so the work directory must not change it."""

    def fail() -> None:
        with workspace(tmp_path, lambda _path, _error: None) as folder:
            (folder / "file").touch()
            raise error

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_an_interrupted_removal(
    tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second Ctrl-C or a time limit may interrupt the removal at any point."""
    unlink, calls = os.unlink, list[object]()

    def interrupted(*args: object, **kwargs: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        unlink(*args, **kwargs)  # type: ignore[arg-type] # passed on unchanged

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        use(tmp_path, left)
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_removed_are_reported_without_an_error(unprivileged: Path, left: Left) -> None:
    """The chunk is complete, so a file that cannot be removed must not lose its result."""
    root = unprivileged / "work"
    with workspace(root, lambda path, error: left.append((path, error))) as folder:
        (folder / "shut").mkdir()
        (folder / "shut" / "file").touch()
        (folder / "shut").chmod(0o500)
    assert (folder / "shut" / "file", errno.EACCES) in [(path, error.errno) for path, error in left]
    (folder / "shut").chmod(0o700)
    assert sweep(root) == [folder]
    assert list(root.iterdir()) == []


def test_a_work_directory_that_is_already_removed_is_no_error(tmp_path: Path, left: Left) -> None:
    """A user may have removed the directory by hand."""
    with workspace(tmp_path, lambda path, error: left.append((path, error))) as folder:
        shutil.rmtree(folder)
    assert left == []


def test_a_root_that_is_a_file_is_refused(tmp_path: Path, left: Left) -> None:
    """The setting is mistyped, and a retry cannot help."""
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidRequest, match=r"cannot be used \(.+\); set `work` to a folder of your own"):
            use(root, left)


def test_a_root_without_permission_is_refused(unprivileged: Path, left: Left) -> None:
    """This holds for a folder that cannot be created and for one that cannot be written."""
    (unprivileged / "shut").mkdir(mode=0o500)
    for root in (unprivileged / "shut", unprivileged / "shut" / "below"):
        with pytest.raises(InvalidRequest, match=r"cannot be used \(Permission denied\)"):
            use(root, left)


def test_a_read_only_disk_is_refused(tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry cannot make the disk writable."""

    def mkdtemp(**_: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with pytest.raises(InvalidRequest, match="Read-only file system"):
        use(tmp_path, left)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_root_that_others_may_write_to_is_refused(tmp_path: Path, left: Left, mode: int) -> None:
    """Another user with write access could replace a directory by a link and so choose what is deleted or packed."""
    tmp_path.chmod(mode)
    with pytest.raises(InvalidRequest, match="is writable by others"):
        use(tmp_path, left)
    tmp_path.chmod(0o700)


def test_a_root_of_another_user_is_refused(tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the folder could do the same."""
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.raises(InvalidRequest, match="belongs to another user"):
        use(tmp_path, left)


def test_a_root_behind_a_symlink_is_refused(tmp_path: Path, left: Left) -> None:
    """In a shared folder such as /tmp an attacker may have made the link."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(InvalidRequest, match="cannot be used"):
        use(tmp_path / "link", left)


def test_a_full_disk_is_named(tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk has an error of its own, which is not retried."""

    def mkdtemp(**_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/chunk-1")

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with pytest.raises(WorkspaceFull, match=r"/data/chunk-1: No space left on device; free some room"):
        use(tmp_path, left)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_permanent(number: int) -> None:
    """Only an operator can enlarge a disk, a quota or a file size limit."""
    message = r"packing: .+; free some room or point `work` at a larger disk"
    with pytest.raises(WorkspaceFull, match=message), local_disk("packing"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EIO, "Input/output error", "/data/a"), "packing /data/a: Input/output error"),
        (OSError("odd"), "packing: odd"),
    ],
)
def test_any_other_disk_error_is_transient(error: OSError, message: str) -> None:
    """A temporary error of a network disk is worth a retry."""
    with pytest.raises(TransientError, match=f"^{message}$") as raised, local_disk("packing"):
        raise error
    assert raised.value.__cause__ is error


def test_errors_of_pixcore_are_not_translated() -> None:
    """SourceUnavailable is an OSError, but not one of the disk."""
    with pytest.raises(SourceUnavailable, match=r"^no network$"), local_disk("packing"):
        raise SourceUnavailable("no network")


def test_a_work_directory_without_a_lock_is_swept(tmp_path: Path) -> None:
    """A process may be killed after it creates the directory and before it creates the lock."""
    (tmp_path / "chunk-abc").mkdir()
    assert sweep(tmp_path) == [tmp_path / "chunk-abc"]
    assert list(tmp_path.iterdir()) == []


def test_only_work_directories_are_swept(tmp_path: Path) -> None:
    """If `work` is a folder with other files, none of them may be removed or stop the start."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    root = tmp_path / "work"
    root.mkdir(mode=0o700)
    (root / "chunk-notes.txt").touch()
    (root / "photos").mkdir()
    (root / "chunk-link").symlink_to(outside)
    assert sweep(root) == []
    assert {path.name for path in root.iterdir()} == {"chunk-notes.txt", "photos", "chunk-link"}
    assert (outside / "precious").exists()
