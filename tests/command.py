"""The pixcore command for tests: in this process and quick, or as a process of its own; and folders to run it on."""

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
from pixcore_runners.assembly import assembly
from pixcore_runners.cli import main

PROGRAM = (sys.executable, "-c", "from pixcore_runners.cli import main; main()")


@frozen
class Ran:
    """What a call of the command came to: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Standard output, which is to be one JSON document."""
        return json.loads(self.out)

    @property
    def chunks(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The chunks of the document."""
        return self.document["chunks"]


def pixcore(*words: object) -> Ran:
    """Call the command in this process."""
    out, err = StringIO(), StringIO()
    with (
        patch.object(sys, "argv", ["pixcore", *map(str, words)]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        main()
    code = left.value.code
    return Ran(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())


def start(*words: object, **options: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - any of Popen's
    """Start the command as a process of its own."""
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*PROGRAM, *map(str, words)], **(piped | options))


def ended(process: "subprocess.Popen[str]", within: float = 60) -> Ran:
    """Wait for a started command; what of its output was not read yet."""
    out, err = process.communicate(timeout=within)
    return Ran(process.returncode, out or "", err or "")


@cache
def jpeg(seed: int) -> bytes:
    """A small JPEG unlike those of other seeds."""
    return encoded(photo(seed, 64, 64))


def fill(folder: Path, images: int, first: int = 0) -> Path:
    """Put JPEGs into a folder, named so that later ones come later."""
    folder.mkdir(exist_ok=True)
    for number in range(first, first + images):
        (folder / f"{number:04}.jpg").write_bytes(jpeg(number))
    return folder


def at_home(folder: Path, patched: pytest.MonkeyPatch) -> None:
    """Make ``folder`` the current one and all that the command knows of; its work directories are in ``work``."""
    patched.chdir(folder)
    for name in list(os.environ):
        if name.startswith(("PIXCORE_", "PIXCRAWLER_", "AZURE_", "FORCE_COLOR", "NO_COLOR", "TTY_")):
            patched.delenv(name)
    patched.setenv("PIXCORE_WORK", str(folder / "work"))
    patched.setattr(logging.getLogger("pixcore"), "handlers", [])  # --verbose adds one, for the life of its process
    # the decoders of one process are enough for all tests in it: starting them takes longer than most tests
    patched.setattr(assembly, "_validator", lambda _settings, _ending: _decoders())


@cache
def _decoders() -> PillowValidator:
    return PillowValidator()


def files(folder: Path) -> list[str]:
    """The files below a folder, by their paths in it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
