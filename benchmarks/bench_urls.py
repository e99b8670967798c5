"""The whole job on a URL list over loopback HTTP, beside img2dataset on the same server in the same run.

    python3 dev.py bench                                        # pictures made for the purpose
    .venv/bin/python benchmarks/bench_urls.py --pictures DIR    # JPEGs of your own

img2dataset keeps the original bytes, decodes and hashes, which is the comparable work; it lives in an environment of
its own in the user's cache folder. Prints medians of paired runs; nothing is written into the checkout.
"""

import argparse
import functools
import http.server
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from attrs import frozen
from PIL import Image

PEER = ("img2dataset==1.47.0", "setuptools<81")


@frozen
class Run:
    """Images a second: over the whole process, and between its first and its last image."""

    whole: float
    steady: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=Path, help="a folder of distinct JPEGs")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    peer = img2dataset_environment()
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        pictures = given.pictures or paint(scratch / "pictures", given.count)
        with serving(pictures) as address:
            names = sorted(path.name for path in pictures.iterdir())[: given.count]
            (scratch / "list.txt").write_text("".join(f"http://{address}/{name}\n" for name in names))
            pairs = [
                (
                    pixcore(scratch / f"pixcore-{number}", scratch / "list.txt", address, len(names)),
                    img2dataset(scratch / f"peer-{number}", scratch / "list.txt", peer, len(names)),
                )
                for number in range(given.runs)
            ]
    print(f"{len(names)} JPEGs by URL list, medians of {given.runs} paired runs, {os.cpu_count()} cores; images/s")
    for what, of in (("steady", steady), ("whole process", whole)):
        ours, theirs = (statistics.median(of(pair[side]) for pair in pairs) for side in (0, 1))
        ratio = statistics.median(of(pair[0]) / of(pair[1]) for pair in pairs)
        print(f"{what:14} pixcore {ours:6.0f}   img2dataset {theirs:6.0f}   ratio {ratio:.2f}")


def steady(run: Run) -> float:
    """Images a second while at work."""
    return run.steady


def whole(run: Run) -> float:
    """Images a second, start-up included."""
    return run.whole


def pixcore(folder: Path, urls: Path, address: str, images: int) -> Run:
    """One run of ``pixcore run`` into a fresh store."""
    folder.mkdir()
    command = (
        *(Path(sys.executable).with_name("pixcore"), "run", "--source", f"urls:{urls}", "--count", str(images)),
        *("--dataset", "bench", "--allow-private-hosts", address, "--json", "--quiet"),
    )
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=bare(), stdout=subprocess.PIPE, check=True)
    seconds = time.perf_counter() - began
    chunks = json.loads(done.stdout)["chunks"]
    working = sum(sum(chunk["seconds"].values()) for chunk in chunks)
    return Run(images / seconds, sum(chunk["accepted"] for chunk in chunks) / working)


def img2dataset(folder: Path, urls: Path, peer: Path, images: int) -> Run:
    """One run of img2dataset, two processes of 32 threads, original bytes kept, decoded and hashed."""
    options = {
        "url_list": urls,
        "input_format": "txt",
        "output_folder": folder,
        "output_format": "webdataset",
        "processes_count": os.cpu_count(),
        "thread_count": 32,
        "resize_mode": "no",
        "skip_reencode": True,
        "number_sample_per_shard": 500,
        "compute_hash": "sha256",
    }
    command = [str(peer / "bin" / "img2dataset"), *(f"--{name}={value}" for name, value in options.items())]
    began = time.perf_counter()
    subprocess.run(command, env=bare(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - began
    shards = [json.loads(path.read_text()) for path in folder.glob("*_stats.json")]
    working = max(shard["end_time"] for shard in shards) - min(shard["start_time"] for shard in shards)
    return Run(images / seconds, sum(shard["successes"] for shard in shards) / working)


def bare() -> dict[str, str]:
    """The environment without anybody's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PIXCORE_")}


def img2dataset_environment() -> Path:
    """Where the peer is installed; made on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixcore-bench" / "img2dataset"
    if not (cache / "complete").exists():
        venv.create(cache, with_pip=True, clear=True)
        subprocess.run([cache / "bin" / "python", "-m", "pip", "install", "--quiet", *PEER], check=True)
        (cache / "complete").touch()
    return cache


def paint(folder: Path, count: int) -> Path:
    """Distinct photo-like JPEGs of 500 x 375: smooth colours under fine grain, about 100 kB each."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 12, (375, 500, 1))
        pixels = np.clip(np.asarray(coarse, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=88)
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback from a process of its own; give ``host:port``."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(folder, theirs), daemon=True)
    server.start()
    try:
        yield ours.recv()
    finally:
        server.terminate()
        server.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _serve(folder: Path, address: "multiprocessing.connection.Connection") -> None:
    handler: Callable[..., http.server.BaseHTTPRequestHandler] = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address.send(f"127.0.0.1:{server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    main()
