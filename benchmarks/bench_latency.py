"""A chunk of 500 images from a server that takes 100 ms for each response, beside the least possible time.

    .venv/bin/python benchmarks/bench_latency.py --full

The least time is latency x images / requests in flight: 16 at one host, and 64 at several. It is compared with the
time from the chunk's claim to its completion, from the status database. Connections are kept alive.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from figures import arguments, interleaved, median, print_figure
from jpegs import originals
from sites import LATENCY, number_of, slow_site
from whole_job import Job, UrlList, pixcore

from pixcore_adapters.downloader.fetch.policy import FetchPolicy

POLICY = FetchPolicy()
HOSTS = POLICY.in_flight // POLICY.per_host
IMAGES = 500


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, runs=(3, 5))
    bodies = [path.read_bytes() for path in originals(args.pictures, IMAGES)]

    def picture(target: str) -> tuple[str, bytes]:
        return "image/jpeg", bodies[number_of(target)]

    print(
        f"{IMAGES} JPEGs, {1000 * LATENCY:.0f} ms a response, medians of {args.runs} interleaved runs,"
        f" {os.cpu_count()} cores"
    )
    with slow_site(lambda _: picture, [f"127.0.0.{2 + host}" for host in range(HOSTS)]) as sites:
        ways = {"at one host": partial(job, sites=sites[:1]), f"at {HOSTS} hosts": partial(job, sites=sites)}
        found = interleaved(args.runs, ways)
    for (name, jobs), in_flight in zip(found.items(), (POLICY.per_host, POLICY.in_flight), strict=True):
        least = LATENCY * IMAGES / in_flight
        seconds = median(jobs, taken)
        print(f"{in_flight} in flight {name:14} {seconds:6.2f} s; the least is {least:.2f} s")
        if in_flight == POLICY.per_host:  # with more in flight, the cores are the limit
            print_figure("of the least time", seconds / least, most=1.15)


def job(folder: Path, sites: Sequence[str]) -> Job:
    """Run pixcore once."""
    url_list = UrlList(folder / "list.txt")
    url_list.path.write_text("".join(f"http://{sites[image % len(sites)]}/{image}.jpg\n" for image in range(IMAGES)))
    return pixcore(folder, url_list)


def taken(job: Job) -> float:
    """Return the seconds from claim to completion."""
    return job.ended - job.began


if __name__ == "__main__":
    main()
