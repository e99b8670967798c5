"""The CPU cost of decoding, hashing and validating one image, beside Pillow and imagehash in the same run.

    .venv/bin/python benchmarks/bench_decode.py --pictures DIR    # your own JPEGs

"whole picture" is pixcore's earlier method: verify, a full decode, and both hashes by imagehash. All methods decode
the same files in this process, interleaved; only the start of a child and the whole validator use other processes.
"""

import hashlib
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import imagehash
from figures import arguments
from jpegs import originals
from PIL import Image, ImageStat

from pixcore.model.images import Accepted, Candidate, CandidateKey, Download
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.jpeg import outline
from pixcore_adapters.validator.picture import Limits, Picture
from pixcore_adapters.validator.pillow import PillowValidator

STARTS = {
    "python -c pass": ("-c", "pass"),
    "a decoder child": ("-c", "import pixcore_adapters.validator.child"),
    "the same with imagehash and scipy": (
        "-c",
        "import pixcore_adapters.validator.child, imagehash, PIL.Image; imagehash.phash(PIL.Image.new('L', (9, 9)))",
    ),
}


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, count=(60, 200), runs=(3, 5))
    paths = originals(args.pictures, args.count)
    size = statistics.mean(path.stat().st_size for path in paths)
    print(f"{len(paths)} JPEGs, mean {size / 1000:.0f} kB; medians of {args.runs} runs, one core")
    print(f"{'':32}{'ms of CPU':>10}{'images/s':>10}")
    methods: dict[str, Callable[[Path], object]] = {
        "Pillow load": load,
        "load, imagehash.phash": load_and_phash,
        "whole picture, as before": whole,
        "pixcore": now,
    }
    for name, seconds in compared(methods, paths, args.runs).items():
        print(f"{name:32}{1000 * seconds:10.2f}{1 / seconds:10.0f}")
    parent, children = validated(paths, args.runs)
    print(f"{'the validator: this process':32}{1000 * parent:10.2f}")
    print(f"{'the validator: its children':32}{1000 * children:10.2f}")
    print("\nstart-up, ms of CPU")
    for name, command in STARTS.items():
        print(f"{name:32}{1000 * started(command, args.runs):10.0f}")


def load(path: Path) -> None:
    """Decode every pixel, and nothing else."""
    with Image.open(path) as image:
        image.load()


def load_and_phash(path: Path) -> None:
    """Decode and hash, as most scripts do."""
    with Image.open(path) as image:
        imagehash.phash(image)


def whole(path: Path) -> None:
    """Compute everything that pixcore records about an image, from the whole picture."""
    data = path.read_bytes()
    outline(data, 100)
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        grey = image.convert("L")
    hashlib.sha256(data).hexdigest()
    _ = imagehash.phash(grey), imagehash.dhash(grey), ImageStat.Stat(grey).stddev


def now(path: Path) -> None:
    """Compute the same as pixcore does now."""
    if not isinstance(decode(path, Limits()), Picture):
        raise SystemExit(f"pixcore rejected {path}")


def compared(methods: dict[str, Callable[[Path], object]], paths: Sequence[Path], runs: int) -> dict[str, float]:
    """Return the median CPU seconds an image of each method; the methods run interleaved."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(runs):
        for name, method in methods.items():
            began = time.process_time()
            for path in paths:
                method(path)
            seconds[name].append((time.process_time() - began) / len(paths))
    return {name: statistics.median(found) for name, found in seconds.items()}


def validated(paths: Sequence[Path], runs: int) -> tuple[float, float]:
    """Return the CPU seconds an image of the validator's own process, and of its children without their start."""
    downloads = [
        Download(Candidate(CandidateKey("bench", "", number), path.name), path, 1, datetime.now(UTC))
        for number, path in enumerate(paths)
    ]
    parent = []
    few, many = (children_of(downloads * times) for times in (1, runs + 1))
    with PillowValidator() as validator:
        judge(validator, downloads)
        for _ in range(runs):
            began = time.process_time()
            judge(validator, downloads)
            parent.append((time.process_time() - began) / len(paths))
    return statistics.median(parent), (many - few) / (runs * len(paths))


def children_of(downloads: Sequence[Download]) -> float:
    """Return the CPU seconds of the one child that validates the downloads, its start included."""
    before = cpu_of_children()
    with PillowValidator(workers=1) as validator:
        judge(validator, downloads)
    return cpu_of_children() - before


def judge(validator: PillowValidator, downloads: Sequence[Download]) -> None:
    """Validate the downloads; exit unless all are accepted."""
    if not all(isinstance(verdict, Accepted) for verdict in validator.validate(downloads)):
        raise SystemExit("not every picture was accepted")


def started(command: Sequence[str], runs: int) -> float:
    """Return the median CPU seconds of a Python process with these arguments."""
    seconds = []
    for _ in range(runs):
        before = cpu_of_children()
        subprocess.run((sys.executable, "-P", *command), env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, check=True)
        seconds.append(cpu_of_children() - before)
    return statistics.median(seconds)


def cpu_of_children() -> float:
    """Return the CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
