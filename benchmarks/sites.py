"""Web sites on loopback: Caddy, which uses little CPU, and one that delays every response."""

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

LATENCY = 0.1  # seconds before each response of the slow site

Routes = Callable[[Sequence[str]], Iterable[web.AbstractRouteDef]]


@frozen
class Site:
    """A folder served by HTTP and by HTTPS."""

    plain: str
    """The URL without a path; so is ``encrypted``."""
    encrypted: str
    bundle: Path
    """The certificate authorities of certifi and this site's own, so that loading them costs as much as usual."""


@contextmanager
def caddy(folder: Path, scratch: Path) -> Iterator[Site]:
    """Serve the files of a folder until the block ends."""
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
        directives = f"bind 127.0.0.1\nroot * {folder}\nfile_server\n"
        (home / "Caddyfile").write_text(
            "{\nadmin off\nauto_https off\npersist_config off\ndefault_sni 127.0.0.1\n}\n"
            f"http://127.0.0.1:{plain} {{\n{directives}}}\n"
            f"https://127.0.0.1:{encrypted} {{\ntls {certificate} {key}\n{directives}}}\n"
        )
        command = (str(caddy_program), "run", "--config", "Caddyfile", "--adapter", "caddyfile")
        site = Site(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{encrypted}", bundle)
        return Setup(site, (plain, encrypted), (command,), lambda: speaks_http(plain))

    with started(prepare) as server:
        yield server.address


@contextmanager
def slow_site(routes: Routes, hosts: Sequence[str] = ("127.0.0.1",)) -> Iterator[list[str]]:
    """Serve on these hosts, in a separate process, each response after ``LATENCY``; yield the ``HOST:PORT`` of each.

    ``routes`` is called with these addresses.
    """
    listening = [socket.create_server((host, 0), backlog=1024) for host in hosts]
    addresses = ["{}:{}".format(*server.getsockname()) for server in listening]
    serving = multiprocessing.get_context("fork").Process(
        target=lambda: asyncio.run(_serve(routes(addresses), listening)), daemon=True
    )
    serving.start()
    try:
        yield addresses
    finally:
        serving.terminate()
        serving.join()
        for server in listening:
            server.close()


async def _serve(routes: Iterable[web.AbstractRouteDef], listening: Sequence[socket.socket]) -> None:
    app = web.Application(middlewares=[_delay])
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for server in listening:
        await web.SockSite(runner, server).start()
    await asyncio.Event().wait()


@web.middleware
async def _delay(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    await asyncio.sleep(LATENCY)
    return await handler(request)
