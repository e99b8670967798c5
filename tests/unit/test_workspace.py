"""The work directory is private while it lasts, and gone afterwards whatever happened."""

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
    """Give the list that notes what could not be removed."""
    return []


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Give a folder of somebody whom permissions bind, and be that person for the test."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(os.getuid())


def use(root: Path, left: Left) -> Path:
    """Make a work directory, fill it, leave it."""
    with workspace(root, lambda path, error: left.append((path, error))) as folder:
        (folder / "images").mkdir()
        for n in range(3):
            (folder / "images" / f"{n}").write_bytes(b"picture")
    return folder


def test_a_work_directory_is_private(tmp_path: Path) -> None:
    """Pictures that nobody has checked yet are no other user's business, whatever the umask."""
    before = os.umask(0)
    try:
        with workspace(tmp_path / "a" / "b", lambda _path, _error: None) as folder:
            assert folder.parent == tmp_path / "a" / "b"
            for private in (folder, folder.parent):
                assert stat.S_IMODE(private.stat().st_mode) == 0o700
    finally:
        os.umask(before)


def test_two_attempts_never_share_one(tmp_path: Path) -> None:
    """A chunk's second attempt must not find the first one's files."""
    with (
        workspace(tmp_path, lambda _path, _error: None) as one,
        workspace(tmp_path, lambda _path, _error: None) as other,
    ):
        assert one != other


def test_nothing_stays_after_success(tmp_path: Path, left: Left) -> None:
    """Disks fill up slowly."""
    use(tmp_path, left)
    assert list(tmp_path.iterdir()) == []
    assert left == []


@pytest.mark.parametrize("error", [ClaimLost("gone"), OSError("foreign"), KeyboardInterrupt(), SystemExit(1)])
def test_nothing_stays_after_a_failure_which_is_raised_as_it_is(tmp_path: Path, error: BaseException) -> None:
    """The pipeline decides by the error's type, so the work directory must not change it."""

    def fail() -> None:
        with workspace(tmp_path, lambda _path, _error: None) as folder:
            (folder / "file").touch()
            raise error

    with pytest.raises(type(error)) as raised:
        fail()
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_though_the_removal_is_interrupted(
    tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An impatient second Ctrl-C, or a time limit, strikes when it likes."""
    unlink, calls = os.unlink, list[object]()

    def interrupted(*args: object, **kwargs: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        unlink(*args, **kwargs)  # type: ignore[arg-type] # whatever it was given

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        use(tmp_path, left)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_told_and_no_error(unprivileged: Path, left: Left) -> None:
    """The chunk is done all the same; its result must not be lost to a stubborn file."""
    root = unprivileged / "work"
    with workspace(root, lambda path, error: left.append((path, error))) as folder:
        (folder / "shut").mkdir()
        (folder / "shut" / "file").touch()
        (folder / "shut").chmod(0o500)
    assert (folder / "shut" / "file", errno.EACCES) in [(path, error.errno) for path, error in left]
    (folder / "shut").chmod(0o700)
    assert sweep(root) == [folder]
    assert list(root.iterdir()) == []


def test_a_directory_that_is_gone_already_is_no_error(tmp_path: Path, left: Left) -> None:
    """Somebody tidied up by hand."""
    with workspace(tmp_path, lambda path, error: left.append((path, error))) as folder:
        shutil.rmtree(folder)
    assert left == []


def test_a_root_that_is_a_file_is_refused(tmp_path: Path, left: Left) -> None:
    """A mistyped setting: trying again cannot help."""
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidRequest, match=r"cannot be used \(.+\); set `work` to a folder of your own"):
            use(root, left)


def test_a_root_without_permission_is_refused(unprivileged: Path, left: Left) -> None:
    """Neither one that cannot be made nor one that cannot be written to."""
    (unprivileged / "shut").mkdir(mode=0o500)
    for root in (unprivileged / "shut", unprivileged / "shut" / "below"):
        with pytest.raises(InvalidRequest, match=r"cannot be used \(Permission denied\)"):
            use(root, left)


def test_a_read_only_disk_is_refused(tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays read-only however often one tries."""

    def mkdtemp(**_: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with pytest.raises(InvalidRequest, match="Read-only file system"):
        use(tmp_path, left)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_root_that_others_may_write_to_is_refused(tmp_path: Path, left: Left, mode: int) -> None:
    """Whoever may write there may swap a directory for a link and have us delete or pack their choice."""
    tmp_path.chmod(mode)
    with pytest.raises(InvalidRequest, match="is writable by others"):
        use(tmp_path, left)
    tmp_path.chmod(0o700)


def test_somebody_elses_root_is_refused(tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's owner may do all that, too."""
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(InvalidRequest, match="belongs to another user"):
        use(tmp_path, left)


def test_a_root_behind_a_symlink_is_refused(tmp_path: Path, left: Left) -> None:
    """In a shared folder such as /tmp the link may be an attacker's."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(InvalidRequest, match="cannot be used"):
        use(tmp_path / "link", left)


def test_a_full_disk_is_said(tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the directory fits: its own error, and not one to be tried again."""

    def mkdtemp(**_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/chunk-1")

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with pytest.raises(WorkspaceFull, match=r"/data/chunk-1: No space left on device; free some room"):
        use(tmp_path, left)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_permanent(number: int) -> None:
    """A disk, a quota and a file size limit are all mended by the operator only."""
    said = r"packing: .+; free some room or point `work` at a larger disk"
    with pytest.raises(WorkspaceFull, match=said), local_disk("packing"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, "Input/output error", "/data/a"), "packing /data/a: Input/output error"),
        (OSError("odd"), "packing: odd"),
    ],
)
def test_any_other_trouble_with_the_disk_may_pass(error: OSError, said: str) -> None:
    """A network disk that hiccups is worth another try."""
    with pytest.raises(TransientError, match=f"^{said}$") as raised, local_disk("packing"):
        raise error
    assert raised.value.__cause__ is error


def test_our_own_errors_pass_the_translation() -> None:
    """SourceUnavailable is an OSError to Python, but not the disk's."""
    with pytest.raises(SourceUnavailable, match=r"^no network$"), local_disk("packing"):
        raise SourceUnavailable("no network")


def test_a_directory_from_before_its_lock_is_swept(tmp_path: Path) -> None:
    """A process may be killed between the two."""
    (tmp_path / "chunk-abc").mkdir()
    assert sweep(tmp_path) == [tmp_path / "chunk-abc"]
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_work_directories_is_swept(tmp_path: Path) -> None:
    """Somebody set `work` to a folder with other things in it; none of them may be touched or stop the start."""
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
