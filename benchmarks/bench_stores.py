"""Upload of a 60 MB archive to each store: pixcore's adapter beside the SDK with its defaults, also on a slow line.

    .venv/bin/python benchmarks/bench_stores.py --full --stores azurite

The servers are Azurite, Swift and moto on loopback; "7 MB/s" goes through a proxy that limits each connection. Each
upload runs in a new process, timed without imports and connecting. Memory is the growth of the process's peak. Both
run interleaved. Emulators show how the clients compare, but say nothing about the real services.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import arguments
from from_tests import S3, Azure, FaultProxy, RealStore, azurite, moto, real_store, servers_of_this_run, started, swift

SIZE = 60 << 20
RATE = 7_000_000  # bytes a second on each connection
KEY = "bench/data/chunk_1.zip"
PREPARE = {"azurite": azurite.prepare, "swift": swift.prepare, "moto": moto.prepare}
LIMIT = 120  # seconds for one upload

Upload = Callable[[], object]


def main() -> None:
    """Measure and print, or run as a measured child process."""
    args = arguments(__doc__, also=options, runs=(1, 5))
    if args.upload:
        how, url, file = args.upload
        print(json.dumps(measured(UPLOADS[how](url, Path(file)))))
        return
    print(f"{SIZE >> 20} MiB, medians of {args.runs} interleaved runs: MB/s, and growth of peak memory")
    print(f"{'store':8} {'line':9} {'pixcore':>14} {'SDK defaults':>14} {'ratio':>6}")
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as folder, servers_of_this_run():
        archive = Path(folder, "archive")
        archive.write_bytes(os.urandom(SIZE))
        for name in args.stores:
            with started(PREPARE[name]) as server:
                for rate in (None, RATE):
                    compare(name, server.address, archive, rate, args.runs)


def options(parser: ArgumentParser) -> None:
    """Add the option of the stores, and the hidden option of the measured processes."""
    parser.add_argument("--stores", nargs="+", choices=PREPARE, default=list(PREPARE))
    parser.add_argument("--upload", nargs=3, help=SUPPRESS)


def compare(name: str, server: Azure | S3, archive: Path, rate: int | None, runs: int) -> None:
    """Measure one store and print one line."""
    found: dict[str, list[tuple[float, float]]] = {"pixcore": [], "sdk": []}
    with line(server, rate) as port:
        for _ in range(runs):
            for how, values in found.items():
                store = real_store(server, f"bench-{uuid.uuid4().hex[:12]}", port)
                values.append(run(how, store, archive))
    ours, theirs = ([statistics.median(column) for column in zip(*values, strict=True)] for values in found.values())
    cells = [f"{speed:6.1f} {memory:5.0f} MB" for speed, memory in (ours, theirs)]
    shown = "7 MB/s" if rate else "loopback"
    print(f"{name:8} {shown:9} {cells[0]:>14} {cells[1]:>14} {ours[0] / theirs[0]:6.2f}", flush=True)


@contextmanager
def line(server: Azure | S3, rate: int | None) -> Iterator[int]:
    """Yield the port to connect to; with a rate, that of a limiting proxy."""
    if rate is None:
        yield server.port
        return
    with FaultProxy(server.port, rate=rate) as proxy:
        yield proxy.port


def run(how: str, store: RealStore, archive: Path) -> tuple[float, float]:
    """Run one upload in its own process; return MB/s and MB of memory."""
    environ = {**os.environ, **store.environ, "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, __file__, "--upload", how, store.url, str(archive)]
    process = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True, timeout=LIMIT)
    seconds, grown = json.loads(process.stdout)
    return SIZE / 1e6 / seconds, grown / 1e6


def measured(upload: Upload) -> tuple[float, int]:
    """Return the seconds of an upload, and the growth of peak memory in bytes."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak, which the imports set
    before = resident("VmRSS")
    began = time.perf_counter()
    upload()
    seconds = time.perf_counter() - began
    return seconds, resident("VmHWM") - before


def resident(name: str) -> int:
    """Read a figure of this process's memory from /proc/self/status, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) << 10


def by_pixcore(url: str, file: Path) -> Upload:
    """Prepare an upload by pixcore. The sha256 is computed before, as packing a chunk does."""
    from pixcore_runners.assembly.assembly import assemble  # noqa: PLC0415 - each process imports only what it measures
    from pixcore_runners.settings import Settings  # noqa: PLC0415 - the same

    store = assemble(Settings(store=url, status="memory://", create_container=True)).store
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return lambda: store.put(KEY, file, sha256=sha256, size=SIZE, content_type="application/zip", metadata={})


def by_sdk(url: str, file: Path) -> Upload:
    """Prepare an upload as in the SDK's first example."""
    name, _, _ = url.partition("://")[2].partition("/")
    if url.startswith("azure:"):
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 - each process imports only what it measures

        container = ContainerClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"], name)
        container.create_container()

        def to_azure() -> None:
            with file.open("rb") as data:
                container.upload_blob(KEY, data)

        return to_azure
    import boto3  # noqa: PLC0415 - each process imports only what it measures

    client = boto3.client("s3", endpoint_url=url.partition("endpoint=")[2].partition("&")[0], region_name="us-east-1")
    client.create_bucket(Bucket=name)
    return lambda: client.upload_file(str(file), name, KEY)


UPLOADS = {"pixcore": by_pixcore, "sdk": by_sdk}

if __name__ == "__main__":
    main()
