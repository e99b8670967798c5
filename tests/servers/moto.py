"""S3 as moto implements it: fast and lenient (any secret, any checksum); its data do not survive a stop."""

from pathlib import Path
from secrets import token_hex

from servers.addresses import S3
from servers.server import Setup, free_port, speaks_http
from servers.tools import venv


def prepare(folder: Path) -> Setup[S3]:
    """Return how to start it."""
    del folder  # it keeps all data in memory
    port = free_port()
    program = (str(venv("moto") / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(port))
    return Setup(S3(port, token_hex(8), token_hex()), (port,), (program,), lambda: speaks_http(port))
