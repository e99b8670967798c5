"""The usual way without pixcore: icrawler fetches a list, then a script opens, hashes and zips the images.

    .venv/bin/python benchmarks/crawl.py list.txt FOLDER THREADS

Prints when it began, when the last image was stored, when icrawler returned, when it ended, and the number of images.
"""

import hashlib
import json
import logging
import sys
import time
import zipfile
from pathlib import Path

import imagehash
from icrawler.builtin import UrlListCrawler
from PIL import Image

CHUNK = 500


def main() -> None:
    """Crawl and pack, and print the times."""
    urls, into, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    began = time.time()
    crawler = UrlListCrawler(
        downloader_threads=threads, storage={"root_dir": str(into / "images")}, log_level=logging.CRITICAL
    )
    crawler.crawl(urls, max_num=len(Path(urls).read_text().split()))
    returned = time.time()
    paths = sorted((into / "images").iterdir())
    last = max(path.stat().st_mtime for path in paths)
    packed = sum(pack(into / f"{start}.zip", paths[start : start + CHUNK]) for start in range(0, len(paths), CHUNK))
    ended = time.time()
    print(json.dumps({"began": began, "last": last, "returned": returned, "ended": ended, "images": packed}))


def pack(archive: Path, paths: list[Path]) -> int:
    """Pack each sound picture with a new phash, and its metadata; return the number of pictures."""
    seen = {}
    with zipfile.ZipFile(archive, "w") as packed:
        for path in paths:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            with Image.open(path) as image:
                image.verify()
            with Image.open(path) as image:
                phash, dhash = str(imagehash.phash(image)), str(imagehash.dhash(image))
            if phash not in seen:
                seen[phash] = {"file_name": path.name, "sha256": digest, "phash": phash, "dhash": dhash}
                packed.write(path, path.name)
        packed.writestr("metadata.jsonl", "\n".join(map(json.dumps, seen.values())))
    return len(seen)


if __name__ == "__main__":
    main()
