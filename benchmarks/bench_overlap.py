"""Whether archives are uploaded while the next images are fetched: one worker and two, on a slow line to the store.

    .venv/bin/python benchmarks/bench_overlap.py --full

The store is moto on loopback, behind a proxy that gives each connection 7 MB/s. The time that such a line costs one
worker is what it takes longer than with a store on the disk; what of it two workers do not pay, they have overlapped:
half of it at best, where uploading is most of the work.
"""

import os
import tempfile
import uuid
from functools import partial
from pathlib import Path

from figures import asked, goal, in_turns, median
from from_tests import S3, FaultProxy, moto, real_store, started
from jpegs import numbered, originals
from sites import caddy
from whole_job import Job, List, pixcore

CHUNK = 250
RATE = 7_000_000  # bytes a second, a connection


def main() -> None:
    """Measure and print."""
    given = asked(__doc__, pictures=True, count=(1000, 2000), runs=(1, 5))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = numbered(originals(given.pictures, 500), scratch / "www", given.count)
        with caddy(scratch / "www", scratch) as site, started(moto.prepare) as server:
            listed = List(scratch / "list.txt", site.bundle, CHUNK)
            listed.path.write_text("".join(f"{site.plain}/{name}\n" for name in names))
            with FaultProxy(server.address.port, rate=RATE) as proxy:
                slow = partial(uploaded, listed=listed, server=server.address, port=proxy.port)
                found = in_turns(
                    given.runs,
                    {
                        "on the disk, 1 worker": partial(pixcore, given=listed),
                        "on a slow line, 1 worker": partial(slow, workers=1),
                        "on a slow line, 2 workers": partial(slow, workers=2),
                    },
                )
    print(f"{given.count} JPEGs in chunks of {CHUNK}, medians of {given.runs} in turns, {os.cpu_count()} cores")
    for name, jobs in found.items():
        print(f"{name:34} {median(jobs, taken):9.2f} s from the first claim to the last completion")
    disk, one, two = (median(jobs, taken) for jobs in found.values())
    goal("of what the line costs, overlapped", (one - two) / (one - disk))


def uploaded(folder: Path, listed: List, server: S3, port: int, workers: int) -> Job:
    """One run into a bucket of its own."""
    store = real_store(server, f"bench-{uuid.uuid4().hex[:12]}", port)
    return pixcore(folder, listed, workers, ("--store", store.url, "--create-container"), store.environ)


def taken(job: Job) -> float:
    """Seconds from the first claim to the last completion."""
    return job.ended - job.began


if __name__ == "__main__":
    main()
