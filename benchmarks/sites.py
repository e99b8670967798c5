"""Web sites on loopback: Caddy, which uses little CPU, and one that delays every response."""

import asyncio
import multiprocessing
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import certifi
import trustme
from attrs import frozen
from from_tests import Setup, free_port, speaks_http, started
from peers import program

LATENCY = 0.1  # seconds before each response of the slow site

Answer = Callable[[str], tuple[str, bytes]]
"""Returns the content type and the body of a path with its query; raises LookupError or ValueError if it is none."""

Answers = Callable[[Sequence[str]], Answer]
"""Called with the ``HOST:PORT`` of all hosts of a site."""


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
def slow_site(answers: Answers, hosts: Sequence[str] = ("127.0.0.1",)) -> Iterator[list[str]]:
    """Serve on these hosts, in a separate process, each response after ``LATENCY``; yield the ``HOST:PORT`` of each."""
    listening = [socket.create_server((host, 0), backlog=1024) for host in hosts]
    addresses = ["{}:{}".format(*server.getsockname()) for server in listening]
    serving = multiprocessing.get_context("fork").Process(
        target=lambda: asyncio.run(_serve(answers(addresses), listening)), daemon=True
    )
    serving.start()
    try:
        yield addresses
    finally:
        serving.terminate()
        serving.join()
        for server in listening:
            server.close()


def number_of(target: str) -> int:
    """Return the number of the path ``/NUMBER.jpg``.

    Raises:
        ValueError: It is another path.
    """
    return int(target.removeprefix("/").removesuffix(".jpg"))


async def _serve(answer: Answer, listening: Sequence[socket.socket]) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(LATENCY)
                try:
                    (kind, body), status = answer(head.split()[1].decode()), "200 OK"
                except (LookupError, ValueError):
                    kind, body, status = "text/plain", b"", "404 Not Found"
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )
                await writer.drain()

    for server in listening:
        await asyncio.start_server(connected, sock=server)
    await asyncio.Event().wait()
