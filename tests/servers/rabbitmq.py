"""RabbitMQ from Debian's packages, together with Erlang; its data survive a stop."""

import os
from pathlib import Path
from secrets import token_hex

from servers.addresses import RabbitMQ
from servers.debian import unpacked
from servers.server import Setup, free_port, listening

PACKAGES = (
    "rabbitmq-server",
    *(
        f"erlang-{part}"
        for part in (
            *("asn1", "base", "crypto", "eldap", "ftp", "inets", "mnesia", "os-mon", "parsetools", "public-key"),
            *("runtime-tools", "snmp", "ssl", "syntax-tools", "tftp", "tools", "xmerl"),
        )
    ),
)
ERLANG = "usr/lib/erlang"


def prepare(folder: Path) -> Setup[RabbitMQ]:
    """Return how to start it, together with Erlang's port mapper daemon, so that none outlives it."""
    root = unpacked("rabbitmq", PACKAGES, move_erlang)
    # the program itself: Debian's wrapper in /usr/sbin insists on another user
    server, erlang = root / "usr/lib/rabbitmq/bin/rabbitmq-server", root / ERLANG / "bin"
    address = RabbitMQ(free_port(), token_hex())
    names, distribution = free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{address.port}\n"
        f"default_user = {address.user}\ndefault_pass = {address.password}\nlog.console = true\nlog.file = false\n"
    )
    (folder / "plugins").write_text("[].\n")
    environment = {
        "PATH": os.pathsep.join([str(erlang), os.defpath]),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"test{address.port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
    }
    programs = ((str(erlang / "epmd"), "-port", str(names), "-address", "127.0.0.1"), (str(server),))
    return Setup(address, (address.port, names, distribution), programs, lambda: serves(address), environment)


def serves(address: RabbitMQ) -> None:
    """Check that it serves: its listener starts last."""
    if not listening(address.port):
        raise ConnectionError("starting")


def move_erlang(root: Path) -> None:
    """Let Erlang find its files below ``root``, and not where Debian would install them."""
    program = root / ERLANG / "bin" / "erl"
    program.write_text(program.read_text().replace(f"=/{ERLANG}\n", f"={root / ERLANG}\n"))
