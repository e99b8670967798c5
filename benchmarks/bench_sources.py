"""From a keyword to images on disk: pixcore's downloader beside icrawler's own crawl, on the same loopback Bing.

    .venv/bin/python benchmarks/bench_sources.py --full            # tries all numbers of threads
    .venv/bin/python benchmarks/bench_sources.py --pictures DIR    # JPEGs of your own

Every page and every image is answered after 100 ms, images by eight hosts, all from a process of its own. icrawler is
first tried with several numbers of threads, and its best goes on. Then both run in turn, each in a fresh process, timed
from the call to its return, without imports. Counted are files with the bytes of a served picture, each picture once.
icrawler's threads wait 5 s for more before they return, so the time to its last image is told beside.
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from aiohttp import web
from attrs import frozen
from figures import asked
from from_tests import bing_page, founds
from jpegs import SMALL, originals
from sites import LATENCY, late

HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 10))
THREADS = ((1, 1), (1, 2), (1, 4), (1, 8), (1, 16), (1, 32), (4, 16), (4, 32), (4, 64))  # for pages, for images
PAGE = 20
LIMIT = 120  # seconds for one run, of which nothing is known to need half


@frozen
class Run:
    """One crawl: until it returned, until its last file was whole, and how many files are exactly as served."""

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
        """The same, without what the call waited after its last file."""
        return self.exact / self.last


def main() -> None:
    """Measure and print; or be one of the processes that are measured."""
    given = asked(__doc__, pictures=True, also=hidden, count=(500, 500), runs=(2, 5))
    if given.crawl:
        began, ended = CRAWLS[given.crawl.pop("by")](**given.crawl)
        print(json.dumps({"began": began, "ended": ended}))
        return
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        pictures = originals(given.pictures, given.count, SMALL)
        with late(bing(pictures), ("127.0.0.1", *HOSTS)) as hosts:
            compare(scratch, pictures, hosts, given.runs, THREADS if given.full else THREADS[-2:])


def hidden(parser: ArgumentParser) -> None:
    """What the measured processes are told."""
    parser.add_argument("--crawl", type=json.loads, help=SUPPRESS)


def compare(
    scratch: Path, pictures: list[Path], hosts: list[str], runs: int, threads: Sequence[tuple[int, int]]
) -> None:
    """Find icrawler's best, then measure both in turn."""
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
        print(f"icrawler, {pages} threads for pages, {images:2} for images: {said(run)}", flush=True)
    # it returns on the second: of equals, the one that is sooner with its last image
    pages, images = max(tried, key=lambda threads: (round(tried[threads].rate), tried[threads].busy_rate))
    pairs = [
        (
            crawl(f"pixcore-{number}", by="pixcore", hosts=hosts),
            crawl(f"icrawler-{number}", by="icrawler", pages=pages, images=images),
        )
        for number in range(runs)
    ]
    print(f"in turn, icrawler with {pages} and {images} threads:")
    for ours, theirs in pairs:
        print(f"  pixcore {said(ours)};  icrawler {said(theirs)}")
    for what, of in (("whole call", whole), ("to the last image", busy)):
        mine, other = (statistics.median(of(pair[side]) for pair in pairs) for side in (0, 1))
        ratio = statistics.median(of(pair[0]) / of(pair[1]) for pair in pairs)
        print(f"medians, {what:17}: pixcore {mine:5.0f} images/s   icrawler {other:5.0f} images/s   ratio {ratio:.2f}")


def whole(run: Run) -> float:
    """Images a second of the whole call."""
    return run.rate


def busy(run: Run) -> float:
    """Images a second to the last image."""
    return run.busy_rate


def said(run: Run) -> str:
    """One run in words."""
    return f"{run.rate:5.0f} images/s, {run.exact} exact of {run.files} files in {run.seconds:.1f} s"


def measured(folder: Path, served: Mapping[str, Path], crawl: Mapping[str, object]) -> Run:
    """Run one crawl in a process of its own, and look at what it left."""
    folder.mkdir()
    command = [sys.executable, __file__, "--crawl", json.dumps({**crawl, "into": str(folder)})]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LIMIT, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    files = [path for path in folder.rglob("*") if path.is_file()]
    last = max((path.stat().st_mtime for path in files), default=told["ended"])
    return Run(
        told["ended"] - told["began"],
        last - told["began"],
        len(served.keys() & {digest(path) for path in files}),
        len(files),
    )


def digest(path: Path) -> str:
    """What a file holds."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def crawl_with_pixcore(base: str, hosts: list[str], count: int, into: str) -> tuple[float, float]:
    """The web downloader as it is by default, allowed to reach the loopback hosts."""
    import icrawler.builtin.bing  # noqa: F401, PLC0415 - pixcore would load it only when it is first needed

    from pixcore.model.requests import Slice  # noqa: PLC0415 - a process loads what it measures, nothing else
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
    """BingImageCrawler.crawl; only the pages' addresses are turned to the loopback."""
    from icrawler.builtin import BingImageCrawler  # noqa: PLC0415 - a process loads what it measures, nothing else
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


def bing(pictures: list[Path]) -> Callable[[Sequence[str]], Iterable[web.RouteDef]]:
    """A Bing on the first host, and its pictures on the others."""
    bodies = [path.read_bytes() for path in pictures]

    def routes(hosts: Sequence[str]) -> Iterable[web.RouteDef]:
        results = founds(f"http://{hosts[1 + number % len(HOSTS)]}/{number}.jpg" for number in range(len(bodies)))

        async def page(request: web.Request) -> web.Response:
            # from 0 or from 1, as it is asked: either way 20 results a page, none missing
            start = int(request.query["first"]) // PAGE * PAGE
            return web.Response(body=bing_page(results[start : start + PAGE]), content_type="text/html")

        async def picture(request: web.Request) -> web.Response:
            return web.Response(body=bodies[int(request.match_info["number"])], content_type="image/jpeg")

        return [web.get("/images/async", page), web.get(r"/{number:\d+}.jpg", picture)]

    return routes


if __name__ == "__main__":
    main()
