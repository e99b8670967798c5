r"""Load one hard dataset from every layout with every loader, and print how many rows and cells came back unchanged.

The dataset (``tests/mixed.py``) has pictures of all kinds, texts that look like dates, numbers or ``nan``, and columns
that only some chunks have. The loaders run in environments of their own in the cache, which take about 3 GB. Exits with
1 if a row or a cell is missing.

To refresh the locks of older ``datasets``, with the other packages of their time::

    cd benchmarks/locks
    options='--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade'
    for version in 3.4 3.6; do
        printf "datasets==$version.0\npillow\npandas<3\npyarrow<22\nhuggingface-hub<1\n" |
            uv pip compile $options - -o datasets_${version/./_}.lock
    done
    printf 'datasets==4.8.5\npillow\n' | uv pip compile $options - -o datasets_4_8.lock

``training.txt`` has no hashes, because builds of torch for the CPU alone are not on every index.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from from_tests import CASES, Case, Home, Score, home, installed, loading, run, venv
from peers import LOCKS, program

_DATASETS = ("datasets_3_4", "datasets_3_6", "datasets_4_8")
# The package whose version is shown, if it is not the loader's name.
_PACKAGES = {
    "load_dataset": "datasets",
    "imagefolder": "datasets",
    "webdataset_in_batches": "torch",
    "pandas_metadata": "pandas",
    "duckdb_metadata": "duckdb",
    "coco": "torchvision",
    "coco_json": "",
}


def main() -> int:
    """Print the table."""
    missing = 0
    print("| layout | loader | version | rows | equal cells |\n|---|---|---|---:|---:|")
    with TemporaryDirectory() as folder:
        written = home(Path(folder))
        for environment, cases in environments():
            for case in cases:
                version, score = measured(written, environment, case, Path(folder) / "spare")
                missing += not score.complete
                loader = case.loader.partition("_metadata")[0] + (", without the card" if case.own else "")
                figures = f"{score.rows} of {score.wanted} | {score.equal:,} of {score.cells:,}"
                print(f"| {case.layout} | {loader} | {version} | {figures} |", flush=True)
                if score.wrong:
                    print(score.wrong, file=sys.stderr)
    return int(missing > 0)


def environments() -> Iterator[tuple[Path, Sequence[Case]]]:
    """Yield each environment and what is loaded in it; a missing one is installed."""
    for lock in _DATASETS:
        yield program("python", lock).parents[1], CASES["datasets"]
    newest = venv("loaders")
    yield newest, CASES["datasets"]
    yield newest, CASES["loaders"]
    yield training(), CASES["training"]


def training() -> Path:
    """Return the environment of the tools for training, from whichever index pip uses."""
    listed = LOCKS / "training.txt"

    def make(folder: Path) -> None:
        run(sys.executable, "-I", "-m", "venv", str(folder))
        run(str(folder / "bin/python"), "-I", "-m", "pip", "install", "--quiet", "-r", str(listed))

    return installed("bench-training", listed.read_text() + sys.version + sys.base_prefix, make)


def measured(written: Home, environment: Path, case: Case, spare: Path) -> tuple[str, Score]:
    """Return the version of the loader's package, and how much it returned."""
    package = _PACKAGES.get(case.loader, case.loader)
    asked = f"from importlib.metadata import version; print(version({package!r}))"
    answer = subprocess.run(
        [environment / "bin/python", "-Ic", asked], capture_output=True, text=True, check=bool(package)
    )
    ran = loading(environment, [[case.loader, str(written.root / case.path)]], spare / environment.name)
    if ran.returncode:
        return answer.stdout.strip(), Score(0, 1, 0, 1, ran.stderr.strip().splitlines()[-1])
    (loaded,) = json.loads(ran.stdout.splitlines()[-1])
    return answer.stdout.strip(), written.score(case, loaded)


if __name__ == "__main__":
    sys.exit(main())
