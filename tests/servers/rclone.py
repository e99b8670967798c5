"""S3 as ``rclone serve s3`` implements it, over a folder; its data survive a stop, but not their metadata.

It is strict about signatures, writes the names of metadata with capitals, and ignores conditions of writes and
checksums other than MD5.
"""

from pathlib import Path
from secrets import token_hex

from servers.addresses import S3
from servers.server import Setup, free_port, speaks_http
from servers.tools import venv


def prepare(folder: Path) -> Setup[S3]:
    """Return how to start it. Its environment has the secret, so that the list of processes does not show it."""
    address = S3(free_port(), "pixcore", token_hex())
    (folder / "data").mkdir()
    program = (
        *(str(venv("rclone") / "bin" / "rclone"), "serve", "s3", str(folder / "data")),
        *("--addr", f"127.0.0.1:{address.port}", "--config", "/dev/null", "--log-level", "NOTICE"),
    )
    keys = {"RCLONE_AUTH_KEY": f'"{address.access_key},{address.secret_key}"'}  # a list, in CSV
    return Setup(address, (address.port,), (program,), lambda: speaks_http(address.port), keys)
