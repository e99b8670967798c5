"""A report of thousands of images: the time to write it, its size, and the time until a browser shows it.

    .venv/bin/python benchmarks/bench_report.py --full

The archives repeat 250 different JPEG files of 800 x 600 pixels; each image has its own row. Headless Chromium opens
the page in a new context each time. Measured are the time until it has loaded, and until every thumbnail on the first
page of the contact sheet is decoded. A filter is timed from the key press to the next frame.
"""

import hashlib
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from figures import arguments

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from browser.chromium import Browser, browser
from pictures import encoded, photo
from reports import a_row, stored_dataset

from pixcore.model.rows import Row
from pixcore_adapters.blob_store.local import LocalBlobStore
from pixcore_adapters.outputs.report.page import write

CHUNK = 500
FILES = 250
SHOWN = """new Promise((done) => {
  const look = () => [...document.querySelectorAll('#sheet img')].every((one) => one.complete && one.naturalWidth)
    ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""
FILTERED = """new Promise((done) => {
  const began = performance.now();
  const field = document.querySelector('[name=text]');
  field.value = 'number 7';
  field.dispatchEvent(new Event('input', { bubbles: true }));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
})"""


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, images=(2000, 10_000), runs=(3, 5))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        files = [encoded(photo(seed, 800, 600), quality=85) for seed in range(FILES)]
        images = [(_row(number), files[number % FILES]) for number in range(args.images)]
        chunks = [images[start : start + CHUNK] for start in range(0, args.images, CHUNK)]
        dataset = stored_dataset(Path(folder), chunks, LocalBlobStore(Path(folder) / "blobs"))
        before = resource.getrusage(resource.RUSAGE_SELF)
        began = time.monotonic()
        size = write(dataset.report(), page)
        seconds = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        print(f"{args.images:,} images, {size / 1e6:.1f} MB, {size / args.images:.0f} bytes an image")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"written in {seconds:.1f} s, {cpu:.1f} s of CPU;"
            f" peak memory grew by {(after.ru_maxrss - before.ru_maxrss) / 1024:.0f} MiB"
        )
        with browser() as chromium:
            print(f"Chromium, medians (worst) of {args.runs}, in seconds:")
            opened = [_opened(chromium, page) for _ in range(args.runs)]
        for name, times in zip(
            ("loaded", "first thumbnails seen", "text filter"), zip(*opened, strict=True), strict=True
        ):
            print(f"  {name:22} {statistics.median(times):6.2f} ({max(times):.2f})")


def _row(number: int) -> Row:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return a_row(
        number,
        keyword=("red panda", "garden flower", "city skyline")[number % 3],
        source=("openverse", "commons")[number % 2],
        license=("cc0", "by", "by-sa", "pdm")[number % 4],
        license_url="https://creativecommons.org/licenses/by-sa/4.0/",
        url=f"https://upload.example.org/wikipedia/commons/{digest[:2]}/{digest[:24]}/1024px-picture.jpg",
        page_url=f"https://commons.example.org/wiki/File:{digest[:24]}.jpg",
        title=f"A picture of something, number {number}",
        creator=f"Somebody {number % 2500}",
        sha256=digest,
        phash=digest[:16],
        dhash=digest[16:32],
        hash_method="imagehash-4.3.2/pillow-13.0.0",
        width=800,
        height=600,
    )


def _opened(chromium: Browser, page: Path) -> tuple[float, float, float]:
    began = time.monotonic()
    chromium.open(page)
    loaded = time.monotonic() - began
    return loaded, chromium("evaluate", SHOWN) / 1000, chromium("evaluate", FILTERED) / 1000


if __name__ == "__main__":
    main()
