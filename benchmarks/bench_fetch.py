"""The CPU of a fetch by HTTP and HTTPS: the web downloader with all that it checks, from a list to files.

    .venv/bin/python benchmarks/bench_fetch.py --full
    git worktree add /tmp/earlier COMMIT
    .venv/bin/python benchmarks/bench_fetch.py --earlier /tmp/earlier    # in turns with an earlier commit

The images come from Caddy on loopback. Each run is a process of its own (``fetches.py``) and fetches every image once,
after some that do not count. Its CPU includes robots.txt, the address guard, the limits of the host, and writing the
files to memory. The earlier version runs in this environment, so it must work with the packages that are installed.
"""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from figures import arguments, interleaved, median, print_figure, ratio
from jpegs import originals, write_copies
from process_cost import MEMORY, clean_environment
from sites import caddy

HERE = Path(__file__).parents[1]
ROOTS = ("src", "src/adapters", "src/runners")
GOALS = {"HTTP": 0.3, "HTTPS": 0.45}  # of the CPU of a fetch by aiohttp
LIMIT = 120  # seconds for one run


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, also=add_options, count=(1000, 4000), runs=(3, 7))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-", dir=MEMORY) as temporary:
        scratch = Path(temporary)
        names = write_copies(originals(args.pictures, min(args.count, 500)), scratch / "www", args.count)
        size = sum(path.stat().st_size for path in (scratch / "www").iterdir()) / len(names) / 1000
        print(f"{len(names)} JPEGs of {size:.0f} kB, {os.cpu_count()} cores, medians of {args.runs} turns")
        with caddy(scratch / "www", scratch) as site:
            for protocol, address in {"HTTP": site.plain, "HTTPS": site.encrypted}.items():
                checkouts = {"earlier": args.earlier, "now": HERE} if args.earlier else {"now": HERE}
                ways = {
                    name: partial(measured, checkout, address, names, site.bundle)
                    for name, checkout in checkouts.items()
                }
                interleaved(1, ways)
                found = interleaved(args.runs, ways)
                for name, costs in found.items():
                    print(f"  {protocol:5} {name:8} {1000 * median(costs, float):7.3f} ms of CPU a fetch")
                if args.earlier:
                    figure = ratio(found["now"], found["earlier"], float)
                    print_figure(f"{protocol}, CPU of the earlier commit's", figure, most=GOALS[protocol])


def add_options(parser: ArgumentParser) -> None:
    """Add the option for an earlier checkout."""
    parser.add_argument("--earlier", type=Path, metavar="DIR", help="a checkout of an earlier commit")


def measured(checkout: Path, address: str, names: Sequence[str], bundle: Path, folder: Path) -> float:
    """Return the seconds of CPU of a fetch by the version of a checkout, in its own process."""
    path = os.pathsep.join(str(checkout.absolute() / root) for root in ROOTS)
    (folder / "names").write_text("\n".join(names))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-", dir=MEMORY) as into:
        process = subprocess.run(
            [sys.executable, HERE / "benchmarks" / "fetches.py", address, folder / "names", into],
            env={**clean_environment(), "PYTHONPATH": path, "SSL_CERT_FILE": str(bundle)},
            stdout=subprocess.PIPE,
            timeout=LIMIT,
            check=True,
        )
    return float(process.stdout)


if __name__ == "__main__":
    main()
