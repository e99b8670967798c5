"""A web server on loopback with well-behaved and hostile responses for each path, and a helper to fetch from it."""

import asyncio
import os
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from attrs import frozen

from pixcore_adapters.downloader.fetch.fetcher import Fetcher
from pixcore_adapters.downloader.fetch.policy import Fetched, FetchPolicy, Missed

PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 64 + b"\xff\xd9"
AGENT = "pixcore-test/1.0 (+https://example.org)"


@frozen
class Request:
    """A request; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


class Client:
    """The client's connection, as a response sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, site: "Site") -> None:
        self.site = site
        self._reader, self._writer = reader, writer

    async def request(self) -> Request | None:
        """Read the next request; None at the end."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        return Request(method, target, {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)})

    async def send(self, data: bytes) -> None:
        """Send data, no faster than the client reads."""
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Wait until the client hangs up."""
        await self._reader.read()

    def reset(self) -> None:
        """Hang up with a reset instead of an orderly close."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Answer = Callable[[Client], Awaitable[bool]]
"""Responds to one request; returns whether the connection may be used again."""


class Site:
    """Serves ``routes`` from a separate thread until the block ends; any other path is a 404.

    ``requests`` lists the requests in order, ``connections`` counts connections. ``routes`` may change while it serves.
    """

    def __init__(
        self, routes: Mapping[str, Answer] = MappingProxyType({}), *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.routes: dict[str, Answer] = dict(routes)
        self.requests: list[Request] = []
        self.connections = 0
        self.busy = self.most_busy = 0
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="hostile-site")

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"{'https' if self._tls else 'http'}://{self.host}{path}"

    def paths(self) -> list[str]:
        """Return the paths of the requests, in order."""
        return [request.target for request in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(
            lambda _loop, _context: None
        )  # clients are expected to disconnect in the middle
        server = await asyncio.start_server(self._serve, sock=self._socket, ssl=self._tls)
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        client = Client(reader, writer, self)
        try:
            with suppress(OSError):
                while request := await client.request():
                    self.requests.append(request)
                    self.busy += 1
                    self.most_busy = max(self.most_busy, self.busy)
                    try:
                        kept = await self.routes.get(urlsplit(request.target).path, status(404))(client)
                    finally:
                        self.busy -= 1
                    if not kept:
                        break
        finally:
            writer.close()


def head(code: int, **headers: object) -> bytes:
    """Build the head of a response; underscores in names stand for hyphens, a list for several headers."""
    lines = [f"HTTP/1.1 {code} Whatever"]
    for name, value in headers.items():
        lines += [f"{name.replace('_', '-')}: {one}" for one in (value if isinstance(value, list) else [value])]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def status(code: int, body: bytes = b"", **headers: object) -> Answer:
    """Respond with a status."""

    async def answer(client: Client) -> bool:
        await client.send(head(code, Content_Length=len(body), **headers) + body)
        return True

    return answer


def picture(data: bytes = PICTURE, **headers: object) -> Answer:
    """Respond with a picture."""
    return status(200, data, **{"Content_Type": "image/jpeg", **headers})


def text(words: str) -> Answer:
    """Respond with plain text, such as a robots.txt."""
    return status(200, words.encode(), Content_Type="text/plain")


def redirect(to: str, code: int = 302) -> Answer:
    """Redirect the client."""
    return status(code, Location=to)


def raw(*blocks: bytes) -> Answer:
    """Send exactly these bytes and hang up."""

    async def answer(client: Client) -> bool:
        for block in blocks:
            await client.send(block)
        return False

    return answer


def endless(start: bytes, block: bytes) -> Answer:
    """Send ``start``, then ``block`` until the client hangs up."""

    async def answer(client: Client) -> bool:
        await client.send(start)
        while True:
            await client.send(block)

    return answer


def dripping(start: bytes, data: bytes, seconds: float = 1.0) -> Answer:
    """Send ``start``, then one byte at a time, with a pause before each."""

    async def answer(client: Client) -> bool:
        await client.send(start)
        for byte in data:
            await client.send(bytes([byte]))
            await asyncio.sleep(seconds)
        return False

    return answer


def silent() -> Answer:
    """Read the request and send nothing."""

    async def answer(client: Client) -> bool:
        await client.gone()
        return False

    return answer


def resetting(start: bytes = b"") -> Answer:
    """Send ``start``, then reset the connection."""

    async def answer(client: Client) -> bool:
        await client.send(start)
        client.reset()
        return False

    return answer


def slow(seconds: float, then: Answer) -> Answer:
    """Respond after a delay."""

    async def answer(client: Client) -> bool:
        await asyncio.sleep(seconds)
        return await then(client)

    return answer


def crowd(size: int, then: Answer) -> Answer:
    """Respond only once this many requests wait at the same time."""
    gathered: list[asyncio.Event] = []

    async def answer(client: Client) -> bool:
        if not gathered:
            gathered.append(asyncio.Event())
        if client.site.busy >= size:
            gathered[0].set()
        await gathered[0].wait()
        return await then(client)

    return answer


def held(opened: threading.Event, then: Answer) -> Answer:
    """Respond only once the test allows it."""

    async def answer(client: Client) -> bool:
        await asyncio.to_thread(opened.wait, 10)
        return await then(client)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """Respond differently each time; the last response repeats."""
    left = list(answers)

    async def answer(client: Client) -> bool:
        return await (left.pop(0) if len(left) > 1 else left[0])(client)

    return answer


def policy(site: Site, **values: Any) -> FetchPolicy:  # noqa: ANN401 - FetchPolicy itself knows
    """Return a policy that may reach the site."""
    return FetchPolicy(**{"user_agent": AGENT, "private_hosts": {site.host}, **values})


class Naps:
    """A sleep that takes no time and records the calls."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Return at once."""
        self.taken.append(seconds)
        await asyncio.sleep(0)


async def until(true: Callable[[], bool]) -> None:
    """Wait until a condition in another thread holds."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - an Event could not be set from the other thread
            await asyncio.sleep(0.01)


def fetch(urls: str | list[str], into: Path, how: FetchPolicy, **parts: Any) -> list[Fetched | Missed]:  # noqa: ANN401 - so does Fetcher
    """Fetch all URLs at the same time, into files named by their position."""

    async def run() -> list[Fetched | Missed]:
        async with Fetcher(how, **{"sleep": Naps(), **parts}) as fetcher:
            wanted = [urls] if isinstance(urls, str) else urls
            return await asyncio.gather(*(fetcher.fetch(url, into / str(n)) for n, url in enumerate(wanted)))

    return asyncio.run(run())


def handles(site: Site) -> set[str]:
    """Return all open files and sockets of this process, without the site's ends of its connections."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the site closes some meanwhile
            target = str(link.readlink())
            if not target.startswith("socket:"):
                found.add(target)
                continue
            with socket.socket(fileno=os.dup(int(link.name))) as end:
                if end.family != socket.AF_INET or end.getsockname()[1] != site.port:
                    found.add(target)
    return found
