"""The minimal job: fetch, decode, hash and zip, in as many processes as there are cores.

    .venv/bin/python benchmarks/floor.py list.txt FOLDER 500

It has no listing, no checks, no status database, no search for duplicates, no files but the archives, and no fault
tolerance. It decodes a JPEG as pixcore's validator does. It prints when the first fetch began and when the last
archive was complete.
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

IN_FLIGHT = 16  # pixcore's limit for one host
SIDE = 80


def main() -> None:
    """Process the list, and print the times."""
    urls, into, size = Path(sys.argv[1]).read_text().split(), Path(sys.argv[2]), int(sys.argv[3])
    chunks = [(into / f"{start}.zip", urls[start : start + size]) for start in range(0, len(urls), size)]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        times = pool.starmap(chunk, chunks, chunksize=1)
    print(json.dumps({"began": min(began for began, _ in times), "ended": max(ended for _, ended in times)}))


def chunk(archive: Path, urls: list[str]) -> tuple[float, float]:
    """Write one archive; return when it began and ended."""
    began = time.time()
    asyncio.run(pack(archive, urls))
    return began, time.time()


async def pack(archive: Path, urls: list[str]) -> None:
    """Fetch ``IN_FLIGHT`` images at a time. Each is decoded and stored at once, while the other fetches wait."""
    with zipfile.ZipFile(archive, "w") as packed:
        pending = iter(urls)

        async def fetch_all() -> None:
            for url in pending:
                async with session.get(url) as response:
                    data = await response.read()
                packed.writestr(url.rpartition("/")[2], data)
                rows.append((url, hashlib.sha256(data).hexdigest(), *hashes(data)))

        rows: list[tuple[str | int | float, ...]] = []
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await asyncio.gather(*(fetch_all() for _ in range(IN_FLIGHT)))
        packed.writestr("metadata.jsonl", "\n".join(map(json.dumps, rows)))


def hashes(data: bytes) -> tuple[int, int, float]:
    """Return both hashes and the contrast."""
    with Image.open(BytesIO(data)) as image:
        image.draft("L", (SIDE, SIDE))
        image.load()
        grey = image.convert("L")
    small = grey.reduce(max(1, min(grey.size) // SIDE))
    return phash(small), dhash(small), ImageStat.Stat(small).stddev[0]


if __name__ == "__main__":
    main()
