"""Real stores for tests of the command: their URLs, and the environment variables with their credentials."""

from collections.abc import Mapping

import pytest
from attrs import frozen
from servers.addresses import S3, Azure

STORES = ("azurite", "swift", "moto")


@frozen
class RealStore:
    """A store on a server: its URL as users write it, and the environment variables that it needs."""

    url: str
    environ: Mapping[str, str]

    def enter(self, patched: pytest.MonkeyPatch) -> None:
        """Set the environment variables in this process."""
        for name, value in self.environ.items():
            patched.setenv(name, value)


def real_store(server: Azure | S3, name: str, port: int | None = None) -> RealStore:
    """Return a container or bucket of that name, which does not exist yet; ``port`` may be that of a proxy."""
    at = f"http://127.0.0.1:{port or server.port}"
    if isinstance(server, Azure):
        connection = server.connection_string.replace(server.url, f"{at}/{server.account}")
        return RealStore(f"azure://{name}/pre/fix", {"AZURE_STORAGE_CONNECTION_STRING": connection})
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    return RealStore(f"s3://{name}/pre/fix?endpoint={at}&region={server.region}", keys)
