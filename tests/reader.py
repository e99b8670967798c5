"""A reader who follows a page of the documents: its blocks of code, a shell, and a network on loopback.

Nothing within pixcore is replaced; only the surroundings of a reader are. The network is a proxy on loopback, named by
``HTTPS_PROXY``. It answers for ``api.openverse.org``, in the format of Openverse, and for ``pictures.example``, over
TLS that ``SSL_CERT_FILE`` trusts. pixcore uses it because of ``PIXCORE_PROXY_FROM_ENVIRONMENT``, and does not resolve
the names because of ``PIXCORE_PRIVATE_HOSTS``.
"""

import os
import re
import signal
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import trustme
from apis import OpenverseApi, openverse_entry
from attrs import define, field, frozen
from hostile import Client, Site, head, picture

ROOT = Path(__file__).parents[1]
API, PICTURES = "api.openverse.org", "pictures.example"

# Beginnings of commands that are not run, and why.
NOT_RUN = {
    "pip install": "it needs a registry; tests/integration/test_wheel.py installs the wheel, a test finds the extras",
    "pixcore demo": "it takes half a minute; tests/e2e/test_demo_command.py runs it with fewer pictures",
}
_BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE
)


@frozen
class Block:
    """A block of code. ``note`` is the comment before it; one that begins with ``not run:`` gives the reason."""

    language: str
    text: str
    note: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console, except those that are not run."""
        if self.language != "console" or self.note.startswith("not run:"):
            return []
        lines = [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ ")]
        return [line for line in lines if not line.startswith(tuple(NOT_RUN))]

    @property
    def is_left_open(self) -> bool:
        """Whether its last command keeps running, in a terminal of its own, while the page goes on."""
        return any(command.startswith("pixcore worker") for command in self.commands)


def blocks(page: str) -> list[Block]:
    """Return the blocks of code of a page, named by its path in the repository."""
    found = _BLOCK.finditer((ROOT / page).read_text())
    return [Block(each["language"], each["text"], each["note"] or "") for each in found]


@contextmanager
def network(folder: Path, files: Sequence[bytes | None], title: str = "Picture") -> Iterator[Mapping[str, str]]:
    """Run a network in which Openverse has these files; None is a link without a file. Yield its environment.

    ``folder`` gets the certificate that the environment trusts.
    """
    authority = trustme.CA()
    trusted = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(API, PICTURES).configure_cert(tls)

    async def tunnel(client: Client) -> bool:
        await client.send(head(200))
        await client._writer.start_tls(tls)
        return True

    entries = [
        openverse_entry(
            f"https://{PICTURES}/{number}.jpg",
            number,
            title=f"{title} {number}",
            license="by" if number % 2 else "cc0",
        )
        for number in range(len(files))
    ]
    found = {f"/{number}.jpg": picture(data) for number, data in enumerate(files) if data is not None}
    # the target of CONNECT is `host:443`, whose port a URL parser returns as the path
    with Site({"443": tunnel, "/v1/images/": OpenverseApi(entries), **found}) as site:
        yield {
            "HTTPS_PROXY": f"http://{site.host}",
            "SSL_CERT_FILE": str(trusted),
            "PIXCORE_PROXY_FROM_ENVIRONMENT": "true",
            "PIXCORE_PRIVATE_HOSTS": f"{API},{PICTURES}",
        }


@define
class Reader:
    """A reader who follows pages in a folder, with an environment and values for its ``.env``.

    ``python`` runs the snippets of Python that do not import pixcore.
    """

    home: Path
    environment: dict[str, str]
    python: Callable[[], Path] = lambda: Path(sys.executable)
    variables: dict[str, str] = field(factory=dict)
    ran: list[str] = field(factory=list)

    def follow(self, page: str) -> None:
        """Run the blocks of a page in order; end commands that keep running at the end."""
        terminals = []
        try:
            for block in blocks(page):
                if block.is_left_open:
                    terminals.append(self._open(block.commands))
                elif block.language == "ini":
                    names = [line.partition("=")[0] for line in block.text.splitlines()]
                    (self.home / ".env").write_text("".join(f"{name}={self.variables[name]}\n" for name in names))
                elif block.language == "toml" and not block.note:
                    (self.home / f"{tomllib.loads(block.text)['dataset']}.toml").write_text(block.text)
                elif block.language == "py" and not block.note:
                    self._load(block.text)
                else:
                    self._run(block.commands)
        finally:
            codes = [self._close(terminal) for terminal in terminals]
        assert not any(codes)

    def _run(self, commands: list[str]) -> None:
        for command in commands:
            self.ran.append(command)
            if command.startswith("pixcore review"):
                self._review(command)
                continue
            ran = subprocess.run(["sh", "-c", command], **self._around(), capture_output=True, timeout=120, check=False)
            assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"

    def _review(self, command: str) -> None:
        """Start a review, wait for its link, and end it by Ctrl-C."""
        around = self._around() | {"stdout": subprocess.PIPE, "start_new_session": True}
        with subprocess.Popen(["sh", "-c", f"exec {command}"], **around) as review:
            assert review.stdout
            while not (line := review.stdout.readline()).strip().startswith("http://127.0.0.1"):
                assert line, f"{command} printed no link"
            review.send_signal(signal.SIGINT)
            assert review.wait(60) == 0

    def _open(self, commands: list[str]) -> "subprocess.Popen[str]":
        """Start the last command and those in the background; run the others before."""
        *before, last = commands
        self.ran += [each for each in before if each.endswith("&")] + [last]
        self._run([command for command in before if not command.endswith("&")])
        # like the shell of a terminal, it outlives its commands and exits with the code of the last one
        script = [
            "trap : TERM",
            *(each for each in before if each.endswith("&")),
            last,
            "code=$?",
            "wait",
            "exit $code",
        ]
        # pytest shows its output if the test fails
        return subprocess.Popen(["sh", "-c", "\n".join(script)], **self._around(), start_new_session=True)

    def _close(self, terminal: "subprocess.Popen[str]") -> int:
        """End the commands of a terminal; return the exit code."""
        os.killpg(terminal.pid, signal.SIGTERM)
        try:
            return terminal.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(terminal.pid, signal.SIGKILL)

    def _load(self, snippet: str) -> None:
        """Run a snippet of Python."""
        around = self._around(HF_HOME=f"{self.home.parent}/hf", HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore")
        if "import pixcore" in snippet:
            command = [sys.executable, "-c", snippet]
        else:
            command = [str(self.python()), "-I", "-c", snippet]
        ran = subprocess.run(command, **around, capture_output=True, timeout=300, check=False)
        assert ran.returncode == 0, ran.stderr

    def _around(self, **more: str) -> dict[str, Any]:
        return {"cwd": self.home, "env": {**self.environment, **more}, "stdin": subprocess.DEVNULL, "text": True}
