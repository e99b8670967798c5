"""SQLite files on network file systems are told by the table of mounts."""

from pathlib import Path

import pytest

from pixcore import InvalidRequest
from pixcore_runners.assembly import file_systems
from pixcore_runners.assembly.assembly import assemble_for_worker, require_shared
from pixcore_runners.settings import Settings

TABLE = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/nfs rw shared:5 master:2 - nfs4 server:/data rw,vers=4.2
31 22 0:41 / /mnt/my\040disk rw - cifs //server/disk rw
32 22 0:42 / /mnt/ssh rw - fuse.sshfs me@host: rw
33 22 0:43 / /mnt/host rw - 9p share rw
34 30 8:2 / /mnt/nfs/local rw - xfs /dev/vdb rw
35 22 0:44 / /mnt/twice rw - nfs server:/old rw
36 35 8:3 / /mnt/twice rw - ext4 /dev/vdc rw
37 22 0:45 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
"""


@pytest.fixture(autouse=True)
def _mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE.lstrip())
    monkeypatch.setattr(file_systems, "MOUNTS", table)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/nfs/team/status.db", "nfs4 at /mnt/nfs"),
        ("/mnt/my disk/status.db", "cifs at /mnt/my disk"),
        ("/mnt/ssh/status.db", "fuse.sshfs at /mnt/ssh"),
        ("/mnt/host/new/folder/status.db", "9p at /mnt/host"),
    ],
)
def test_a_worker_refuses_a_file_on_a_network(path: str, kind: str) -> None:
    """The line names the file system and what to do; nothing is created."""
    with pytest.raises(InvalidRequest, match=rf"network file system \({kind}\).*; name a PostgreSQL, or move the file"):
        assemble_for_worker(Settings(status=f"sqlite:///{path}"))


@pytest.mark.parametrize(
    "status",
    [
        "sqlite:////mnt/nfs/local/status.db",
        "sqlite:////mnt/nfs-2/status.db",
        "sqlite:////mnt/twice/status.db",
        "sqlite:////mnt/ntfs/status.db",
        "sqlite:///status.db",
        "postgresql+psycopg://me@host/mnt/nfs",
    ],
)
def test_other_databases_are_accepted(status: str) -> None:
    """The innermost and latest mount counts; a server's database is in no file."""
    require_shared(Settings(status=status))


def test_without_a_table_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have none."""
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "missing")
    require_shared(Settings(status="sqlite:////mnt/nfs/status.db"))
