"""The minimal job: fetch, decode, hash and zip, in as many processes as there are cores.

    .venv/bin/python benchmarks/floor.py list.txt FOLDER 500

It has no listing, no checks, no status database, no search for duplicates, no files but the archives, and no fault
tolerance. It decodes a JPEG as pixcore's validator does. It prints when the first fetch began and when the last
archive was complete.
"""

import hashlib
import json
import multiprocessing
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pycurl
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
    rows: list[tuple[str | int | float, ...]] = []
    with zipfile.ZipFile(archive, "w") as packed:
        for url, data in fetched(urls):
            packed.writestr(url.rpartition("/")[2], data)
            rows.append((url, hashlib.sha256(data).hexdigest(), *hashes(data)))
        packed.writestr("metadata.jsonl", "\n".join(map(json.dumps, rows)))
    return began, time.time()


def fetched(urls: list[str]) -> Iterator[tuple[str, bytes]]:
    """Fetch ``IN_FLIGHT`` images at a time. Each is decoded and stored at once, while the other fetches wait."""
    multi = pycurl.CurlMulti()
    left = iter(urls)
    bodies: dict[pycurl.Curl, BytesIO] = {}

    def start(handle: pycurl.Curl) -> None:
        if url := next(left, None):
            bodies[handle] = BytesIO()
            handle.setopt(pycurl.URL, url)
            handle.setopt(pycurl.FAILONERROR, 1)
            handle.setopt(pycurl.WRITEDATA, bodies[handle])
            multi.add_handle(handle)

    for _ in range(IN_FLIGHT):
        start(pycurl.Curl())
    while bodies:
        multi.perform()
        _, done, failed = multi.info_read()
        if failed:
            raise SystemExit(f"a fetch failed: {failed}")
        for handle in done:
            multi.remove_handle(handle)
            yield handle.getinfo(pycurl.EFFECTIVE_URL), bodies.pop(handle).getvalue()
            start(handle)
        if not done:
            multi.select(1.0)


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
