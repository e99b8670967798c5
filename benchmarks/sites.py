"""Sites on loopback to fetch from: Caddy, which costs least, and one whose every answer is late."""

import asyncio
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import certifi
import trustme
from aiohttp import web
from attrs import frozen
from from_tests import Setup, free_port, speaks_http, started
from peers import program

LATENCY = 0.1  # seconds before any answer of a late site

Routes = Callable[[Sequence[str]], Iterable[web.AbstractRouteDef]]


@frozen
class Site:
    """A folder, by HTTP and by HTTPS."""

    plain: str
    """Address without a path, as is ``encrypted``."""
    encrypted: str
    bundle: Path
    """The authorities that certifi trusts, and the one that vouches for this site: as many as everywhere."""


@contextmanager
def caddy(folder: Path, scratch: Path) -> Iterator[Site]:
    """Serve the files of a folder until the end of the block."""
    authority = trustme.CA()
    bundle = scratch / "authorities.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    caddy_program = program("caddy", "caddy")

    def prepare(home: Path) -> Setup[Site]:
        plain, encrypted = free_port(), free_port()
        certificate, key = home / "certificate.pem", home / "key.pem"
        issued = authority.issue_cert("127.0.0.1")
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        served = f"bind 127.0.0.1\nroot * {folder}\nfile_server\n"
        (home / "Caddyfile").write_text(
            "{\nadmin off\nauto_https off\npersist_config off\ndefault_sni 127.0.0.1\n}\n"
            f"http://127.0.0.1:{plain} {{\n{served}}}\n"
            f"https://127.0.0.1:{encrypted} {{\ntls {certificate} {key}\n{served}}}\n"
        )
        command = (str(caddy_program), "run", "--config", "Caddyfile", "--adapter", "caddyfile")
        site = Site(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{encrypted}", bundle)
        return Setup(site, (plain, encrypted), (command,), lambda: speaks_http(plain))

    with started(prepare) as server:
        yield server.address


@contextmanager
def late(routes: Routes, hosts: Sequence[str] = ("127.0.0.1",)) -> Iterator[list[str]]:
    """Answer on these hosts, from a process of its own, all after ``LATENCY``; gives ``HOST:PORT`` of each.

    ``routes`` is told those, too.
    """
    listening = [socket.create_server((host, 0), backlog=1024) for host in hosts]
    addresses = ["{}:{}".format(*one.getsockname()) for one in listening]
    serving = multiprocessing.get_context("fork").Process(
        target=lambda: asyncio.run(_serve(routes(addresses), listening)), daemon=True
    )
    serving.start()
    try:
        yield addresses
    finally:
        serving.terminate()
        serving.join()
        for one in listening:
            one.close()


async def _serve(routes: Iterable[web.AbstractRouteDef], listening: Sequence[socket.socket]) -> None:
    app = web.Application(middlewares=[_late])
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for one in listening:
        await web.SockSite(runner, one).start()
    await asyncio.Event().wait()


@web.middleware
async def _late(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    await asyncio.sleep(LATENCY)
    return await handler(request)
