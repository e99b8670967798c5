"""Start-up time: of importing the library, and of ``pixcore --help``.

    .venv/bin/python benchmarks/bench_startup.py --full
    git worktree add /tmp/earlier COMMIT
    .venv/bin/python benchmarks/bench_startup.py --earlier /tmp/earlier    # also in turns with an earlier commit

Each run is a new process, timed from outside, interleaved with one without pixcore. SDKs and libraries that only some
commands need must be imported on first use; the benchmark counts those that ``pixcore --help`` imports. The earlier
version runs in this environment, so it must work with the packages that are installed.
"""

import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from figures import arguments, interleaved, median, print_figure, ratio
from process_cost import clean_environment, cpu_of_children

LATER = (
    *("azure", "boto3", "botocore", "celery", "icrawler", "imagehash", "jinja2", "kombu", "numpy", "PIL", "pycurl"),
    *("prometheus_client", "psycopg", "pyarrow", "redis", "rq", "sqlalchemy"),
)
HERE = Path(__file__).parents[1]
ROOTS = ("src", "src/adapters", "src/runners")
CALL = "from pixcore_runners.cli import main\nimport sys\nsys.argv = ['pixcore', '--help']\nmain()"
HELP = "import sys\nsys.argv = ['pixcore', '--help']\nfrom pixcore_runners.cli import main\n"
LOADED = f"try:\n    main()\nfinally:\n    print(*({set(LATER)!r} & set(sys.modules)), file=sys.stderr)"
COMMANDS: dict[str, Sequence[str | Path]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "import attrs, tenacity": (sys.executable, "-c", "import attrs, tenacity"),
    "import pixcore": (sys.executable, "-c", "import pixcore"),
    "from pixcore import ChunkPipeline": (sys.executable, "-c", "from pixcore import ChunkPipeline"),
    "pixcore --help": (Path(sys.executable).with_name("pixcore"), "--help"),
}


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, also=add_options, runs=(10, 30))
    found = interleaved(args.runs, {name: partial(seconds, command=command) for name, command in COMMANDS.items()})
    print(f"medians of {args.runs} interleaved runs, {os.cpu_count()} cores")
    times = {name: 1000 * median(each, float) for name, each in found.items()}
    for name, time_ in times.items():
        print(f"{name:34} {time_:9.0f} ms")
    print_figure(
        "ms that pixcore adds to attrs and tenacity", times["import pixcore"] - times["import attrs, tenacity"], most=15
    )
    print_figure("ms that pixcore --help adds to python", times["pixcore --help"] - times["python -c pass"], most=250)
    ways = {"python": partial(cpu, words=("-c", "pass")), "now": partial(cpu, words=("-c", CALL), checkout=HERE)}
    if args.earlier:
        ways["earlier"] = partial(cpu, words=("-c", CALL), checkout=args.earlier)
    interleaved(1, ways)  # fills the file cache, and compiles what has changed
    costs = interleaved(args.runs, ways)
    for name, found_costs in costs.items():
        print(f"{'CPU of --help, ' * (name != 'python')}{name:18} {1000 * median(found_costs, float):9.0f} ms")
    if args.earlier:
        print_figure(
            "pixcore --help, CPU of the earlier commit's", ratio(costs["now"], costs["earlier"], float), most=0.55
        )
    loaded = subprocess.run(
        [sys.executable, "-c", HELP + LOADED], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    ).stderr.split()
    print_figure(
        f"libraries that the help imports too early{': ' * bool(loaded)}{', '.join(loaded)}", len(loaded), most=0
    )


def add_options(parser: ArgumentParser) -> None:
    """Add the option for an earlier checkout."""
    parser.add_argument("--earlier", type=Path, metavar="DIR", help="a checkout of an earlier commit")


def cpu(folder: Path, words: Sequence[str], checkout: Path | None = None) -> float:
    """Return the seconds of CPU of a Python with these arguments, with the packages of a checkout."""
    path = os.pathsep.join(str(checkout.absolute() / root) for root in ROOTS) if checkout else ""
    before = cpu_of_children()
    subprocess.run(
        (sys.executable, *words),
        cwd=folder,
        env={**clean_environment(), "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return cpu_of_children() - before


def seconds(folder: Path, command: Sequence[str | Path]) -> float:
    """Time one process. The first run of each command fills the file cache."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
