"""Images from the web through the whole pipeline, decoded in child processes."""

import gzip
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import (
    PICTURE,
    Answer,
    Site,
    dripping,
    endless,
    head,
    picture,
    policy,
    raw,
    redirect,
    resetting,
    silent,
    status,
    text,
)
from listings import lane_of
from memory_assembly import MemoryAssembly
from pictures import encoded, photo, plain_png

from pixcore import ChunkRequest, Done
from pixcore.chunk.events import CandidateMissed, ImageRejected
from pixcore.model.requests import Slice
from pixcore_adapters.downloader.urls import Urls
from pixcore_adapters.downloader.web import WebDownloader
from pixcore_adapters.validator.pillow import PillowValidator


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site with ten good pages."""
    with Site({f"/{n}.jpg": picture(PICTURE + bytes([n])) for n in range(10)}) as site:
        yield site


def bad_ones(decoy: Site) -> dict[str, tuple[Answer, str]]:
    """Return the bad images by path: the response and the reason with which each ends."""
    whole = encoded(photo(99))
    half = whole[: len(whole) // 2]
    types = {"Content_Type": "image/jpeg"}
    bomb = gzip.compress(bytes(64 << 20), mtime=0)
    return {
        "/missing.jpg": (status(404), "http_404"),
        "/busy.jpg": (status(429, Retry_After="3600"), "http_429"),
        "/page.jpg": (status(200, b"<html>", Content_Type="text/html"), "content_type"),
        "/lying.jpg": (picture(b"<html>no picture</html>"), "not_an_image"),
        "/short.jpg": (raw(head(200, Content_Length=len(whole), **types), half), "truncated"),
        "/silently-short.jpg": (raw(head(200, Connection="close", **types), half), "damaged"),
        "/reset.jpg": (resetting(), "unreachable"),
        "/silent.jpg": (silent(), "timeout"),
        "/drip.jpg": (dripping(head(200, Content_Length=len(whole), **types), whole), "timeout"),
        "/lure.jpg": (redirect(decoy.url("/secret.jpg")), "address_refused"),
        "/loop.jpg": (redirect("/loop.jpg"), "too_many_redirects"),
        "/endless.jpg": (endless(head(200, **types), bytes(1 << 16)), "too_large"),
        "/huge.jpg": (raw(head(200, Content_Length=10 << 30, **types)), "too_large"),
        "/bomb.jpg": (picture(bomb, Content_Encoding="gzip"), "too_large"),
        "/brotli.jpg": (picture(whole, Content_Encoding="br"), "content_encoding"),
        "/pixels.png": (picture(plain_png(20_000, 5_000)), "too_many_pixels"),
        "/noai.jpg": (picture(whole, X_Robots_Tag="noai"), "opted_out"),
        "/private/x.jpg": (picture(whole), "opted_out"),
    }


def test_forty_good_images_beside_every_kind_of_bad_one(site: Site, tmp_path: Path) -> None:
    """Each bad image must have its reason, and all 40 good ones be accepted in bounded memory."""
    assembly = MemoryAssembly(tmp_path / "work", [])
    good = {f"/good/{n}.jpg": picture(encoded(photo(n, 96, 96))) for n in range(40)}
    with Site({"/secret.jpg": picture()}) as decoy, PillowValidator(workers=2) as validator:
        bad = bad_ones(decoy)
        site.routes = {path: answer for path, (answer, _) in bad.items()} | good
        site.routes["/robots.txt"] = text("User-agent: *\nDisallow: /private/\n")
        junk = [
            "no url",
            f"http://127.0.0.1:{decoy.port}/secret.jpg",
            f"http://[::ffff:7f00:1]:{decoy.port}/secret.jpg",
        ]
        urls = [*map(site.url, bad), *junk, *map(site.url, good)]
        (tmp_path / "urls.txt").write_text("\n".join(urls))
        how = policy(site, seconds=3.0, attempts=1, max_bytes=20 << 20)
        source = Urls(assembly.store, how)
        lane = lane_of(source, str(tmp_path / "urls.txt"), "d")
        request = ChunkRequest(0, "cat", 40, (Slice("urls", lane.query, 0, lane.stop, lane.snapshot),), dataset="d")
        (chunk,) = assembly.status.ensure([request])
        pipeline = assembly.pipeline(downloader=WebDownloader({"urls": source}, how), validator=validator)
        tracemalloc.start()
        try:
            outcome = pipeline.run(chunk.key)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert decoy.requests == []
    assert isinstance(outcome, Done)
    assert outcome.result.progress.accepted == 40
    assert ends(assembly.events) == {site.url(path): reason for path, (_, reason) in bad.items()} | dict(
        zip(junk, ["not_a_url", "address_refused", "address_refused"], strict=True)
    )
    reasons = Counter(outcome.result.progress.missed) + Counter(outcome.result.progress.rejected)
    assert sum(reasons.values()) == len(bad) + len(junk)
    assert peak < 100 << 20


def ends(events: list[Any]) -> dict[str, str]:
    """Return the reason of each bad candidate, by its URL."""
    found = {}
    for event in events:
        match event:
            case CandidateMissed(miss=miss):
                found[miss.candidate.url] = miss.reason
            case ImageRejected(image=image):
                found[image.download.candidate.url] = image.reason
    return found
