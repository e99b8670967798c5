"""A chunk of 500 images whose server takes 100 ms for each answer: beside the time that nobody can avoid.

    .venv/bin/python benchmarks/bench_latency.py --full

That time is the latency times the images by the requests in flight: 16 at one host, and 64 at several. Beside it stands
the time from the chunk's claim to its completion, as the status database says. Connections are kept alive.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from aiohttp import web
from figures import asked, goal, in_turns, median
from jpegs import originals
from sites import LATENCY, late
from whole_job import Job, List, pixcore

from pixcore_adapters.downloader.fetch.policy import FetchPolicy

POLICY = FetchPolicy()
HOSTS = POLICY.in_flight // POLICY.per_host
IMAGES = 500


def main() -> None:
    """Measure and print."""
    given = asked(__doc__, pictures=True, runs=(3, 5))
    bodies = [path.read_bytes() for path in originals(given.pictures, IMAGES)]

    async def picture(request: web.Request) -> web.Response:
        return web.Response(body=bodies[int(request.match_info["number"])], content_type="image/jpeg")

    print(
        f"{IMAGES} JPEGs, {1000 * LATENCY:.0f} ms an answer, medians of {given.runs} in turns, {os.cpu_count()} cores"
    )
    with late(
        lambda _: [web.get(r"/{number:\d+}.jpg", picture)], [f"127.0.0.{2 + host}" for host in range(HOSTS)]
    ) as sites:
        ways = {"at one host": partial(job, sites=sites[:1]), f"at {HOSTS} hosts": partial(job, sites=sites)}
        found = in_turns(given.runs, ways)
    for (name, jobs), in_flight in zip(found.items(), (POLICY.per_host, POLICY.in_flight), strict=True):
        least = LATENCY * IMAGES / in_flight
        seconds = median(jobs, taken)
        print(f"{in_flight} in flight {name:14} {seconds:6.2f} s; {least:.2f} s cannot be avoided")
        if in_flight == POLICY.per_host:  # with more, the cores are what there is too little of
            goal("times that", seconds / least, most=1.15)


def job(folder: Path, sites: Sequence[str]) -> Job:
    """One run."""
    given = List(folder / "list.txt")
    given.path.write_text("".join(f"http://{sites[image % len(sites)]}/{image}.jpg\n" for image in range(IMAGES)))
    return pixcore(folder, given)


def taken(job: Job) -> float:
    """Seconds from claim to completion."""
    return job.ended - job.began


if __name__ == "__main__":
    main()
