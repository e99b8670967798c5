"""One run of the whole job on a list of URLs, by pixcore, by img2dataset, or by the minimal job ``floor.py``."""

import json
import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import certifi
from attrs import frozen
from peers import program
from process_cost import Cost, run

CHUNK = 500
HERE = Path(__file__).parent
THREADS = 32  # in each process of img2dataset


@frozen
class UrlList:
    """The URLs to fetch: a file with one a line, and the certificate authorities of the hosts."""

    path: Path
    bundle: Path = Path(certifi.where())
    chunk: int = CHUNK
    """Images in one archive."""

    @property
    def urls(self) -> list[str]:
        """The URLs in order."""
        return self.path.read_text().split()

    @property
    def hosts(self) -> list[str]:
        """The hosts with their ports."""
        return sorted({urlsplit(url).netloc for url in self.urls})

    @property
    def environment(self) -> dict[str, str]:
        """The environment variable that names the certificate authorities."""
        return {"SSL_CERT_FILE": str(self.bundle)}


@frozen
class Job:
    """One run."""

    images: int
    began: float
    """When the first chunk began, after start-up, planning and listing."""
    ended: float
    """When the last chunk was complete."""
    cost: Cost

    @property
    def steady(self) -> float:
        """Images a second while at work, from ``began`` to ``ended``."""
        return self.images / (self.ended - self.began)

    @property
    def whole(self) -> float:
        """Images a second of the whole process."""
        return self.images / self.cost.seconds

    @property
    def busy(self) -> float:
        """The share of all cores' time that was busy while at work, by the server too."""
        return self.cost.busy(self.began, self.ended)

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU an image."""
        return 1000 * self.cost.cpu / self.images

    @property
    def peak(self) -> float:
        """Peak memory of all processes together, in MB."""
        return self.cost.peak() / 1e6


def pixcore(
    folder: Path,
    url_list: UrlList,
    workers: int = 1,
    store: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Job:
    """Run ``pixcore run`` with a new store and status database, which records when chunks were claimed and completed.

    ``store`` are the options of a store other than a folder, and ``environment`` holds its credentials.

    Raises:
        SystemExit: An image could not be fetched or read.
    """
    images = len(url_list.urls)
    command: list[str | Path] = [
        *(
            Path(sys.executable).with_name("pixcore"),
            "run",
            "--source",
            f"urls:{url_list.path}",
            "--count",
            str(images),
        ),
        *("--chunk-size", str(url_list.chunk), "--workers", str(workers), "--dataset", "bench", "--json", "--quiet"),
        *store,
        *(f"--allow-private-hosts={host}" for host in url_list.hosts),
    ]
    # exit code 3: near-duplicates among the photographs leave a chunk short
    cost = run(command, folder, {**url_list.environment, **(environment or {})}, codes=(0, 3))
    chunks = json.loads((folder / "out").read_text())["chunks"]
    judged = sum(chunk["accepted"] + chunk["rejected"].get("near_duplicate", 0) for chunk in chunks)
    if judged != images:
        raise SystemExit(f"pixcore judged {judged} of {images} images: {chunks}")
    with sqlite3.connect(folder / "pixcore-data" / "status.db") as status:
        began, ended = status.execute("SELECT min(began_at), max(ended_at) FROM pixcore_attempts").fetchone()
    return Job(images, began, ended, cost)


def img2dataset(folder: Path, url_list: UrlList, python: str = sys.executable) -> Job:
    """Run img2dataset with a process for each core. It keeps the original bytes, and decodes and hashes each image.

    The times come from the statistics of its shards.

    Raises:
        SystemExit: An image could not be fetched.
        Unavailable: img2dataset cannot be installed.
    """
    options = {
        "url_list": url_list.path,
        "input_format": "txt",
        "output_folder": folder / "shards",
        "output_format": "webdataset",
        "processes_count": os.cpu_count(),
        "thread_count": THREADS,
        "resize_mode": "no",
        "skip_reencode": True,
        "number_sample_per_shard": url_list.chunk,
        "compute_hash": "sha256",
    }
    command: list[str | Path] = [program("img2dataset", "img2dataset", python)]
    command += [f"--{name}={value}" for name, value in options.items()]
    # the variable keeps albumentations, which img2dataset uses, from looking for updates on the network
    cost = run(command, folder, url_list.environment | {"NO_ALBUMENTATIONS_UPDATE": "1"})
    shards = [json.loads(path.read_text()) for path in (folder / "shards").glob("*_stats.json")]
    images = sum(shard["successes"] for shard in shards)
    if images != len(url_list.urls):
        raise SystemExit(f"img2dataset fetched {images} of {len(url_list.urls)} images")
    return Job(images, min(shard["start_time"] for shard in shards), max(shard["end_time"] for shard in shards), cost)


def floor(folder: Path, url_list: UrlList) -> Job:
    """Run the minimal job, ``floor.py``."""
    cost = run(
        [sys.executable, HERE / "floor.py", url_list.path, folder, str(url_list.chunk)], folder, url_list.environment
    )
    times = json.loads((folder / "out").read_text())
    return Job(len(url_list.urls), times["began"], times["ended"], cost)
