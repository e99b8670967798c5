"""The CPU of the whole job, in turns with an earlier checkout: from a folder and from URLs, at two sizes.

    git worktree add /tmp/earlier COMMIT
    .venv/bin/python benchmarks/turns.py --earlier /tmp/earlier --pictures DIR

Both versions run in this environment, so the earlier one must work with the packages that are installed here. Two sizes
tell what a run costs once, and what an image costs. Each size of each source has a warm-up, then the turns.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from figures import arguments, interleaved, median, print_figure, ratio
from jpegs import originals, write_copies
from process_cost import Cost, run
from sites import caddy

CHUNK = 250  # images
HERE = Path(__file__).parents[1]
ROOTS = ("src", "src/adapters", "src/runners")
COMMAND = (sys.executable, "-c", "from pixcore_runners.cli import main; main()", "run", "--quiet", "--dataset", "turns")


def main() -> None:
    """Measure and print."""

    def also(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--earlier", type=Path, metavar="DIR", required=True, help="a checkout of an earlier commit"
        )

    args = arguments(__doc__, pictures=True, also=also, images=(1000, 1000), runs=(3, 7), workers=(2, 2))
    sizes = (args.images // 2, args.images)
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as temporary:
        scratch = Path(temporary)
        for size in sizes:
            write_copies(originals(args.pictures, min(size, 1000 if args.pictures else 500)), scratch / str(size), size)
        with caddy(scratch, scratch) as site:
            for source in ("folder", "urls"):
                seconds = {}
                for size in sizes:
                    words = [*words_of(source, size, scratch, site.plain), "--workers", str(args.workers)]
                    seconds[size] = compared(f"{size} images, {source}", words, args.earlier, args.runs)
                split(sizes, seconds)


def words_of(source: str, size: int, scratch: Path, address: str) -> list[str]:
    """Return the options that name the images."""
    if source == "folder":
        return ["--source", f"folder:{scratch / str(size)}"]
    names = sorted(path.name for path in (scratch / str(size)).iterdir())
    url_list = scratch / f"{size}.txt"
    url_list.write_text("".join(f"{address}/{size}/{name}\n" for name in names))
    return ["--source", f"urls:{url_list}", "--allow-private-hosts", address.partition("://")[2]]


def compared(title: str, words: Sequence[str], earlier: Path, runs: int) -> Mapping[str, float]:
    """Run both versions in turns; print and return the seconds of CPU of each."""
    ways = {"earlier": partial(job, words, earlier), "now": partial(job, words, HERE)}
    interleaved(1, ways)
    found = interleaved(runs, ways)
    seconds = {name: median(costs, cpu) for name, costs in found.items()}
    print(f"\n{title}, {os.cpu_count()} cores, medians of {runs} turns")
    for name, costs in found.items():
        print(f"  {name:12} {seconds[name]:7.2f} s of CPU {median(costs, wall):7.2f} s, {median(costs, peak):5.0f} MB")
    print_figure("CPU, of the earlier commit's", ratio(found["now"], found["earlier"], cpu), most=1.1)
    return seconds


def job(words: Sequence[str], checkout: Path, folder: Path) -> Cost:
    """Run the command line of a checkout on the images, in chunks of ``CHUNK``.

    Raises:
        SystemExit: It failed. Exit code 3 is none: images that are near-duplicates leave a chunk short.
    """
    path = os.pathsep.join(str(checkout.absolute() / root) for root in ROOTS)
    return run([*COMMAND, *words, "--chunk-size", str(CHUNK)], folder, {"PYTHONPATH": path}, codes=(0, 3))


def split(sizes: tuple[int, int], seconds: Mapping[int, Mapping[str, float]]) -> None:
    """Print what an image costs, and what a run costs beside its images."""
    few, many = sizes
    for name in seconds[few]:
        image = (seconds[many][name] - seconds[few][name]) / (many - few)
        print(f"  {name:12} {1000 * image:7.2f} ms an image, {seconds[few][name] - few * image:5.2f} s a run")


def cpu(cost: Cost) -> float:
    """Return the seconds of CPU."""
    return cost.cpu


def wall(cost: Cost) -> float:
    """Return the seconds from start to end."""
    return cost.seconds


def peak(cost: Cost) -> float:
    """Return the most memory, in MB."""
    return cost.peak() / 1e6


if __name__ == "__main__":
    main()
