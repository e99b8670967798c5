"""The parts of the job with nothing around them: fetch, decode, hash, zip, as many processes as cores.

    .venv/bin/python benchmarks/floor.py list.txt FOLDER 500

No listing, no checks, no status, no memory of what was seen, no files but the archives, nothing that survives a fault.
The decoding is that of pixcore's validator for a JPEG. Prints when the first fetch began and the last archive was
whole.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import aiohttp
from PIL import Image, ImageStat

from pixcore_adapters.validator.hashes import dhash, phash

IN_FLIGHT = 16  # as many as pixcore has at one host
SIDE = 80


def main() -> None:
    """Work the list off, and say when."""
    urls, into, size = Path(sys.argv[1]).read_text().split(), Path(sys.argv[2]), int(sys.argv[3])
    chunks = [(into / f"{start}.zip", urls[start : start + size]) for start in range(0, len(urls), size)]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        times = pool.starmap(chunk, chunks, chunksize=1)
    print(json.dumps({"began": min(began for began, _ in times), "ended": max(ended for _, ended in times)}))


def chunk(archive: Path, urls: list[str]) -> tuple[float, float]:
    """Make one archive; gives when it began and ended."""
    began = time.time()
    asyncio.run(pack(archive, urls))
    return began, time.time()


async def pack(archive: Path, urls: list[str]) -> None:
    """Fetch so many at a time; what has come is decoded and stored before anything else happens."""
    with zipfile.ZipFile(archive, "w") as packed:
        todo = iter(urls)

        async def work() -> None:
            for url in todo:
                async with session.get(url) as response:
                    data = await response.read()
                packed.writestr(url.rpartition("/")[2], data)
                rows.append((url, hashlib.sha256(data).hexdigest(), *hashes(data)))

        rows: list[tuple[str | int | float, ...]] = []
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        packed.writestr("metadata.jsonl", "\n".join(map(json.dumps, rows)))


def hashes(data: bytes) -> tuple[int, int, float]:
    """Both hashes, and how much contrast there is."""
    with Image.open(BytesIO(data)) as image:
        image.draft("L", (SIDE, SIDE))
        image.load()
        grey = image.convert("L")
    small = grey.reduce(max(1, min(grey.size) // SIDE))
    return phash(small), dhash(small), ImageStat.Stat(small).stddev[0]


if __name__ == "__main__":
    main()
