"""Photographs to 256 pixels in WebP: ``pixcore export`` beside the resizing of img2dataset, in turns.

    .venv/bin/python benchmarks/bench_resize.py --pictures DIR    # your own JPEGs

pixcore exports a dataset that is stored already: it reads the archives, converts in killable children, and writes
webdataset shards with rows. img2dataset does not read stored datasets, so its ``Resizer`` alone runs here, on files,
without downloading, in as many processes as img2dataset starts; see ``img2dataset_resizing.py``. Both write WebP of one
quality, with the shorter side resized to --size.

Similarity is SSIM (Gaussian window of 11 pixels, on luma) to Pillow's Lanczos filter on the full decode; for pixcore,
which manages colours, that decode is converted to sRGB and turned upright. "Pixels" are those of pixcore before WebP
loses something.
"""

import io
import json
import statistics
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from attrs import frozen
from figures import arguments, interleaved, median, print_figure, ratio
from jpegs import PAINTED, marked, originals
from numpy.typing import NDArray
from peers import program, version
from PIL import Image
from process_cost import Cost, run
from scipy.ndimage import gaussian_filter

from pixcore.model.conversion import Conversion
from pixcore_adapters.converter.colours import to_srgb
from pixcore_adapters.converter.converting import convert
from pixcore_adapters.rendering import orientation, upright
from pixcore_adapters.validator.picture import Limits

HERE = Path(__file__).parent
PEER = "img2dataset's resizing"


@frozen
class Run:
    """One run: its cost, and its results in the order of the files' names."""

    cost: Cost
    results: list[bytes]

    @property
    def rate(self) -> float:
        """Images a second, start-up included."""
        return len(self.results) / self.cost.seconds

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU an image, start-up included."""
        return 1000 * self.cost.cpu / len(self.results)

    @property
    def peak(self) -> float:
        """Peak memory of all processes together, in MB."""
        return self.cost.peak() / 1e6


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, count=(300, 1000), runs=(2, 5), quality=(90, 90), size=(256, 256))
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as scratch:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        paths = originals(args.pictures, args.count if args.pictures else min(args.count, PAINTED))
        for number in range(args.count):
            data = paths[number % len(paths)].read_bytes()
            (photos / f"{number:06}.jpg").write_bytes(marked(data, number))
        dataset = store(Path(scratch), photos)
        found = interleaved(
            args.runs,
            {
                "pixcore export": partial(pixcore, dataset=dataset, size=args.size, quality=args.quality),
                PEER: partial(img2dataset, photos=photos, size=args.size, quality=args.quality),
            },
        )
        ours, theirs = found.values()
        print(f"{args.count} JPEGs to {args.size} pixels, WebP of quality {args.quality}, {args.runs} interleaved runs")
        print(f"Pillow and simplejpeg beside img2dataset {version('img2dataset', 'img2dataset')}; medians")
        print(f"{'':28}{'images/s':>10}{'CPU ms':>8}{'peak MB':>9}{'bytes':>9}{'SSIM':>8}{'5 % below':>11}")
        files = sorted(photos.iterdir())
        similar = {
            name: similarities(
                map(opened, runs[0].results), (reference(path, args.size, managed=name != PEER) for path in files)
            )
            for name, runs in found.items()
        }
        for name, runs in found.items():
            mean_bytes = statistics.mean(map(len, runs[0].results))
            print(
                f"{name:28}{median(runs, lambda one: one.rate):10.1f}{median(runs, lambda one: one.cpu):8.2f}"
                f"{median(runs, lambda one: one.peak):9.0f}{mean_bytes:9.0f}"
                f"{statistics.mean(similar[name]):8.4f}{similar[name][len(files) // 20]:11.4f}"
            )
        pixels = similarities(
            (scaled(path, args.size) for path in files), (reference(path, args.size, managed=True) for path in files)
        )
        print()
        print_figure("times the images/s of img2dataset", ratio(ours, theirs, lambda one: one.rate), least=1.5)
        print_figure("times its images in a second of CPU", 1 / ratio(ours, theirs, lambda one: one.cpu), least=1.5)
        print_figure("share of its memory", ratio(ours, theirs, lambda one: one.peak), most=0.5)
        print_figure("SSIM of the WebP files, mean", statistics.mean(similar["pixcore export"]), least=0.98)
        print_figure("SSIM of the pixels, mean", statistics.mean(pixels), least=0.98)
        print_figure("SSIM of the pixels, worst", pixels[0], least=0.98)


def similarities(results: Iterable[Image.Image], references: Iterable[Image.Image]) -> list[float]:
    """Return the similarity of each pair of pictures, in rising order."""
    return sorted(ssim(one, other) for one, other in zip(results, references, strict=True))


def store(scratch: Path, photos: Path) -> Path:
    """Make the dataset that is exported; return the folder in which the command finds it."""
    folder = scratch / "dataset"
    folder.mkdir()
    command = [
        pixcore_command(),
        "run",
        "--source",
        f"folder:{photos}",
        "--dataset",
        "bench",
        "--near",
        "off",
        "--quiet",
    ]
    run(command, folder)
    return folder


def pixcore_command() -> Path:
    """Return the path of the command of this environment."""
    return Path(sys.executable).with_name("pixcore")


def pixcore(folder: Path, dataset: Path, size: int, quality: int) -> Run:
    """Export the dataset."""
    options = ("--format", "webdataset", "--out", folder / "shards", "--size", str(size), "--resize", "keep-ratio")
    command = [pixcore_command(), "export", "bench", *options, "--encode", "webp", "--quality", str(quality), "--quiet"]
    cost = run(command, dataset)
    found = [
        (str(json.loads(row)["url"]), image)
        for path in sorted((folder / "shards").glob("*.tar"))
        for image, row in members(path, ".jpg")  # a webdataset names every image so
    ]
    return Run(cost, [image for _, image in sorted(found)])


def img2dataset(folder: Path, photos: Path, size: int, quality: int) -> Run:
    """Convert the files by img2dataset."""
    python = program("img2dataset", "img2dataset").with_name("python")
    (folder / "shards").mkdir()
    arguments_ = (photos, folder / "shards", str(size), str(quality))
    # the variable keeps albumentations, which img2dataset uses, from looking for updates on the network
    cost = run([python, HERE / "img2dataset_resizing.py", *arguments_], folder, {"NO_ALBUMENTATIONS_UPDATE": "1"})
    shards = sorted((folder / "shards").glob("*.tar"))
    return Run(cost, [image for path in shards for image, _ in members(path, ".webp")])


def members(shard: Path, suffix: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the images of a tar file, each with its row as JSON."""
    images, rows = {}, {}
    with tarfile.open(shard) as opened_shard:
        for member in opened_shard:
            file = opened_shard.extractfile(member)
            if file and member.name.endswith((suffix, ".json")):
                kind = images if member.name.endswith(suffix) else rows
                kind[member.name.partition(".")[0]] = file.read()
    yield from ((images[key], rows[key]) for key in images)


def opened(data: bytes) -> Image.Image:
    """Decode a result."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def reference(path: Path, size: int, *, managed: bool) -> Image.Image:
    """Decode a file fully and scale it by Pillow's Lanczos filter; if ``managed``, also in sRGB and upright."""
    file = Image.open(path)
    image = (to_srgb(file, file.info["icc_profile"]) if managed and "icc_profile" in file.info else None) or file
    image = image.convert("RGB")
    side = min(image.size)
    scaled_size = round(image.width * size / side), round(image.height * size / side)
    image = image.resize(scaled_size, Image.Resampling.LANCZOS)
    return upright(image, orientation(file)) if managed else image


def scaled(path: Path, size: int) -> Image.Image:
    """Return the pixels of pixcore before they are encoded with loss."""
    return opened(convert(path.read_bytes(), Conversion(size, encode="png"), Limits()).data)


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Return the structural similarity of two pictures of one size."""
    a, b = (np.asarray(image.convert("L"), np.float64) for image in (one, other))
    mean_a, mean_b = blurred(a), blurred(b)
    together = blurred(a * b) - mean_a * mean_b
    apart = blurred(a * a) - mean_a**2 + blurred(b * b) - mean_b**2
    light = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
    return float((light * (2 * together + 58.5225) / (apart + 58.5225)).mean())


def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the values in a Gaussian window of 11 pixels."""
    found: NDArray[np.float64] = gaussian_filter(values, 1.5, truncate=3.5)
    return found


if __name__ == "__main__":
    main()
