"""Recall of the default near-duplicate rule on variants of pictures, for pixcore's hashes and for imagehash's.

    .venv/bin/python benchmarks/bench_accuracy.py --full          # painted pictures
    .venv/bin/python benchmarks/bench_accuracy.py --pictures DIR  # photographs of your own, all different

imagehash hashes the whole picture, pixcore a scaled one. Recall is the percentage of originals that are near their
variant. False pairs are different originals that are near each other. Painted pictures have fewer details than
photographs, so only figures from photographs are meaningful.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from itertools import combinations, cycle, islice
from pathlib import Path

import imagehash
import numpy as np
from figures import arguments
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from pixcore.model.quality import Fingerprint, NearRule
from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.picture import Limits, Picture
from pixcore_runners.demo.pictures import paint
from pixcore_runners.demo.scenes import SCENES

RULE = NearRule()
Change = Callable[[Image.Image], bytes]
Hashing = Callable[[bytes], Fingerprint]


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, count=(50, 100))
    originals = photographs(args.pictures, args.count) if args.pictures else painted(args.count)
    with tempfile.TemporaryDirectory(prefix="pixcore-bench-") as scratch:
        hashings: Mapping[str, Hashing] = {"imagehash": whole, "pixcore": Small(Path(scratch) / "picture")}
        print(f"{len(originals)} originals; phash <= {RULE.phash} and dhash <= {RULE.dhash} of 64 bits; recall in %")
        print(f"{'':18}" + "".join(f"{name:>12}" for name in hashings))
        firsts = {name: [hashing(data) for data in originals] for name, hashing in hashings.items()}
        recalls: dict[str, list[float]] = {name: [] for name in hashings}
        for variant, change in VARIANTS.items():
            changed = [change(Image.open(BytesIO(data)).convert("RGB")) for data in originals]
            for name, hashing in hashings.items():
                found = [RULE.holds(first, hashing(data)) for first, data in zip(firsts[name], changed, strict=True)]
                recalls[name].append(100 * sum(found) / len(found))
            print(f"{variant:18}" + "".join(f"{recall[-1]:12.1f}" for recall in recalls.values()), flush=True)
        print(f"{'mean':18}" + "".join(f"{np.mean(recall):12.1f}" for recall in recalls.values()))
        print(f"{'false pairs':18}" + "".join(f"{false_pairs(prints):12}" for prints in firsts.values()))
        print(f"of {len(originals) * (len(originals) - 1) // 2:,} pairs; bits that differ from imagehash's hashes:")
        for name in ("phash", "dhash"):
            bits = [
                (getattr(one, name) ^ getattr(other, name)).bit_count()
                for one, other in zip(*firsts.values(), strict=True)
            ]
            print(f"{name}: 0 bits for {bits.count(0) / len(bits):.0%}, mean {np.mean(bits):.2f}, at most {max(bits)}")


def whole(data: bytes) -> Fingerprint:
    """Return imagehash's hashes of the fully decoded picture, the reference."""
    with Image.open(BytesIO(data)) as image:
        phash, dhash = (int(str(hashed(image)), 16) for hashed in (imagehash.phash, imagehash.dhash))
    return Fingerprint(phash, dhash, "imagehash", flat=False)


class Small:
    """Hash a file as pixcore does; the file is written to ``path`` first."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, data: bytes) -> Fingerprint:
        """Decode as the validator's child does."""
        self._path.write_bytes(data)
        outcome = decode(self._path, Limits())
        if not isinstance(outcome, Picture):
            raise SystemExit(f"pixcore rejected a picture: {outcome}")
        return outcome.fingerprint


def false_pairs(prints: Sequence[Fingerprint]) -> int:
    """Count the pairs of different pictures that the rule calls near."""
    return sum(RULE.holds(one, other) for one, other in combinations(prints, 2))


def saved(image: Image.Image, format_: str = "JPEG", **options: int) -> bytes:
    """Encode an image, by default at a JPEG quality that is common on the web."""
    file = BytesIO()
    image.save(file, format_, **({"quality": 88} | options if format_ == "JPEG" else options))
    return file.getvalue()


def resized(share: float) -> Change:
    """Scale both sides by this factor."""
    return lambda image: saved(image.resize((int(image.width * share), int(image.height * share))))


def cropped(share: float) -> Change:
    """Cut this share off the width and the height, evenly on all sides."""

    def crop(image: Image.Image) -> bytes:
        across, down = round(image.width * share / 2), round(image.height * share / 2)
        return saved(image.crop((across, down, image.width - across, image.height - down)))

    return crop


def watermarked(image: Image.Image) -> bytes:
    """Write white text along the lower edge."""
    size = image.height // 12
    ImageDraw.Draw(image).text((size, image.height - 2 * size), "(c) example photographs", "white", font_size=size)
    return saved(image)


VARIANTS: Mapping[str, Change] = {
    "resize 0.5": resized(0.5),
    "resize 0.25": resized(0.25),
    "JPEG q40": lambda image: saved(image, quality=40),
    "JPEG q15": lambda image: saved(image, quality=15),
    "PNG": lambda image: saved(image, "PNG", compress_level=1),
    "crop 5 %": cropped(0.05),
    "crop 10 %": cropped(0.1),
    "flip": lambda image: saved(ImageOps.mirror(image)),
    "brightness +20 %": lambda image: saved(ImageEnhance.Brightness(image).enhance(1.2)),
    "grayscale": lambda image: saved(image.convert("L")),
    "watermark": watermarked,
    "border 3 %": lambda image: saved(ImageOps.expand(image, round(0.03 * image.width), "white")),
    "rotation 2°": lambda image: saved(image.rotate(2, Image.Resampling.BICUBIC)),
}


def photographs(folder: Path, count: int) -> list[bytes]:
    """Read the first files of a folder."""
    return [path.read_bytes() for path in sorted(folder.iterdir())[:count]]


def painted(count: int) -> list[bytes]:
    """Paint scenes of the demo, and soft shapes under grain. Nothing ensures that they all differ."""
    rng = np.random.default_rng(0)
    scenes = [saved(paint(painter, rng)) for painter in islice(cycle(SCENES.values()), count // 2)]
    return scenes + [saved(shapes(rng)) for _ in range(count - len(scenes))]


def shapes(rng: np.random.Generator) -> Image.Image:
    """Paint random colours at several scales, 500 x 375 pixels."""
    pixels = np.full((375, 500, 3), 128.0)
    for cells, weight in ((3, 60), (7, 40), (20, 20), (60, 8)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pixels += weight * (np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC)) / 128.0 - 1)
    return Image.fromarray((pixels + rng.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
