"""S3 as OpenStack Swift implements it, strict about signatures and conditions; its data survive a stop.

It has four programs: the proxy with the S3 API, and one each for accounts, containers and objects.
"""

import json
import os
import pwd
from configparser import RawConfigParser
from pathlib import Path
from secrets import token_hex

from servers.addresses import S3
from servers.server import Setup, free_port, speaks_http
from servers.tools import Unavailable, run, venv

STORES = ("account", "container", "object")
RINGS = """
import json, sys
from swift.common.ring import RingBuilder
for kind, port in json.loads(sys.argv[1]).items():
    ring = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    ring.add_dev(dict(region=1, zone=1, ip="127.0.0.1", port=port, device="disk", weight=1))
    ring.rebalance()
    ring.get_ring().save(f"{kind}.ring.gz")
"""
FILTERS = (
    "catch_errors gatekeeper proxy-logging listing_formats bulk s3api tempauth copy slo dlo symlink "
    "versioned_writes proxy-logging"
)

Sections = dict[str, dict[str, object]]


def prepare(folder: Path) -> Setup[S3]:
    """Write the configuration and the rings, which locate the parts of the data: all on this machine."""
    programs = venv("swift") / "bin"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as exc:
        raise Unavailable(f"Swift needs the name of the user {os.geteuid()}, who has none") from exc
    ports = {kind: free_port() for kind in (*STORES, "proxy")}
    address = S3(ports["proxy"], "test:tester", token_hex())
    (folder / "devices" / "disk").mkdir(parents=True)
    write(folder / "swift.conf", common())
    for kind, port in ports.items():
        default = {
            "bind_ip": "127.0.0.1",
            "bind_port": port,
            "user": user,
            "swift_dir": folder,
            "workers": 0,
            "log_level": "ERROR",  # one process each, with little output
            "devices": folder / "devices",
            "mount_check": "false",
            "disable_fallocate": "true",
        }
        write(folder / f"{kind}.conf", {"DEFAULT": default, **(proxy(address) if kind == "proxy" else store(kind))})
    rings = json.dumps({kind: ports[kind] for kind in STORES})
    run(str(programs / "python"), "-c", RINGS, rings, cwd=folder)
    return Setup(
        address,
        tuple(ports.values()),
        tuple((str(programs / f"swift-{kind}-server"), str(folder / f"{kind}.conf"), "--verbose") for kind in ports),
        lambda: speaks_http(*ports.values()),
    )


def common() -> Sections:
    """Return the configuration that all programs share."""
    return {
        "swift-hash": {"swift_hash_path_suffix": "pixcore", "swift_hash_path_prefix": "pixcore"},
        "storage-policy:0": {"name": "default", "default": "yes"},
        "swift-constraints": {"max_file_size": 5 << 30},
    }


def store(kind: str) -> Sections:
    """Return the configuration of a program that stores data."""
    return {"pipeline:main": {"pipeline": f"{kind}-server"}, f"app:{kind}-server": {"use": f"egg:swift#{kind}"}}


def proxy(address: S3) -> Sections:
    """Return the configuration of the proxy with the S3 API and one user."""
    settings: Sections = {
        "s3api": {"s3_acl": "false", "allow_no_owner": "true", "location": address.region},
        "tempauth": {f"user_{address.access_key.replace(':', '_')}": f"{address.secret_key} .admin"},
        "slo": {"min_segment_size": 1},
    }
    filters = {
        f"filter:{name}": {"use": f"egg:swift#{name.replace('-', '_')}", **settings.get(name, {})}
        for name in FILTERS.split()
    }
    return {
        "pipeline:main": {"pipeline": f"{FILTERS} proxy-server"},
        "app:proxy-server": {"use": "egg:swift#proxy", "account_autocreate": "true"},
        **filters,
    }


def write(path: Path, sections: Sections) -> None:
    """Write a configuration file."""
    written = RawConfigParser()
    written.read_dict(sections)
    with path.open("w") as file:
        written.write(file)
