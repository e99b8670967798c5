"""Fetch every image of a site with the web downloader of the pixcore on the path, and print the CPU of a fetch.

    .venv/bin/python benchmarks/fetches.py ADDRESS NAMES FOLDER

NAMES is a file with a name of an image a line. Some fetches before do not count. The program imports nothing that an
earlier version of pixcore lacks.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

try:
    from pixcore.model.images import Candidate, CandidateKey
    from pixcore.model.requests import Slice
except ImportError:  # an earlier version
    from pixcore.model import Candidate, CandidateKey, Slice
from pixcore_adapters.downloader.fetch.policy import FetchPolicy
from pixcore_adapters.downloader.web import WebDownloader

WARM_UP = 100  # images


class Source:
    """Proposes the images in order, again and again, under different URLs."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls

    def candidates(self, slice_: Slice, _pages: object) -> Iterator[Candidate]:
        """Yield the candidates of a slice."""
        for position in range(slice_.start, slice_.stop):
            url = f"{self._urls[position % len(self._urls)]}?{position}"
            yield Candidate(CandidateKey("urls", "", position), url)


def main() -> None:
    """Fetch, and print the seconds of CPU of a fetch."""
    address, names, into = sys.argv[1], Path(sys.argv[2]).read_text().split("\n"), Path(sys.argv[3])
    source = Source([f"{address}/{name}" for name in names])
    downloader = WebDownloader({"urls": source}, FetchPolicy(private_hosts=frozenset({"127.0.0.1"})))

    def fetch(start: int, stop: int) -> int:
        return sum(hasattr(each, "path") for each in downloader.download([Slice("urls", "", start, stop)], into))

    fetch(0, WARM_UP)
    began = time.process_time()
    fetched = fetch(WARM_UP, WARM_UP + len(names))
    if fetched != len(names):
        raise SystemExit(f"{len(names) - fetched} of {len(names)} images were not fetched")
    print((time.process_time() - began) / fetched)


if __name__ == "__main__":
    main()
