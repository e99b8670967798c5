"""Run the pixcore command in tests, in this process or in one of its own, and create folders of pictures for it."""

import json
import logging
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from attrs import frozen
from pictures import encoded, photo

from pixcore_adapters.validator.pillow import PillowValidator
from pixcore_runners.assembly import imaging
from pixcore_runners.cli import main

PROGRAM = (sys.executable, "-c", "from pixcore_runners.cli import main; main()")


@frozen
class Ran:
    """The result of a call of the command: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - any JSON value
        """Parse standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def chunks(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the chunks of the document."""
        return self.document["chunks"]


def pixcore(*words: object) -> Ran:
    """Call the command in this process."""
    out, err = StringIO(), StringIO()
    with (
        patch.object(sys, "argv", ["pixcore", *map(str, words)]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as exited,
    ):
        main()
    code = exited.value.code
    return Ran(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())


def start(*words: object, **options: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - any of Popen's
    """Start the command in a process of its own."""
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*PROGRAM, *map(str, words)], **(piped | options))


def ended(process: "subprocess.Popen[str]", within: float = 60) -> Ran:
    """Wait for a started command; return its exit code and the output that was not read yet."""
    out, err = process.communicate(timeout=within)
    return Ran(process.returncode, out or "", err or "")


@cache
def jpeg(seed: int) -> bytes:
    """Return a small JPEG that differs from those of other seeds."""
    return encoded(photo(seed, 64, 64))


def fill(folder: Path, images: int, first: int = 0) -> Path:
    """Write JPEGs to a folder, named so that their order is that of their numbers; return the folder."""
    folder.mkdir(exist_ok=True)
    for number in range(first, first + images):
        (folder / f"{number:04}.jpg").write_bytes(jpeg(number))
    return folder


def at_home(folder: Path, patched: pytest.MonkeyPatch) -> None:
    """Change to ``folder``, remove all settings from the environment, and put work directories in ``work``."""
    patched.chdir(folder)
    for name in list(os.environ):
        if name.startswith(("PIXCORE_", "PIXCRAWLER_", "AZURE_", "FORCE_COLOR", "NO_COLOR", "TTY_")):
            patched.delenv(name)
    patched.setenv("PIXCORE_WORK", str(folder / "work"))
    patched.setattr(
        logging.getLogger("pixcore"), "handlers", []
    )  # --verbose adds one that would stay until the process ends
    # all tests of a process share its decoders, whose start takes longer than most tests
    patched.setattr(imaging, "validator", lambda _settings, _ending: _decoders())


@cache
def _decoders() -> PillowValidator:
    return PillowValidator()


def files(folder: Path) -> list[str]:
    """Return the relative paths of all files below a folder, sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
