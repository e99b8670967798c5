"""The resizing of img2dataset alone, in as many processes as it uses itself: files of a folder become tar shards.

    PYTHON benchmarks/img2dataset_resizing.py FOLDER OUT SIZE QUALITY

PYTHON is that of img2dataset's environment. Each shard holds 250 images and their sizes as JSON, like its webdatasets.
Prints JSON: when the work began and ended, and how many images there are.
"""

import io
import json
import multiprocessing
import os
import sys
import tarfile
import time
from pathlib import Path

from img2dataset.resizer import Resizer  # type: ignore[import-not-found] # in its own environment

SHARD = 250


def main(folder: str, out: str, size: str, quality: str) -> None:
    """Convert the files, and print the times."""
    paths = sorted(Path(folder).iterdir())
    shards = [
        (paths[first : first + SHARD], Path(out) / f"{first // SHARD:05}.tar", int(size), int(quality))
        for first in range(0, len(paths), SHARD)
    ]
    began = time.time()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:  # img2dataset spawns, too
        images = sum(pool.starmap(convert, shards))
    print(json.dumps({"began": began, "ended": time.time(), "images": images}))


def convert(paths: list[Path], target: Path, size: int, quality: int) -> int:
    """Write one shard; return how many images it has."""
    resize = Resizer(size, "keep_ratio", False, encode_format="webp", encode_quality=quality)
    images = 0
    with tarfile.open(target, "w") as shard:
        for path in paths:
            data, width, height, original_width, original_height, error = resize(io.BytesIO(path.read_bytes()))
            if error:
                raise SystemExit(f"img2dataset cannot convert {path}: {error}")
            row = {"width": width, "height": height, "original_width": original_width}
            row |= {"original_height": original_height, "file": path.name}
            for name, content in ((f"{path.stem}.webp", data), (f"{path.stem}.json", json.dumps(row).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
            images += 1
    return images


if __name__ == "__main__":
    main(*sys.argv[1:])
