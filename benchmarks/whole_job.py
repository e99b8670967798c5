"""The whole job on a list of URLs, once: by pixcore, by img2dataset, and its parts alone; each in an empty folder."""

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
THREADS = 32  # of each of img2dataset's processes


@frozen
class List:
    """What is to be fetched: a file with a URL a line, and the authorities that vouch for the hosts."""

    path: Path
    bundle: Path = Path(certifi.where())
    chunk: int = CHUNK
    """How many images go into an archive."""

    @property
    def urls(self) -> list[str]:
        """In order."""
        return self.path.read_text().split()

    @property
    def hosts(self) -> list[str]:
        """With their ports."""
        return sorted({urlsplit(url).netloc for url in self.urls})

    @property
    def environment(self) -> dict[str, str]:
        """How everybody is told of the authorities."""
        return {"SSL_CERT_FILE": str(self.bundle)}


@frozen
class Job:
    """One run."""

    images: int
    began: float
    """When the first chunk did; start-up, planning and listing are over."""
    ended: float
    """When the last chunk was whole."""
    cost: Cost

    @property
    def steady(self) -> float:
        """Images a second while at work."""
        return self.images / (self.ended - self.began)

    @property
    def whole(self) -> float:
        """Images a second, start-up and end included."""
        return self.images / self.cost.seconds

    @property
    def busy(self) -> float:
        """The share of all cores' time that was used while at work, by the server too."""
        return self.cost.busy(self.began, self.ended)

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU for an image."""
        return 1000 * self.cost.cpu / self.images

    @property
    def peak(self) -> float:
        """MB of memory, of all processes together."""
        return self.cost.peak() / 1e6


def pixcore(
    folder: Path, given: List, workers: int = 1, store: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Job:
    """``pixcore run`` into a fresh store and status database, which knows when chunks were claimed and completed.

    ``store`` are the options of another one than a folder, and ``environment`` its credentials.

    Raises:
        SystemExit: Some image was not fetched or not readable.
    """
    images = len(given.urls)
    command: list[str | Path] = [
        *(Path(sys.executable).with_name("pixcore"), "run", "--source", f"urls:{given.path}", "--count", str(images)),
        *("--chunk-size", str(given.chunk), "--workers", str(workers), "--dataset", "bench", "--json", "--quiet"),
        *store,
        *(f"--allow-private-hosts={host}" for host in given.hosts),
    ]
    # 3: photographs that are near-duplicates of each other leave a chunk short
    cost = run(command, folder, {**given.environment, **(environment or {})}, codes=(0, 3))
    chunks = json.loads((folder / "out").read_text())["chunks"]
    judged = sum(chunk["accepted"] + chunk["rejected"].get("near_duplicate", 0) for chunk in chunks)
    if judged != images:
        raise SystemExit(f"pixcore judged {judged} of {images} images: {chunks}")
    with sqlite3.connect(folder / "pixcore-data" / "status.db") as status:
        began, ended = status.execute("SELECT min(began_at), max(ended_at) FROM pixcore_attempts").fetchone()
    return Job(images, began, ended, cost)


def img2dataset(folder: Path, given: List, python: str = sys.executable) -> Job:
    """A process for each core, original bytes kept, decoded and hashed; its shards' statistics say when.

    Raises:
        SystemExit: Some image was not fetched.
        Unavailable: It cannot be installed.
    """
    options = {
        "url_list": given.path,
        "input_format": "txt",
        "output_folder": folder / "shards",
        "output_format": "webdataset",
        "processes_count": os.cpu_count(),
        "thread_count": THREADS,
        "resize_mode": "no",
        "skip_reencode": True,
        "number_sample_per_shard": given.chunk,
        "compute_hash": "sha256",
    }
    command: list[str | Path] = [program("img2dataset", "img2dataset", python)]
    command += [f"--{name}={value}" for name, value in options.items()]
    # a library of its own would ask the network for its own newest version
    cost = run(command, folder, given.environment | {"NO_ALBUMENTATIONS_UPDATE": "1"})
    shards = [json.loads(path.read_text()) for path in (folder / "shards").glob("*_stats.json")]
    images = sum(shard["successes"] for shard in shards)
    if images != len(given.urls):
        raise SystemExit(f"img2dataset had {images} of {len(given.urls)} images")
    return Job(images, min(shard["start_time"] for shard in shards), max(shard["end_time"] for shard in shards), cost)


def floor(folder: Path, given: List) -> Job:
    """What ``floor.py`` does."""
    cost = run([sys.executable, HERE / "floor.py", given.path, folder, str(given.chunk)], folder, given.environment)
    told = json.loads((folder / "out").read_text())
    return Job(len(given.urls), told["began"], told["ended"], cost)
