"""Programs from Debian's packages, unpacked into the cache without root, on a machine that has apt-get.

apt verifies the signatures. Nothing is installed on the machine: not even apt's own lists are changed.
"""

import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from servers.tools import SECONDS, Unavailable, installed, run

_MOST = 200 << 20  # bytes of packages to download


def unpacked(name: str, packages: tuple[str, ...], adapt: Callable[[Path], object]) -> Path:
    """Return the folder with the files of these packages, as they would be below ``/``.

    Names every package: their dependencies are not followed. ``adapt`` edits the files once they are unpacked.

    Raises:
        Unavailable: There is no apt-get, or a package cannot be downloaded.
    """

    def make(folder: Path) -> None:
        apt = _apt(folder / "apt")
        run(*apt, "update")
        _check_size(name, apt, packages)
        run(*apt, "download", *packages, cwd=folder / "apt")
        for package in sorted((folder / "apt").glob("*.deb")):
            run("dpkg-deb", "-x", str(package), str(folder / "root"))
        shutil.rmtree(folder / "apt")
        adapt(folder / "root")

    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(f"{name} comes from Debian's packages, and this machine has no apt-get")
    release = platform.freedesktop_os_release()
    return installed(name, repr((packages, release.get("VERSION_ID"), platform.machine())), make) / "root"


def _apt(folder: Path) -> tuple[str, ...]:
    """Return a call of apt-get that keeps its lists in ``folder``, and gives up soon where there is no network."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    options = {
        "Dir::State::lists": str(folder / "lists"),
        "Dir::Cache": str(folder / "cache"),
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "20",
    }
    return ("apt-get", "--quiet", *(word for name, value in options.items() for word in ("-o", f"{name}={value}")))


def _check_size(name: str, apt: tuple[str, ...], packages: tuple[str, ...]) -> None:
    command = (*apt, "download", "--print-uris", *packages)
    try:
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS).stdout
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        raise Unavailable(f"{name} is not among the packages of this machine: {exc.stderr}") from exc
    size = sum(int(line.split()[2]) for line in printed.splitlines())
    if size > _MOST:
        raise Unavailable(f"{name} would download {size >> 20} MiB of packages, more than {_MOST >> 20}")
