"""Overlap of uploads and fetches: one worker and two, on a slow line to the store.

    .venv/bin/python benchmarks/bench_overlap.py --full

The store is moto on loopback, behind a proxy that limits each connection to 7 MB/s. The cost of the slow line is the
extra time of one worker compared with a store on the disk. Two workers save the part of it that they overlap: at best
half of it, if uploading is most of the work.
"""

import os
import tempfile
import uuid
from functools import partial
from pathlib import Path

from figures import arguments, interleaved, median, print_figure
from from_tests import S3, FaultProxy, moto, real_store, started
from jpegs import originals, write_copies
from sites import caddy
from whole_job import Job, UrlList, pixcore

CHUNK = 250
RATE = 7_000_000  # bytes a second on each connection


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, count=(1000, 2000), runs=(1, 5))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = write_copies(originals(args.pictures, 500), scratch / "www", args.count)
        with caddy(scratch / "www", scratch) as site, started(moto.prepare) as server:
            url_list = UrlList(scratch / "list.txt", site.bundle, CHUNK)
            url_list.path.write_text("".join(f"{site.plain}/{name}\n" for name in names))
            with FaultProxy(server.address.port, rate=RATE) as proxy:
                slow = partial(uploaded, url_list=url_list, server=server.address, port=proxy.port)
                found = interleaved(
                    args.runs,
                    {
                        "on the disk, 1 worker": partial(pixcore, url_list=url_list),
                        "on a slow line, 1 worker": partial(slow, workers=1),
                        "on a slow line, 2 workers": partial(slow, workers=2),
                    },
                )
    print(f"{args.count} JPEGs in chunks of {CHUNK}, medians of {args.runs} interleaved runs, {os.cpu_count()} cores")
    for name, jobs in found.items():
        print(f"{name:34} {median(jobs, taken):9.2f} s from the first claim to the last completion")
    disk, one, two = (median(jobs, taken) for jobs in found.values())
    print_figure("share of the line's cost that is overlapped", (one - two) / (one - disk))


def uploaded(folder: Path, url_list: UrlList, server: S3, port: int, workers: int) -> Job:
    """Run pixcore once, into a new bucket."""
    store = real_store(server, f"bench-{uuid.uuid4().hex[:12]}", port)
    return pixcore(folder, url_list, workers, ("--store", store.url, "--create-container"), store.environ)


def taken(job: Job) -> float:
    """Return the seconds from the first claim to the last completion."""
    return job.ended - job.began


if __name__ == "__main__":
    main()
