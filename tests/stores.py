"""Real stores for tests of the command: their URLs and the variables with their credentials, also behind a proxy."""

from collections.abc import Mapping

import pytest
from attrs import frozen
from servers.addresses import S3, Azure

STORES = ("azurite", "swift", "moto")


@frozen
class RealStore:
    """A store on a server: the URL that users write, and what the environment holds besides."""

    url: str
    environ: Mapping[str, str]

    def enter(self, patched: pytest.MonkeyPatch) -> None:
        """Let this process use it."""
        for name, value in self.environ.items():
            patched.setenv(name, value)


def real_store(server: Azure | S3, name: str, port: int | None = None) -> RealStore:
    """A container or bucket of that name, which is not there yet; at another ``port``, where a proxy stands."""
    at = f"http://127.0.0.1:{port or server.port}"
    if isinstance(server, Azure):
        connection = server.connection_string.replace(server.url, f"{at}/{server.account}")
        return RealStore(f"azure://{name}/pre/fix", {"AZURE_STORAGE_CONNECTION_STRING": connection})
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    return RealStore(f"s3://{name}/pre/fix?endpoint={at}&region={server.region}", keys)
