"""From a keyword to images on disk: pixcore's downloader beside icrawler's own crawl, on the same loopback Bing.

    .venv/bin/python benchmarks/bench_sources.py --full            # tries all numbers of threads
    .venv/bin/python benchmarks/bench_sources.py --pictures DIR    # your own JPEGs

One server process serves pages and images, each after 100 ms; the images have eight hosts. icrawler is tried with
several numbers of threads, and the best is used. Then both run interleaved, each in a new process, timed from the call
to its return, without imports. The benchmark counts the files that equal a served picture, each picture once.
icrawler's threads wait 5 s for more URLs before they return, so the time to its last image is shown too.
"""

import hashlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs

from attrs import frozen
from figures import arguments
from from_tests import bing_page, results_of
from jpegs import SMALL, originals
from sites import LATENCY, Answer, Answers, number_of, slow_site

HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 10))
THREADS = ((1, 1), (1, 2), (1, 4), (1, 8), (1, 16), (1, 32), (4, 16), (4, 32), (4, 64))  # for pages, for images
PAGE = 20
LIMIT = 120  # seconds for one run; all known runs need less than half of it


@frozen
class Run:
    """One crawl: seconds until it returned, seconds until its last file was complete, and its numbers of files."""

    seconds: float
    last: float
    exact: int
    files: int

    @property
    def rate(self) -> float:
        """Exact images a second of the whole call."""
        return self.exact / self.seconds

    @property
    def busy_rate(self) -> float:
        """Exact images a second until the last file, without the wait after it."""
        return self.exact / self.last


def main() -> None:
    """Measure and print, or run as a measured child process."""
    args = arguments(__doc__, pictures=True, also=add_child_option, count=(500, 500), runs=(2, 5))
    if args.crawl:
        began, ended = CRAWLS[args.crawl.pop("by")](**args.crawl)
        print(json.dumps({"began": began, "ended": ended}))
        return
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        pictures = originals(args.pictures, args.count, SMALL)
        with slow_site(bing(pictures), ("127.0.0.1", *HOSTS)) as hosts:
            compare(scratch, pictures, hosts, args.runs, THREADS if args.full else THREADS[-2:])


def add_child_option(parser: ArgumentParser) -> None:
    """Add the hidden option of the measured processes."""
    parser.add_argument("--crawl", type=json.loads, help=SUPPRESS)


def compare(
    scratch: Path, pictures: list[Path], hosts: list[str], runs: int, threads: Sequence[tuple[int, int]]
) -> None:
    """Find icrawler's best number of threads, then measure both interleaved."""
    served = {digest(path): path for path in pictures}
    size = sum(path.stat().st_size for path in pictures) / len(pictures) / 1000

    def crawl(name: str, **options: object) -> Run:
        return measured(scratch / name, served, {"base": f"http://{hosts[0]}", "count": len(pictures), **options})

    print(
        f"{len(served)} JPEGs of {size:.0f} kB by a loopback Bing, {LATENCY * 1000:.0f} ms an answer,"
        f" {len(HOSTS)} image hosts, {os.cpu_count()} cores"
    )
    tried = {}
    for pages, images in threads:
        run = crawl(f"try-{pages}-{images}", by="icrawler", pages=pages, images=images)
        tried[pages, images] = run
        print(f"icrawler, {pages} threads for pages, {images:2} for images: {describe(run)}", flush=True)
    # icrawler returns on full seconds; among equal rates, take the one with the earliest last image
    pages, images = max(tried, key=lambda threads: (round(tried[threads].rate), tried[threads].busy_rate))
    pairs = [
        (
            crawl(f"pixcore-{number}", by="pixcore", hosts=hosts),
            crawl(f"icrawler-{number}", by="icrawler", pages=pages, images=images),
        )
        for number in range(runs)
    ]
    print(f"interleaved, icrawler with {pages} and {images} threads:")
    for ours, theirs in pairs:
        print(f"  pixcore {describe(ours)};  icrawler {describe(theirs)}")
    for period, of in (("whole call", whole), ("to the last image", busy)):
        mine, other = (statistics.median(of(pair[side]) for pair in pairs) for side in (0, 1))
        ratio = statistics.median(of(pair[0]) / of(pair[1]) for pair in pairs)
        print(
            f"medians, {period:17}: pixcore {mine:5.0f} images/s   icrawler {other:5.0f} images/s   ratio {ratio:.2f}"
        )


def whole(run: Run) -> float:
    """Return the images a second of the whole call."""
    return run.rate


def busy(run: Run) -> float:
    """Return the images a second until the last image."""
    return run.busy_rate


def describe(run: Run) -> str:
    """Describe one run."""
    return f"{run.rate:5.0f} images/s, {run.exact} exact of {run.files} files in {run.seconds:.1f} s"


def measured(folder: Path, served: Mapping[str, Path], crawl: Mapping[str, object]) -> Run:
    """Run one crawl in its own process, and count the files that it wrote."""
    folder.mkdir()
    command = [sys.executable, __file__, "--crawl", json.dumps({**crawl, "into": str(folder)})]
    process = subprocess.run(command, stdout=subprocess.PIPE, timeout=LIMIT, check=True)
    times = json.loads(process.stdout.splitlines()[-1])
    files = [path for path in folder.rglob("*") if path.is_file()]
    last = max((path.stat().st_mtime for path in files), default=times["ended"])
    return Run(
        times["ended"] - times["began"],
        last - times["began"],
        len(served.keys() & {digest(path) for path in files}),
        len(files),
    )


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def crawl_with_pixcore(base: str, hosts: list[str], count: int, into: str) -> tuple[float, float]:
    """Run the web downloader with its defaults, allowed to reach the loopback hosts."""
    import icrawler.builtin.bing  # noqa: F401, PLC0415 - imported before the clock starts; pixcore imports it on first use

    from pixcore.model.requests import Slice  # noqa: PLC0415 - each process imports only what it measures
    from pixcore_adapters.downloader.fetch.policy import FetchPolicy  # noqa: PLC0415 - the same
    from pixcore_adapters.downloader.sources.icrawler import Bing  # noqa: PLC0415 - the same
    from pixcore_adapters.downloader.sources.paged import PagedSource  # noqa: PLC0415 - the same
    from pixcore_adapters.downloader.web import WebDownloader  # noqa: PLC0415 - the same

    downloader = WebDownloader({"bing": PagedSource(Bing(base))}, FetchPolicy(private_hosts=frozenset(hosts)))
    began = time.time()
    for _ in downloader.download([Slice("bing", "red panda", 0, count)], Path(into)):
        pass
    return began, time.time()


def crawl_with_icrawler(base: str, pages: int, images: int, count: int, into: str) -> tuple[float, float]:
    """Run BingImageCrawler.crawl; only the URLs of the result pages are redirected to loopback."""
    from icrawler.builtin import BingImageCrawler  # noqa: PLC0415 - each process imports only what it measures
    from icrawler.builtin.bing import BingFeeder  # noqa: PLC0415 - the same

    class Feeder(BingFeeder):
        def feed(self, **options: object) -> None:
            queue = self.out_queue
            self.out_queue = SimpleNamespace(put=lambda url: queue.put(url.replace("https://www.bing.com", base)))
            super().feed(**options)

    crawler = BingImageCrawler(
        feeder_cls=Feeder,
        parser_threads=pages,
        downloader_threads=images,
        storage={"root_dir": into},
        log_level=logging.CRITICAL,
    )
    began = time.time()
    crawler.crawl("red panda", max_num=count)
    return began, time.time()


CRAWLS: Mapping[str, Callable[..., tuple[float, float]]] = {
    "pixcore": crawl_with_pixcore,
    "icrawler": crawl_with_icrawler,
}


def bing(pictures: list[Path]) -> Answers:
    """Return the responses: Bing's result pages on the first host, the pictures on the others."""
    bodies = [path.read_bytes() for path in pictures]

    def answers(hosts: Sequence[str]) -> Answer:
        results = results_of(f"http://{hosts[1 + number % len(HOSTS)]}/{number}.jpg" for number in range(len(bodies)))

        def answer(target: str) -> tuple[str, bytes]:
            path, _, query = target.partition("?")
            if path != "/images/async":
                return "image/jpeg", bodies[number_of(path)]
            # `first` counts from 0 or from 1; either way a page has 20 results
            start = int(parse_qs(query)["first"][0]) // PAGE * PAGE
            return "text/html", bing_page(results[start : start + PAGE])

        return answer

    return answers


if __name__ == "__main__":
    main()
