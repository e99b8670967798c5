"""How many damaged files of each kind are found, and how many sound ones are refused.

    .venv/bin/python benchmarks/bench_damage.py --pictures DIR    # JPEGs of your own

Each photograph is broken in every way, once as it is and once as a progressive JPEG. Each way leaves the end marker in
place, so that only the pixels tell.
"""

import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from figures import arguments
from jpegs import originals
from PIL import Image

from pixcore_adapters.validator.decode import decode
from pixcore_adapters.validator.jpeg import outline
from pixcore_adapters.validator.picture import Limits, Picture

PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\r\n" * 50
HOLE = 4096  # bytes


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, pictures=True, count=(30, 200), runs=(1, 1))
    files = [path.read_bytes() for path in originals(args.pictures, args.count)]
    progressive = [_progressive(data) for data in files]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        print(f"{'damaged files found, of':32}{len(files):>10}{'progressive':>14}")
        for kind in KINDS:
            found = [
                sum(not _accepted(path, _broken(data, kind, n)) for n, data in enumerate(some))
                for some in (files, progressive)
            ]
            print(f"{kind:32}{found[0]:10}{found[1]:14}")
        refused = [sum(not _accepted(path, data) for data in some) for some in (files, progressive)]
        print(f"{'sound files refused':32}{refused[0]:10}{refused[1]:14}")
    sys.exit(bool(sum(refused)))


KINDS = (
    *("half", "the last tenth gone", "the last hundredth gone", "a hole", "zeroed", "overwritten"),
    *("a web page over it", "a web page inside", "a small hole", "a few bytes zeroed"),
)


def _broken(data: bytes, kind: str, seed: int) -> bytes:
    chance, scans = np.random.default_rng(seed), outline(data, 100).scans
    start, end = scans[0].start, scans[-1].end
    size = min(HOLE, (end - start) // 3)
    place = int(chance.integers(start, end - size))
    kept = {"half": 0.5, "the last tenth gone": 0.9, "the last hundredth gone": 0.99}
    if kind in kept:
        return data[: start + int((end - start) * kept[kind])] + data[end:]
    inserted, removed = {
        "a hole": (b"", size),
        "zeroed": (bytes(size), size),
        "overwritten": (chance.bytes(size), size),
        "a web page over it": (PAGE[:size], size),
        "a web page inside": (PAGE[:size], 0),
        "a small hole": (b"", size // 8),
        "a few bytes zeroed": (bytes(size // 8), size // 8),
    }[kind]
    return data[:place] + inserted + data[place + removed :]


def _progressive(data: bytes) -> bytes:
    file = BytesIO()
    with Image.open(BytesIO(data)) as image:
        image.save(file, "JPEG", progressive=True, quality="keep")
    return file.getvalue()


def _accepted(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    return isinstance(decode(path, Limits()), Picture)


if __name__ == "__main__":
    main()
