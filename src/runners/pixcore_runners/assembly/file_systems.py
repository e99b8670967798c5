"""Refuse an SQLite file that machines share by a network file system, as far as the table of mounts shows it."""

import re
from pathlib import Path

from pixcore import InvalidRequest
from pixcore_runners.settings import Settings

MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = re.compile(
    r"nfs\d?|cifs|smb3?|smbfs|9p|afs|ceph|lustre|gpfs|beegfs|pvfs2|orangefs|davfs|ncpfs|vboxsf"
    r"|fuse\.(sshfs|glusterfs|rclone|s3fs|s3backer|juicefs|gcsfuse|goofys|davfs2?|ceph|ceph-fuse|moosefs|mfs|smbnetfs"
    r"|mount-s3|blobfuse2?|afp|curlftpfs)"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def require_local_file(settings: Settings) -> None:
    """Refuse a status database in an SQLite file on a network file system.

    SQLite's processes share memory beside the file and rely on its locks. Neither works between machines, so workers
    would damage the file, or process chunks twice. Without a table of mounts, as on other systems than Linux, nothing
    is refused.

    Raises:
        InvalidRequest: It is such a file.
    """
    if not settings.status.startswith("sqlite"):
        return
    from sqlalchemy import make_url  # noqa: PLC0415 - slow to import

    path = Path(make_url(settings.status).database or "").resolve()
    place, kind = mount_of(path)
    if _NETWORK.fullmatch(kind):
        raise InvalidRequest(
            f"the status database {path} is an SQLite file on a network file system ({kind} at {place}), where workers"
            " would damage it; name a PostgreSQL, or move the file to a local disk if all workers are on one machine"
        )


def mount_of(path: Path) -> tuple[str, str]:
    """Return where the file system of an absolute path is mounted and its type; empty strings if nothing tells."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return "", ""
    found = "", ""
    for line in lines:
        mount, _, source = line.partition(" - ")  # optional fields end with a hyphen
        place = _OCTAL.sub(lambda code: chr(int(code[1], 8)), mount.split()[4])
        # a later mount at the same place hides the earlier one
        if path.is_relative_to(place) and len(place) >= len(found[0]):
            found = place, source.split()[0]
    return found
