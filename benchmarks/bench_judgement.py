"""What a chunk takes for copies of a picture: false drops by kind, recall by kind of copy, which twin stays, the cost.

    .venv/bin/python benchmarks/bench_judgement.py
    .venv/bin/python benchmarks/bench_judgement.py --full --pictures DIR  # photographs of your own, all different

Every kind is a set of pictures that look alike and are all different: each one that is dropped is lost. Pictures are
proposed and confirmed as in a chunk, by the validator's small grey pictures and by the files. The cost of proposing is
that of groups of 32 images beside all earlier ones, without the import of numpy and the making of the matrix.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from attrs import frozen
from figures import arguments, print_figure
from kinds import COPIES, KINDS, PLAIN, saved
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
    args = arguments(__doc__, pictures=True, count=(30, 200), originals=(8, 60))
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


if __name__ == "__main__":
    main()
