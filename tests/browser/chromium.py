"""Chromium: how it is installed, started and asked."""

import json
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define
from servers.azurite import node
from servers.tools import LOCKS, Unavailable, installed, run

_DRIVER = Path(__file__).with_name("driver.mjs")
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{0}/fonts</dir><cachedir>{0}/fonts-cache</cachedir></fontconfig>
"""


class PageError(Exception):
    """What Playwright says went wrong."""


@define
class Browser:
    """The pages of one context, one of which is asked."""

    process: "subprocess.Popen[str]"

    def open(self, file: Path, **options: object) -> None:
        """Load a file without a network, in a new context; ``options`` are those of Playwright's ``newContext``."""
        self("open", file.as_uri(), options)

    def visit(self, address: str, **options: object) -> None:
        """Load a page of a server on this machine, in a context of its own; ``options`` are as for ``open``."""
        self("open", address, {"offline": False, **options})

    def __call__(self, method: str, *args: object) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Call a method of Playwright's page, such as ``click`` or ``keyboard.press``; or ``judged`` or ``seen``.

        ``tab`` opens an address in a further page of the context; ``turn`` goes to the page of a number, from 0.
        """
        assert self.process.stdin
        print(json.dumps({"method": method, "args": args}), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise Unavailable(f"the browser ended with {self.process.wait()}")
        answer = json.loads(line)
        if "failed" in answer:
            raise PageError(answer["failed"])
        return answer["value"]


@contextmanager
def browser() -> Generator[Browser]:
    """A running browser.

    Raises:
        Unavailable: it cannot be installed or started here.
    """
    folder = installed("browser", (LOCKS / "browser" / "package-lock.json").read_text(), install)
    known = {**os.environ, "LD_LIBRARY_PATH": f"{folder}/al2023/lib", "FONTCONFIG_FILE": f"{folder}/fonts.conf"}
    command = (program(), str(_DRIVER), str(folder / "chromium"), str(folder / "node_modules"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=known) as process:
        started = Browser(process)
        started._answer()
        yield started
        assert process.stdin
        process.stdin.close()


def install(folder: Path) -> None:
    """Install what the lock says, running none of the packages' own programs, and unpack the browser."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCKS / "browser" / name, folder)
    npm = node() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "npm"))
    run(program(), "--use-system-ca", str(npm), "ci", *quietly, cwd=folder)
    shutil.rmtree(folder / "npm")
    # it unpacks into the folder for temporary files, and brings its libraries along where it takes us for Lambda
    elsewhere = {**os.environ, "TMPDIR": str(folder), "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"}
    unpack = "import chromium from '@sparticuz/chromium'; await chromium.executablePath();"
    run(program(), "--input-type=module", "--eval", unpack, cwd=folder, env=elsewhere)
    shutil.rmtree(folder / "node_modules" / "@sparticuz")
    (folder / "fonts.conf").write_text(_FONTS.format(folder))


def program() -> str:
    """Node.js."""
    return str(node() / "bin" / "node")
