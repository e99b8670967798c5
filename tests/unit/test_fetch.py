"""Every failure of a server ends as one typed miss, and every good response as a complete file."""

import asyncio
import errno
import gc
import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pycurl
import pytest
from contract.disk import no_file_above
from hostile import (
    AGENT,
    PICTURE,
    Answer,
    Naps,
    Site,
    crowd,
    dripping,
    endless,
    fetch,
    head,
    held,
    in_turn,
    picture,
    policy,
    raw,
    redirect,
    resetting,
    silent,
    slow,
    status,
    text,
    until,
)

from pixcore.errors import InvalidRequest, SourceChanged, SourceUnavailable, WorkspaceFull
from pixcore.model.images import MissReason
from pixcore_adapters.downloader.fetch.failures import AddressRefused, FetchFailed, transfer_failed, translated
from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.pace import Pace
from pixcore_adapters.downloader.fetch.pages import PageRequest
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed
from pixcore_adapters.downloader.pacing.interface import Wish
from pixcore_adapters.downloader.pacing.machine import MachinePacing
from pixcore_adapters.downloader.pacing.process import ProcessPacing

GZIPPED = gzip.compress(PICTURE, mtime=0)
GOOD_HEAD = head(200, Content_Type="image/jpeg", Content_Length=len(PICTURE))
OPEN_HEAD = head(200, Content_Type="image/jpeg", Connection="close")
CHUNKED_HEAD = head(200, Content_Type="image/jpeg", Transfer_Encoding="chunked")


@pytest.fixture
def site() -> Iterator[Site]:
    """Return a site without pages."""
    with Site() as site:
        yield site


def get(site: Site, into: Path, answer: Answer, **values: Any) -> Fetched | Missed:  # noqa: ANN401 - as for policy
    """Fetch one image with the given response."""
    site.routes["/x.jpg"] = answer
    (outcome,) = fetch(site.url("/x.jpg"), into, policy(site, **values))
    return outcome


def requests_of_pictures(site: Site) -> int:
    """Return how often the image was requested."""
    return site.paths().count("/x.jpg")


def stored(data: bytes) -> bytes:
    """Return data as a block of brotli that is not compressed, without the end of the stream."""
    return ((len(data) - 1) << 3 | 1 << 19).to_bytes(3, "little") + data


def brotli(data: bytes) -> bytes:
    """Return data as a stream of brotli that is not compressed."""
    return ((len(data) - 1) << 4 | 1 << 20).to_bytes(3, "little") + data + b"\x03"


DEFLATED = zlib.compressobj(wbits=-zlib.MAX_WBITS)
BARE_DEFLATE = DEFLATED.compress(PICTURE) + DEFLATED.flush()
TWO_MEMBERS = gzip.compress(PICTURE[:5000]) + gzip.compress(PICTURE[5000:])
WHOLE = f"bytes 0-{len(PICTURE) - 1}/{len(PICTURE)}"
OTHER_TYPES = ("text/plain", "text/html", "application/jpg", "application/x-download", "video/mp4", "text/plain;x")
NO_ENCODINGS = ("utf-8", "aws-chunked", "binary", "none", "base64", "image/jpeg", "UTF-8,identity")

GOOD = {
    **{f"type {kind}": picture(Content_Type=kind) for kind in OTHER_TYPES},
    **{f"encoding {word}": picture(Content_Encoding=word) for word in NO_ENCODINGS},
    "bare deflate": picture(BARE_DEFLATE, Content_Encoding="deflate"),
    "gzip of two members": picture(TWO_MEMBERS, Content_Encoding="gzip"),
    "gzip, byte by byte": raw(
        head(200, Content_Encoding="gzip", Content_Type="text/plain", Connection="close"),
        *(TWO_MEMBERS[n : n + 1] for n in range(len(TWO_MEMBERS))),
    ),
    "brotli": picture(brotli(PICTURE), Content_Encoding="br"),
    "203": status(203, PICTURE, Content_Type="image/jpeg"),
    "206 with everything": status(206, PICTURE, Content_Type="image/jpeg", Content_Range=WHOLE),
    "60 kB of headers": picture(**{f"X_{number}": "x" * 3000 for number in range(20)}),
    "one header of 60 kB": picture(X="x" * 60_000),
    "plain": picture(),
    "no type": status(200, PICTURE),
    "octet-stream": picture(Content_Type="binary/octet-stream"),
    "odd type": picture(Content_Type="jpg"),
    "parameters": picture(Content_Type="IMAGE/PNG; charset=binary"),
    "HTTP/1.0": raw(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n", PICTURE),
    "until the end": raw(OPEN_HEAD, PICTURE),
    "chunked": raw(CHUNKED_HEAD, f"{len(PICTURE):x}\r\n".encode(), PICTURE, b"\r\n0\r\n\r\n"),
    "chunked with trailers": raw(
        CHUNKED_HEAD, f"{len(PICTURE):x}\r\n".encode(), PICTURE, b"\r\n0\r\nX-Robots-Tag: noai\r\nX: y\r\n\r\n"
    ),
    "gzip": picture(GZIPPED, Content_Encoding="gzip"),
    "deflate": picture(zlib.compress(PICTURE), Content_Encoding="Deflate"),
    "identity": picture(Content_Encoding="identity"),
    "empty line of early hints": raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", GOOD_HEAD, PICTURE),
    "redirected": redirect("/moved.jpg"),
}


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD)
def test_good_answer(site: Site, tmp_path: Path, answer: Answer) -> None:
    """However a server sends a complete picture, the file holds exactly its bytes."""
    site.routes["/moved.jpg"] = picture()
    outcome = get(site, tmp_path, answer)
    assert isinstance(outcome, Fetched), outcome
    assert outcome.size == len(PICTURE)
    assert (tmp_path / "0").read_bytes() == PICTURE
    assert abs(datetime.now(UTC) - outcome.fetched_at) < timedelta(minutes=1)
    assert outcome.transfer
    assert outcome.transfer.redirected == (answer is GOOD["redirected"])


def test_request(site: Site, tmp_path: Path) -> None:
    """A request has the user agent, the URL as written, and asks for no encoding."""
    site.routes |= {"/a%2Cb(c).jpg": redirect("/caf\u00e9?x=%2F&y=\u00e9"), "/caf%C3%A9": picture(Set_Cookie="a=b")}
    (outcome,) = fetch(site.url("/a%2Cb(c).jpg?sig=%3D#frag"), tmp_path, policy(site))
    assert isinstance(outcome, Fetched)
    assert outcome.transfer
    assert (outcome.transfer.final_url, outcome.transfer.redirected) == (site.url(site.requests[-1].target), True)
    _, first, second = site.requests
    assert (first.target, second.target) == ("/a%2Cb(c).jpg?sig=%3D", "/caf%C3%A9?x=%2F&y=%C3%A9")
    assert first.headers["user-agent"] == AGENT
    assert first.headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer"} & second.headers.keys()


def bomb(wbits: int) -> bytes:
    """Return a small body that inflates to 256 MB."""
    packer = zlib.compressobj(wbits=wbits)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()


GZIP_BOMB, DEFLATE_BOMB = bomb(zlib.MAX_WBITS | 16), bomb(zlib.MAX_WBITS)

BAD: dict[str, tuple[Answer, str, bool]] = {  # response, reason, permanent
    "404": (status(404), "http_404", True),
    "410": (status(410), "http_410", True),
    "401": (status(401), "http_401", True),
    "204": (status(204), "http_204", True),
    "redirect to nowhere": (status(302), "http_302", True),
    "redirect into a loop": (redirect("/x.jpg"), "too_many_redirects", True),
    "redirect to a file": (redirect("file:///etc/passwd"), "not_a_url", True),
    "redirect to junk": (redirect("http://[::1"), "not_a_url", True),
    "redirect to bytes": (redirect("http://\udcff\udcfe/"), "not_a_url", True),
    "redirect with a password": (redirect("http://me:secret@example.org/"), "not_a_url", True),
    "206 with a part": (status(206, PICTURE, Content_Range="bytes 0-9/10000"), "http_206", True),
    "206 without its range": (status(206, PICTURE), "http_206", True),
    "HTML": (status(200, b"<html>", Content_Type="text/html; charset=utf-8"), "content_type", True),
    "long HTML": (
        status(200, b"<!doctype html><title>Sign in</title>", Content_Type="text/plain"),
        "content_type",
        True,
    ),
    "nothing": (status(200, Content_Type="text/html"), "content_type", True),
    "a film": (status(200, b"\0\0\0\x20ftypisom" + bytes(99), Content_Type="video/mp4"), "content_type", True),
    "JSON": (status(200, b"{}", Content_Type="application/json"), "content_type", True),
    "10 GB announced": (raw(head(200, Content_Length=10 * 2**30)), "too_large", True),
    "endless": (endless(OPEN_HEAD, bytes(1 << 16)), "too_large", True),
    "endless chunks": (endless(CHUNKED_HEAD, b"10000\r\n" + bytes(1 << 16) + b"\r\n"), "too_large", True),
    "gzip bomb": (picture(GZIP_BOMB, Content_Encoding="gzip"), "too_large", True),
    "deflate bomb": (picture(DEFLATE_BOMB, Content_Encoding="deflate"), "too_large", True),
    "gzip junk": (picture(Content_Encoding="gzip"), "content_encoding", True),
    "gzip and more": (picture(GZIPPED + b"more", Content_Encoding="gzip"), "content_encoding", True),
    "brotli junk": (picture(Content_Encoding="br"), "content_encoding", True),
    "endless brotli": (
        endless(head(200, Content_Encoding="br") + brotli(bytes(1 << 16))[:-1], stored(bytes(1 << 16))),
        "too_large",
        True,
    ),
    "empty members without end": (
        endless(head(200, Content_Encoding="gzip"), gzip.compress(b"") * 500),
        "too_large",
        True,
    ),
    "zstd": (picture(Content_Encoding="zstd"), "content_encoding", True),
    "twice encoded": (picture(Content_Encoding="gzip, gzip"), "content_encoding", True),
    "gzip cut": (picture(GZIPPED[:-9], Content_Encoding="gzip"), "truncated", False),
    "length cut": (raw(GOOD_HEAD, PICTURE[:-1]), "truncated", False),
    "chunks cut": (raw(CHUNKED_HEAD, b"ffff\r\n", PICTURE), "truncated", False),
    "last chunk missing": (raw(CHUNKED_HEAD, b"4\r\nabcd\r\n"), "truncated", False),
    "reset in the body": (resetting(GOOD_HEAD + PICTURE[:99]), "truncated", False),
    "reset": (resetting(), "unreachable", False),
    "hang up": (raw(), "unreachable", False),
    "hang up in the head": (raw(b"HTTP/1.1 200 OK\r\nConte"), "unreachable", False),
    "status line junk": (raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "malformed_answer", True),
    "header junk": (raw(b"HTTP/1.1 200 OK\r\n\x00\x01: \r\n\r\n"), "malformed_answer", True),
    "two lengths": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        "malformed_answer",
        True,
    ),
    "negative length": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab"), "malformed_answer", True),
    "long header": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 4096), "malformed_answer", True),
    "many headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n" * 500), "malformed_answer", True),
    "endless hints": (endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "malformed_answer", True),
    "500": (status(500), "http_500", False),
    "503": (status(503), "http_503", False),
    "408": (status(408), "http_408", False),
    "425": (status(425), "http_425", False),
    "429": (status(429), "http_429", False),
}


@pytest.mark.parametrize(("answer", "reason", "permanent"), BAD.values(), ids=BAD)
def test_bad_answer(site: Site, tmp_path: Path, answer: Answer, reason: str, permanent: bool) -> None:
    """A failure is one typed miss without a file, retried only if that may help."""
    outcome = get(site, tmp_path, answer, max_bytes=2**20, max_redirects=3)
    assert isinstance(outcome, Missed), outcome
    assert (outcome.reason, outcome.permanent) == (reason, permanent)
    assert not list(tmp_path.iterdir())
    hops = 4 if reason == "too_many_redirects" else 1
    # libcurl itself sends a request again when the connection that served robots.txt is lost before an answer
    # and it must know before a request whether it is to decode brotli
    again = sum(answer is BAD[name][0] for name in ("reset", "hang up", "brotli junk", "endless brotli"))
    assert requests_of_pictures(site) == hops * (1 if permanent else 3) + again


SLOW = {
    "silent": silent(),
    "dripping body": dripping(GOOD_HEAD, PICTURE),
    "dripping head": dripping(b"", GOOD_HEAD),
    "redirects, each a little slow": slow(0.2, redirect("/x.jpg")),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_deadline(site: Site, tmp_path: Path, answer: Answer) -> None:
    """The deadline covers the whole attempt, not each read or hop, and is transient."""
    started = time.monotonic()
    outcome = get(site, tmp_path, answer, seconds=0.5, attempts=1, max_redirects=20)
    assert outcome == Missed("timeout", permanent=False, detail="longer than 0.5 seconds")
    assert time.monotonic() - started < 5
    assert not list(tmp_path.iterdir())


def test_malformed_chunks(site: Site, tmp_path: Path) -> None:
    """An invalid chunk is a miss, at once."""
    outcome = get(site, tmp_path, raw(CHUNKED_HEAD, b"zz\r\nabcd\r\n"), attempts=1)
    assert isinstance(outcome, Missed)
    assert outcome.reason == "truncated"
    assert not list(tmp_path.iterdir())


def test_waiting_for_a_slot_does_not_count(site: Site, tmp_path: Path) -> None:
    """The wait for a slot of a host does not count towards the deadline."""
    site.routes["/x.jpg"] = slow(0.15, picture())
    outcomes = fetch([site.url("/x.jpg")] * 6, tmp_path, policy(site, per_host=1, seconds=0.6, attempts=1))
    assert all(isinstance(outcome, Fetched) for outcome in outcomes), outcomes


def test_memory(site: Site, tmp_path: Path) -> None:
    """Many bombs and endless bodies at once take less memory than one of them."""
    site.routes |= {
        "/endless": endless(OPEN_HEAD, bytes(1 << 20)),
        "/bomb": picture(GZIP_BOMB, Content_Encoding="gzip"),
        "/redirect": endless(head(302, Location="/endless"), bytes(1 << 20)),
    }
    tracemalloc.start()
    try:
        outcomes = fetch([site.url(path) for path in site.routes] * 5, tmp_path, policy(site))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [isinstance(outcome, Missed) and outcome.reason for outcome in outcomes] == ["too_large"] * 15
    assert most < 40 * 2**20


def later(seconds: float) -> str:
    """Return a time in HTTP's format."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("code", "retry_after", "least", "most"),
    [
        (429, "7", 7, 7),
        (429, "60", 60, 60),
        (503, "Fri, 31 Dec 9998 23:59:59 GMT", None, None),
        (503, "61", None, None),
        (503, "9" * 400, None, None),
        (500, "", 1, 2),
        (503, "soon", 1, 2),
        (503, "Fri, 99 Dec 9999999999999999999999 99:99:99 GMT", 1, 2),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", 1, 2),
    ],
)
def test_retry_after(
    site: Site, tmp_path: Path, *, code: int, retry_after: str, least: float | None, most: float
) -> None:
    """Retry-After is honoured up to a minute, gives up above that, and is ignored if it is invalid."""
    site.routes["/x.jpg"] = in_turn(status(code, Retry_After=retry_after), picture())
    naps = Naps()
    (outcome,) = fetch(site.url("/x.jpg"), tmp_path, policy(site), sleep=naps)
    if least is None:
        assert outcome == Missed(f"http_{code}", permanent=False)
        assert not naps.taken
    else:
        assert isinstance(outcome, Fetched)
        (nap,) = naps.taken
        assert least <= nap <= most


def test_retry_after_a_date(site: Site, tmp_path: Path) -> None:
    """Retry-After may be a date."""
    site.routes["/x.jpg"] = in_turn(status(429, Retry_After=later(20)), picture())
    naps = Naps()
    fetch(site.url("/x.jpg"), tmp_path, policy(site), sleep=naps)
    assert len(naps.taken) == 1
    assert 10 < naps.taken[0] <= 20


def test_waits_grow(site: Site, tmp_path: Path) -> None:
    """Without Retry-After the waits double, with jitter, up to the number of attempts."""
    site.routes["/x.jpg"] = status(500)
    naps = Naps()
    fetch(site.url("/x.jpg"), tmp_path, policy(site, attempts=4), sleep=naps)
    assert [least <= nap <= least + 1 for least, nap in zip((1, 2, 4), naps.taken, strict=True)] == [True] * 3


def test_rate_of_a_host(site: Site, tmp_path: Path) -> None:
    """Requests to one host start at the given rate."""
    site.routes["/x.jpg"] = picture()
    naps = Naps()
    how = policy(site, per_host_rate=0.01, ignore_opt_out=False)
    site.routes["/robots.txt"] = status(404)
    outcomes = fetch([site.url("/x.jpg")] * 3, tmp_path, how, sleep=naps)
    assert all(isinstance(outcome, Fetched) for outcome in outcomes)
    assert naps.taken == pytest.approx([110, 220, 330], abs=4)  # robots.txt was fetched first


@pytest.mark.parametrize(("limits", "most"), [({"per_host": 3}, 3), ({"in_flight": 4}, 4)])
def test_at_once(site: Site, tmp_path: Path, limits: dict[str, int], most: int) -> None:
    """As many requests run at once as allowed, and no more."""
    site.routes["/x.jpg"] = crowd(most, slow(0.05, picture()))
    outcomes = fetch([site.url("/x.jpg")] * 24, tmp_path, policy(site, **limits))
    assert all(isinstance(outcome, Fetched) for outcome in outcomes)
    assert site.most_busy == most


def test_fetchers_of_a_machine_share_a_host(site: Site, tmp_path: Path) -> None:
    """Together they run as many requests at a host as one is allowed, and each gets its part of them."""
    site.routes["/x.jpg"] = crowd(4, slow(0.005, picture()))
    folders = tmp_path / "a", tmp_path / "b"

    def collect(folder: Path) -> list[Fetched | Missed]:
        folder.mkdir()
        pacing = MachinePacing(tmp_path / "runtime")
        return fetch([site.url("/x.jpg")] * 16, folder, policy(site, per_host=4), pacing=pacing)

    with ThreadPoolExecutor() as threads:
        outcomes = [outcome for part in threads.map(collect, folders) for outcome in part]
    assert all(isinstance(outcome, Fetched) for outcome in outcomes)
    assert site.most_busy == 4


def test_requests_do_not_wait_for_a_pace_that_fails() -> None:
    """A lock that fails is an error of every request that waits for a slot. None waits for ever."""

    class Failing(ProcessPacing):
        calls = 0

        def grant(self, party: object, wish: Wish) -> int:
            self.calls += 1
            if self.calls > 1:
                raise OSError(errno.ENOLCK, "No locks available")
            return super().grant(party, wish)

    async def run() -> list[BaseException | None]:
        async with Pace(FetchPolicy(per_host=1), Naps(), Failing()) as pace:

            async def visit() -> None:
                async with pace.turn("host"):
                    pass

            async with pace.turn("host"):
                return await asyncio.gather(visit(), visit(), return_exceptions=True)

    assert [str(error) for error in asyncio.run(run())] == ["[Errno 37] No locks available"] * 2


def test_a_start_that_is_late_is_reserved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy when a request is due. Then its start might be too near to the next one."""
    naps: list[float] = []

    def clock() -> float:
        return 1000 + sum(naps)

    async def sleep(seconds: float) -> None:
        naps.append(seconds + (0 if naps else 0.08))  # late only the first time

    async def starts() -> list[float]:
        began: list[float] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
        async with Pace(FetchPolicy(per_host_rate=20), sleep, ProcessPacing(clock)) as pace:
            for _ in range(3):
                async with pace.turn("host"):
                    began.append(clock() - 1000)
        return began

    assert asyncio.run(starts()) == pytest.approx([0, 0.135, 0.19])


def test_keep_alive(site: Site, tmp_path: Path) -> None:
    """Connections are reused."""
    site.routes["/x.jpg"] = picture()
    fetch([site.url("/x.jpg")] * 50, tmp_path, policy(site, per_host=2))
    assert site.connections <= 2


def test_full_disk(site: Site, tmp_path: Path) -> None:
    """A full disk raises an error and leaves no file; it is not a miss of the image."""
    site.routes["/x.jpg"] = picture()
    with no_file_above(1000), pytest.raises(WorkspaceFull):
        fetch(site.url("/x.jpg"), tmp_path, policy(site))
    assert not list(tmp_path.iterdir())


def test_cancelling(site: Site, tmp_path: Path) -> None:
    """Cancelling a fetch in the middle of a body leaves no file."""

    async def run() -> None:
        async with Fetcher(policy(site)) as fetcher:
            task = asyncio.create_task(fetcher.fetch(site.url("/x.jpg"), tmp_path / "0"))
            await until((tmp_path / "0").exists)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    site.routes["/x.jpg"] = dripping(GOOD_HEAD, PICTURE)
    asyncio.run(run())
    assert not list(tmp_path.iterdir())


def test_closing(site: Site, tmp_path: Path) -> None:
    """A closed fetcher leaves no task, thread, socket or file."""

    def handles() -> set[str]:
        gc.collect()
        return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}

    async def run() -> None:
        before = handles(), threading.active_count(), asyncio.all_tasks()
        async with Fetcher(policy(site, seconds=0.5, attempts=1)) as fetcher:
            urls = [*map(site.url, site.routes), "http://localhost/", "http://nothing.invalid/"]
            await asyncio.gather(*(fetcher.fetch(url, tmp_path / str(n)) for n, url in enumerate(urls)))
        assert asyncio.all_tasks() == before[2]
        # the one other thread belongs to the loop, which used it to wait for the resolver's threads
        assert threading.active_count() <= before[1] + 1
        await until(lambda: handles() <= before[0])  # the site's ends of the connections need a moment to close

    site.routes |= {"/a": picture(), "/b": dripping(GOOD_HEAD, PICTURE), "/c": silent(), "/d": redirect("/a")}
    asyncio.run(run())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3"]


def test_page(site: Site, tmp_path: Path) -> None:
    """A page of any type is fetched completely, into memory or a file, after as many attempts as an image."""
    site.routes["/list.csv"] = in_turn(status(503), text("a,b"))
    site.routes["/robots.txt"] = text("User-agent: *\nDisallow: /")

    async def run() -> tuple[bytes, int]:
        async with Fetcher(policy(site), sleep=Naps()) as fetcher:
            url = site.url("/list.csv")
            page = await fetcher.page(PageRequest(url), 100)
            return page.body, await fetcher.save(url, tmp_path / "list.csv", 100)

    assert asyncio.run(run()) == (b"a,b", 3)
    assert (tmp_path / "list.csv").read_bytes() == b"a,b"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/503?key=secret", SourceUnavailable),
        ("/404?key=secret", SourceChanged),
        ("/large", SourceChanged),
        ("http://secret@example.org/", InvalidRequest),
        ("http://127.0.0.1:1/?key=secret", InvalidRequest),
        ("junk", InvalidRequest),
    ],
)
def test_no_list(site: Site, tmp_path: Path, path: str, error: type[Exception]) -> None:
    """An unreachable list raises one line that says whether to retry or to correct the URL, without secrets."""
    site.routes |= {"/503": status(503), "/large": text("x" * 101)}
    url = site.url(path) if path.startswith("/") else path

    async def run() -> int:
        async with Fetcher(policy(site), sleep=Naps()) as fetcher:
            return await fetcher.save(url, tmp_path / "list", 100)

    with pytest.raises(error) as raised:
        asyncio.run(run())
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_page_honours_retry_after(site: Site) -> None:
    """A page waits as a busy server requests, like an image."""
    site.routes["/page"] = in_turn(status(429, Retry_After="45"), text("a"))
    naps = Naps()

    async def run() -> bytes:
        async with Fetcher(policy(site), sleep=naps) as fetcher:
            return (await fetcher.page(PageRequest(site.url("/page")), 100)).body

    assert (asyncio.run(run()), naps.taken) == (b"a", [45])


def limits(**left: tuple[str, object]) -> dict[str, object]:
    """Return a server's rate limits as headers: the rate of each and how many requests are left."""
    return {
        f"X-RateLimit-{kind}-{name}": value
        for name, pair in left.items()
        for kind, value in zip(("Limit", "Available"), pair, strict=True)
    }


@pytest.mark.parametrize("code", [200, 429])
def test_an_exhausted_limit_of_a_host_is_waited_out(site: Site, tmp_path: Path, code: int) -> None:
    """Pages and images of that host, but no other, wait for the window of an exhausted limit."""
    used_up = limits(anon_burst=("20/min", 0), anon_sustained=("200/day", 7))
    site.routes |= {"/page": in_turn(status(code, b"a", **used_up), text("b")), "/x.jpg": picture()}
    naps = Naps()

    async def run() -> tuple[bytes, Fetched | Missed, float]:
        async with Fetcher(policy(site, ignore_opt_out=True), sleep=naps) as fetcher:
            page = (await fetcher.page(PageRequest(site.url("/page")), 100)).body
            image = await fetcher.fetch(site.url("/x.jpg"), tmp_path / "0")
            waited = sum(naps.taken)
            await fetcher.fetch("http://other.invalid/x.jpg", tmp_path / "1")
            return page, image, sum(naps.taken) - waited

    page, image, elsewhere = asyncio.run(run())
    assert (page, isinstance(image, Fetched)) == (b"a" if code == 200 else b"b", True)
    assert {round(nap) for nap in naps.taken if nap > 5} == {60}
    assert elsewhere < 60


def test_a_limit_exhausted_for_long_is_an_error(site: Site, tmp_path: Path) -> None:
    """A limit that is exhausted for long ends the fetch without a request or a wait, and the error names the limit."""
    site.routes |= {"/page": status(200, b"a", **limits(day=("200/day", 0), hour=("9/h", 0))), "/x.jpg": picture()}
    naps = Naps()
    detail = "the rate limit 200/day is exhausted for at most 86400 seconds"

    async def run() -> Fetched | Missed:
        async with Fetcher(policy(site, ignore_opt_out=True), sleep=naps) as fetcher:
            await fetcher.page(PageRequest(site.url("/page")), 100)
            with pytest.raises(FetchFailed, match=f"rate_limit.*{detail}"):
                await fetcher.page(PageRequest(site.url("/page")), 100)
            return await fetcher.fetch(site.url("/x.jpg"), tmp_path / "0")

    assert asyncio.run(run()) == Missed("rate_limit", permanent=False, detail=detail)
    assert (site.paths(), naps.taken) == (["/page"], [])


def test_the_longest_limit_counts(site: Site) -> None:
    """The longest limit counts, in whatever order concurrent responses arrive."""
    everybody = threading.Event()
    site.routes |= {
        "/day": status(200, b"a", **limits(day=("200/day", 0))),
        "/minute": held(everybody, status(200, b"b", **limits(minute=("20/min", 0)))),
    }

    async def run() -> None:
        async with Fetcher(policy(site), sleep=Naps()) as fetcher:
            last = asyncio.create_task(fetcher.page(PageRequest(site.url("/minute")), 9))
            await until(lambda: len(site.requests) == 1)
            await fetcher.page(PageRequest(site.url("/day")), 9)
            everybody.set()
            assert (await last).body == b"b"
            await fetcher.page(PageRequest(site.url("/day")), 9)

    with pytest.raises(FetchFailed, match="the rate limit 200/day is exhausted"):
        asyncio.run(run())


@pytest.mark.parametrize(
    "headers",
    [
        limits(day=("200/day", 1)),
        limits(day=("200/day", "none")),
        limits(day=("many", 0)),
        limits(day=("200/fortnight", 0)),
        {"X-RateLimit-Limit-day": "200/day"},
        {"X-RateLimit-Available-day": "0"},
        {"X-RateLimit-Limit": "1/day", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99"},
        {"Retry-After": "0"} | limits(day=("200/day", 0)),
    ],
    ids=["some left", "no number", "no rate", "no unit", "no rest", "no limit", "others' words", "better word"],
)
def test_no_limit(site: Site, headers: dict[str, object]) -> None:
    """A missing or unknown limit stops nothing, and Retry-After takes precedence over the window."""
    site.routes["/page"] = status(200, b"a", **headers)
    naps = Naps()

    async def run() -> bytes:
        async with Fetcher(policy(site), sleep=naps) as fetcher:
            request = PageRequest(site.url("/page"))
            return (await fetcher.page(request, 9)).body + (await fetcher.page(request, 9)).body

    assert (asyncio.run(run()), naps.taken) == (b"aa", [])


@pytest.mark.parametrize(
    ("host", "most"), [("upload.wikimedia.org", 2), ("commons.wikimedia.org", 1), ("example.org", 16)]
)
def test_hosts_that_ask_for_few_at_once(host: str, most: int) -> None:
    """Hosts with a published limit, such as Wikimedia's, keep it whatever the settings say; lower settings count."""

    async def run(how: FetchPolicy) -> int:
        pace, running, counts = Pace(how, Naps(), ProcessPacing()), [0], [0]

        async def visit() -> None:
            async with pace.turn(host):
                running[0] += 1
                counts.append(running[0])
                await asyncio.sleep(0)
                running[0] -= 1

        async with pace:
            await asyncio.gather(*(visit() for _ in range(40)))
        return max(counts)

    assert asyncio.run(run(FetchPolicy())) == most
    assert asyncio.run(run(FetchPolicy(per_host=1))) == 1


CODES = {getattr(pycurl, name) for name in dir(pycurl) if name.startswith("E_") and not name.startswith("E_MULTI_")}


@pytest.mark.parametrize("code", sorted(CODES - {pycurl.E_OK, pycurl.E_OPERATION_TIMEDOUT}))
@pytest.mark.parametrize("answered", [False, True])
def test_every_error_has_a_meaning(code: int, *, answered: bool) -> None:
    """Every error code of libcurl is translated into a miss, with its message but without the time that it took."""
    failed = transfer_failed(code, "Failed to connect to h port 80 after 12 ms: refused", answered=answered)
    assert isinstance(failed, FetchFailed)
    assert failed.missed.reason in set(MissReason)
    assert failed.missed.detail == "Failed to connect to h port 80: refused"


@pytest.mark.parametrize(
    "error",
    [
        OSError("no"),
        TimeoutError("no"),
        socket.gaierror(socket.EAI_AGAIN, "no"),
        UnicodeError("no"),
        AddressRefused("::1", "a.example", 80),
    ],
    ids=repr,
)
def test_every_error_of_a_lookup_has_a_meaning(error: Exception) -> None:
    """Every exception that a lookup raises is translated."""
    with pytest.raises(FetchFailed), translated(1.0):
        raise error


@pytest.mark.parametrize("agent", ["", "two\r\nlines", "(+https://example.org)", "böt/1.0"])
def test_user_agent(agent: str) -> None:
    """A user agent that robots.txt cannot address, or that no header can hold, is refused."""
    with pytest.raises(InvalidRequest, match="user agent"):
        FetchPolicy(user_agent=agent)


@pytest.mark.parametrize(
    ("agent", "contact"),
    [
        ("pixcore/1.0", False),
        ("my-lab/1.0 (+https://example.org/crawler)", True),
        ("my-lab/1.0 me@example.org", True),
        ("my-lab/1.0 (example.org)", False),
    ],
)
def test_contact(agent: str, contact: bool) -> None:
    """`contact` tells whether the user agent has a contact address, which some services require."""
    assert FetchPolicy(user_agent=agent).contact is contact


def test_text_of_servers_is_made_printable(site: Site, tmp_path: Path) -> None:
    """Text from a server becomes one short line of printable characters."""
    outcome = get(site, tmp_path, status(200, Content_Type="text/\udcff\x1b[31m" + "x" * 5000))
    assert isinstance(outcome, Missed)
    assert outcome.detail.isascii()
    assert outcome.detail.isprintable()
    assert len(outcome.detail) < 1000
