"""Stores on fake-gcs-server for tests, and the conditions that it does not check itself."""

import http.client
import json
import re
import uuid
from collections.abc import Mapping
from contextlib import closing

from fault_proxy import Answer, Fault, FaultProxy
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from servers.addresses import Google

from pixcore_adapters.blob_store.gs.store import GoogleBlobStore

_COPY = re.compile(
    r"POST (?P<bucket>/storage/v1/b/[^/]+)/o/[^/]+/rewriteTo/b/[^/]+/o/(?P<name>[^?]+)\?.*ifGenerationMatch=0"
)
_REFUSAL = {"error": {"code": 412, "message": "…", "errors": [{"reason": "conditionNotMet"}]}}


class Conditions(FaultProxy):
    """A proxy that refuses a copy to an object that exists, as Google does; fake-gcs-server replaces the object."""

    def __init__(self, to: int) -> None:
        self._to = to
        super().__init__(to, rule=self._refusal)

    def _refusal(self, request: str, _: Mapping[str, str]) -> Fault | None:
        if (copy := _COPY.match(request)) and self._exists(f"{copy['bucket']}/o/{copy['name']}"):
            return Answer(412, (("Content-Type", "application/json"),), json.dumps(_REFUSAL).encode())
        return None

    def _exists(self, path: str) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self._to)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK


def bucket() -> str:
    """Return a name that no other test uses."""
    return f"pixcore-{uuid.uuid4()}"


def store(server: Google, name: str, prefix: str = "", *, port: int | None = None) -> GoogleBlobStore:
    """Return a store in a bucket, which is not created; ``port`` may be that of a proxy."""
    client = storage.Client(
        project="pixcore",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{port or server.port}"},
        use_auth_w_custom_endpoint=False,
    )
    return GoogleBlobStore(client, name, prefix)
