"""S3 as the gateway of JuiceFS implements it, with the code of MinIO's gateway; its data survive a stop.

It is strict about signatures, and ignores conditions of writes and checksums other than MD5.
"""

from pathlib import Path
from secrets import token_hex

from servers.addresses import S3
from servers.server import Setup, free_port, speaks_http
from servers.tools import run, venv


def prepare(folder: Path) -> Setup[S3]:
    """Format a volume in files, with its metadata in SQLite; return how to start the gateway."""
    program = str(venv("juicefs") / "bin" / "juicefs")
    address = S3(free_port(), "pixcore", token_hex())
    meta = f"sqlite3://{folder / 'meta.db'}"
    volume = ("--storage", "file", "--bucket", str(folder / "blobs"), "--trash-days", "0")
    run(program, "format", meta, "test", *volume, env={"HOME": str(folder)})
    gateway = (
        *(program, "gateway", meta, f"127.0.0.1:{address.port}", "--multi-buckets", "--keep-etag", "--object-meta"),
        *("--no-banner", "--no-usage-report", "--log", str(folder / "gateway.log")),
        *("--cache-size", "0", "--backup-meta", "0", "--buffer-size", "64M"),
    )
    users = {"MINIO_ROOT_USER": address.access_key, "MINIO_ROOT_PASSWORD": address.secret_key}
    return Setup(address, (address.port,), (gateway,), lambda: speaks_http(address.port), users)
