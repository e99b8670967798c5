"""S3 as MiniStack implements it, strict about checksums and conditions, also for uploads in parts; checks no secret.

Its data do not survive a stop.
"""

from pathlib import Path
from secrets import token_hex

from servers.addresses import S3
from servers.server import Setup, free_port, speaks_http
from servers.tools import venv


def prepare(folder: Path) -> Setup[S3]:
    """Return how to start its S3 alone. Its own program would listen on every address of the machine."""
    port = free_port()
    programs = venv("ministack") / "bin"
    program = (str(programs / "hypercorn"), "ministack.app:app", "--bind", f"127.0.0.1:{port}")
    environment = {"SERVICES": "s3", "LOG_LEVEL": "WARNING", "S3_DATA_DIR": str(folder), "GATEWAY_PORT": str(port)}
    # twelve digits would be the number of an account
    address = S3(port, f"pixcore{token_hex(4)}", token_hex())
    return Setup(address, (port,), (program,), lambda: speaks_http(port), environment)
