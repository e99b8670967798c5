"""How long it takes until pixcore is there: the library to import, and the command to say what it can do.

    .venv/bin/python benchmarks/bench_startup.py --full

Each is a fresh process, timed from outside, in turns with one that does not have pixcore. SDKs and libraries that only
some work needs are to be imported when that work begins; the help is asked which of them it has.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from figures import asked, goal, in_turns, median
from process_cost import bare

LATER = (
    *("aiohttp", "azure", "boto3", "botocore", "celery", "icrawler", "imagehash", "jinja2", "kombu", "numpy", "PIL"),
    *("prometheus_client", "psycopg", "pyarrow", "redis", "rq", "sqlalchemy"),
)
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
    given = asked(__doc__, runs=(10, 30))
    found = in_turns(given.runs, {name: partial(seconds, command=command) for name, command in COMMANDS.items()})
    print(f"medians of {given.runs} in turns, {os.cpu_count()} cores")
    times = {name: 1000 * median(each, float) for name, each in found.items()}
    for name, time_ in times.items():
        print(f"{name:34} {time_:9.0f} ms")
    goal(
        "ms that pixcore adds to attrs and tenacity", times["import pixcore"] - times["import attrs, tenacity"], most=15
    )
    goal("ms that the help adds to python", times["pixcore --help"] - times["python -c pass"], most=250)
    loaded = subprocess.run(
        [sys.executable, "-c", HELP + LOADED], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    ).stderr.split()
    goal(f"libraries too early in the help{': ' * bool(loaded)}{', '.join(loaded)}", len(loaded), most=0)


def seconds(folder: Path, command: Sequence[str | Path]) -> float:
    """One process; the first of each fills the system's cache."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=bare(), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
