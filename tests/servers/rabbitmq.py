"""RabbitMQ, if the machine has it, because no wheel contains it; its data survive a stop."""

import os
import shutil
from pathlib import Path
from secrets import token_hex

from servers.addresses import RabbitMQ
from servers.server import Setup, free_port, listening
from servers.tools import Unavailable

# Debian's /usr/sbin has a wrapper that insists on another user; the program itself is here.
PLACES = ("/usr/lib/rabbitmq/bin", *os.environ.get("PATH", os.defpath).split(os.pathsep))


def prepare(folder: Path) -> Setup[RabbitMQ]:
    """Return how to start it, together with Erlang's port mapper daemon, so that none outlives it."""
    server = shutil.which("rabbitmq-server", path=os.pathsep.join(PLACES))
    daemon = shutil.which("epmd")
    if not (server and daemon):
        raise Unavailable("rabbitmq-server is not installed on this machine, and no wheel contains it")
    address = RabbitMQ(free_port(), token_hex())
    names, distribution = free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{address.port}\n"
        f"default_user = {address.user}\ndefault_pass = {address.password}\nlog.console = true\nlog.file = false\n"
    )
    (folder / "plugins").write_text("[].\n")
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"test{address.port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
    }
    programs = ((daemon, "-port", str(names), "-address", "127.0.0.1"), (server,))
    return Setup(address, (address.port, names, distribution), programs, lambda: serves(address), environment)


def serves(address: RabbitMQ) -> None:
    """Check that it serves: its listener starts last."""
    if not listening(address.port):
        raise ConnectionError("starting")
