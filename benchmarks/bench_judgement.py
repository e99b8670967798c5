"""What pixcore judges of images: false drops by kind, recall by kind of copy, damage by kind, flags, and the cost.

    .venv/bin/python benchmarks/bench_judgement.py
    .venv/bin/python benchmarks/bench_judgement.py --full --pictures DIR  # photographs of your own, all different
    .venv/bin/python benchmarks/bench_judgement.py --cleanvision PYTHON   # a Python that has cleanvision

Every kind is a set of pictures that look alike and are all different: each one that is dropped is lost. Pictures are
proposed and confirmed as in a chunk, by the validator's small grey pictures and by the files. The cost of proposing is
that of groups of 32 images beside all earlier ones, without the import of numpy and the making of the matrices.
Photographs are broken once as they are and once as progressive JPEGs.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from attrs import frozen
from damage import broken, progressive
from figures import arguments, print_figure
from kinds import CHANGES, COPIES, KINDS, PLAIN, saved
from numpy.typing import NDArray
from PIL import Image

from pixcore.filters.best_twin import second_is_better
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download
from pixcore_adapters.twins.finding import Finder
from pixcore_adapters.twins.proposing import Proposer
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.picture import Limits, Picture

LIMITS = Limits()
MOST = 8  # candidates that are compared, as in a chunk
GROUP = 32  # images that are proposed together, as in a chunk
LOST = {"photographs": 0.0, "colours": 2.0, "letters": 6.0}  # goals in percent; 1 for all other kinds
RESIZED = ("resize 0.5", "resize 0.25", "resize 1.4, PNG")
SAME = (*RESIZED, "JPEG q40", "PNG", "WebP q50", "rotation 2°", "EXIF orientation")
CROPS = ("crop 5 %", "crop 10 %", "crop 10 % of one side", "crop 10 % of each side")
RECALL = {  # goals in percent, for photographs
    **dict.fromkeys(SAME, 98),
    **dict.fromkeys(CROPS, 95),
    "border 3 %": 90,
    "mirrored": 90,
    "watermark": 75,
}
DAMAGE = 99.0  # goal in percent for each way to break a file
# Flags whose test is the same as cleanvision's, and the others: pixcore measures information on averages of pixels,
# calls pictures without colours grey whatever their file says, and tests blur at one size for all pictures.
SHARED_FLAGS, OTHER_FLAGS = ("dark", "light", "odd_aspect"), ("low_information", "grayscale", "blurry")
AGREEMENT = 98.0  # goal in percent
FLAGS_OF_CLEANVISION = Path(__file__).parent / "cleanvision_flags.py"


@frozen
class Files:
    """Writes pictures into a folder and has them decoded."""

    folder: Path

    def accepted(self, name: str, data: bytes) -> Accepted:
        """Write a file, and return what the validator gives of it."""
        path = self.folder / name
        path.write_bytes(data)
        picture = decode(path, LIMITS)
        if not isinstance(picture, Picture):
            raise SystemExit(f"refused: {picture}")
        download = Download(Candidate(CandidateKey("bench", "", 0), name), path, len(data), datetime.now(UTC))
        return Accepted(
            download, picture.sha256, picture.width, picture.height, picture.format, picture.fingerprint, picture.grey
        )

    def drawn(self, kind: str, count: int) -> list[Accepted]:
        """Draw pictures of a kind: photographs are JPEGs, all others PNGs."""
        options: dict[str, int] = {} if kind == "photographs" else {"compress_level": 1}
        format_ = "JPEG" if kind == "photographs" else "PNG"
        pictures = enumerate(KINDS[kind](count))
        return [self.accepted(f"{kind}-{n}", saved(picture, format_, **options)) for n, picture in pictures]

    def given(self, folder: Path, count: int) -> list[Accepted]:
        """Read the first files of a folder."""
        return [self.accepted(path.name, path.read_bytes()) for path in sorted(folder.iterdir())[:count]]


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, also=add_cleanvision, count=(30, 200), originals=(8, 60), broken=(20, 200))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as scratch:
        files = Files(Path(scratch))

        def photographs(count: int) -> list[Accepted]:
            return files.given(args.pictures, count) if args.pictures else files.drawn("photographs", count)

        print(f"{args.count} pictures of each kind, all different; lost, in %")
        for kind in KINDS:
            lost(kind, photographs(args.count) if kind == "photographs" else files.drawn(kind, args.count))
        found(files, "photographs", photographs(args.originals), COPIES)
        for kind in ("plots", "forms"):
            found(files, kind, files.drawn(kind, max(2, args.originals // 4)), PLAIN)
        jpegs = [image for image in photographs(args.broken) if image.format == "JPEG"]
        damaged(files.folder / "broken", [image.download.path.read_bytes() for image in jpegs])
        if args.cleanvision:
            agreement(files.folder / "flags", jpegs, args.cleanvision)
        else:
            print("flags were not compared with those of cleanvision; name a Python that has it by --cleanvision")


def add_cleanvision(parser: argparse.ArgumentParser) -> None:
    """Add the option for the comparison of flags."""
    parser.add_argument("--cleanvision", metavar="PYTHON", help="a Python that has cleanvision: compare flags with it")


def grey(image: Accepted) -> NDArray[np.uint8]:
    """Return the small grey picture, by which images are proposed."""
    return np.frombuffer(image.grey, np.uint8).reshape(32, 32)


def lost(kind: str, images: Sequence[Accepted]) -> None:
    """Print how many of a set of different pictures are taken for copies of earlier ones, and what it costs to tell."""
    Proposer().add([grey(images[0])])  # makes the matrix
    proposer, finder = Proposer(), Finder(LIMITS.formats)
    greys = list(map(grey, images))
    with_cpu = Cpu(len(images))
    proposed = [near for start in range(0, len(greys), GROUP) for near in proposer.add(greys[start : start + GROUP])]
    proposing = with_cpu.milliseconds()
    paths = [image.download.path for image in images]
    dropped = sum(
        bool(near and finder.find(path, [paths[other] for other in near[:MOST]]))
        for path, near in zip(paths, proposed, strict=True)
    )
    both = with_cpu.milliseconds()
    print_figure(f"{kind}: lost", 100 * dropped / len(images), most=LOST.get(kind, 1.0))
    pairs = sum(len(near[:MOST]) for near in proposed)
    print(f"      {pairs} pairs; ms of CPU an image: {proposing:.2f} to propose, {both - proposing:.1f} to confirm")
    if kind == "photographs":
        print_figure("CPU ms an image to propose and confirm", both, most=0.5)


class Cpu:
    """CPU time of this process since it was made, for each of so many images."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._began = time.process_time()

    def milliseconds(self) -> float:
        """Return the CPU time so far."""
        return 1000 * (time.process_time() - self._began) / self._images


def found(
    files: Files, kind: str, originals: Sequence[Accepted], copies: Mapping[str, Callable[[Image.Image], bytes]]
) -> None:
    """Print which copies are found, in percent, and how often the original stays beside them."""
    print(f"{kind}: copies of {len(originals)} that are found, in %; of the pairs, those whose original stays")
    recalls = []
    for name, change in copies.items():
        twins = list(compared(files, originals, change))
        recalls.append(100 * sum(kept is not None for kept in twins) / len(originals))
        goal = RECALL.get(name) if kind == "photographs" else None
        print_figure(name, recalls[-1], least=goal)
        pairs = [kept for kept in twins if kept is not None]
        print(f"      original stays: {sum(pairs)} of {len(pairs)}")
    print_figure(f"{kind}: mean", float(np.mean(recalls)), least=94 if kind == "photographs" else 88)


def compared(
    files: Files, originals: Sequence[Accepted], change: Callable[[Image.Image], bytes]
) -> Iterator[bool | None]:
    """Yield for each original whether it stays beside its copy, which comes first; None where no copy is found."""
    finder = Finder(LIMITS.formats)
    for number, original in enumerate(originals):
        with Image.open(original.download.path) as image:
            data = change(image.convert("RGB"))
        copy = files.accepted(f"copy-{number}-{time.monotonic_ns()}", data)
        _, near = Proposer().add([grey(copy), grey(original)])
        twin = finder.find(original.download.path, [copy.download.path]) if near else None
        yield None if twin is None else second_is_better(copy, original, twin.comparison.swapped())


def damaged(path: Path, photographs: Sequence[bytes]) -> None:
    """Print in percent how many JPEGs are found that are broken in each way, and how many sound ones are refused."""
    for name, jpegs in {"JPEG": photographs, "progressive JPEG": list(map(progressive, photographs))}.items():
        found, tried, refused = Counter[str](), Counter[str](), 0
        for seed, data in enumerate(jpegs):
            refused += not is_accepted(path, data)
            for way, bad in broken(data, seed):
                tried[way] += 1
                found[way] += not is_accepted(path, bad)
        print(f"{name}: broken files of {len(jpegs)} that are found, in %")
        for way, count in tried.items():
            print_figure(way, 100 * found[way] / count, least=DAMAGE)
        print_figure("sound ones refused, in %", 100 * refused / len(jpegs), most=0)


def is_accepted(path: Path, data: bytes) -> bool:
    """Return whether the validator accepts a file."""
    path.write_bytes(data)
    return isinstance(decode(path, LIMITS), Picture)


def agreement(folder: Path, photographs: Sequence[Accepted], python: str) -> None:
    """Print in percent for how many pictures each flag is as cleanvision sets it."""
    folder.mkdir()
    ours: dict[str, tuple[str, ...]] = {}
    for number, photograph in enumerate(photographs):
        with Image.open(photograph.download.path) as image:
            picture = image.convert("RGB")
        for change, changed in CHANGES.items():
            path = folder / f"{number}-{change}.png"
            changed(picture).save(path, compress_level=1)
            decoded = decode(path, LIMITS)
            ours[path.name] = decoded.measures.flags if isinstance(decoded, Picture) else ()
    command = [python, str(FLAGS_OF_CLEANVISION), str(folder)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"flags of {len(ours)} pictures that are as those of cleanvision, in %")
    for flag in (*SHARED_FLAGS, *OTHER_FLAGS):
        pairs = Counter((flag in ours[name], flag in theirs[name]) for name in ours)
        alike = 100 * (pairs[True, True] + pairs[False, False]) / len(ours)
        print_figure(flag, alike, least=AGREEMENT if flag in SHARED_FLAGS else None)
        print(
            f"      both {pairs[True, True]}, only pixcore {pairs[True, False]}, only cleanvision {pairs[False, True]}"
        )


if __name__ == "__main__":
    main()
