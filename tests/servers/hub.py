"""The calls of the Hugging Face Hub that an upload makes, in this process and on loopback; data are in memory.

It answers as huggingface_hub documents and sends them, for large files by the LFS protocol. It has no Xet storage.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "hf_secretsecretsecret"  # noqa: S105 - of no service


class Hub(ThreadingHTTPServer):
    """A Hub with one user. ``files`` has the contents of the repository ``me/cats`` by path; None: it does not exist.

    ``refuse`` returns a status for a request that the Hub refuses, else 0. ``sent`` lists the large files that arrived.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] | None = None
        self.private: bool | None = None
        self.objects: dict[str, bytes] = {}
        self.sent: list[str] = []
        self.commits: list[str] = []
        self.refuse: Callable[[str], int] = lambda _request: 0
        super().__init__(("127.0.0.1", 0), _Call)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """The value of ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(body)

    def do_PUT(self) -> None:
        self.do_POST()

    def _answer(self, body: bytes) -> None:
        status, answer = self._result(body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _result(self, body: bytes) -> tuple[int, Any]:
        hub, request = self.server, f"{self.command} {self.path.partition('?')[0]}"
        if stored := re.fullmatch("PUT /lfs/([0-9a-f]{64})", request):
            assert hashlib.sha256(body).hexdigest() == stored[1]
            hub.objects[stored[1]] = body
            hub.sent.append(stored[1])
            return 200, {}
        refused = 401 if self.headers["Authorization"] != f"Bearer {TOKEN}" else hub.refuse(request)
        if refused:
            return refused, {"error": "refused\nfor this test"}
        if request == "POST /api/repos/create":
            return self._created(json.loads(body))
        if request == "POST /api/validate-yaml":
            assert yaml.safe_load(json.loads(body)["content"].split("---\n")[1])["configs"]
            return 200, {"errors": [], "warnings": []}
        for pattern, call in {
            "GET /api/datasets/me/cats/tree/main": self._tree,
            "POST /api/datasets/me/cats/preupload/main": self._preupload,
            "POST /datasets/me/cats.git/info/lfs/objects/batch": self._batch,
            "POST /api/datasets/me/cats/commit/main": self._commit,
            "GET /api/datasets/me/cats(/revision/main)?": self._about,
        }.items():
            if re.fullmatch(pattern, request) and hub.files is not None:
                return 200, call(body)
        return 404, {"error": f"not found: {request}"}

    def _created(self, order: dict[str, Any]) -> tuple[int, Any]:
        hub = self.server
        assert (order["organization"], order["name"], order["type"]) == ("me", "cats", "dataset")
        url = f"{hub.url}/datasets/me/cats"
        if hub.files is not None:
            return 409, {"error": "You already created this dataset repo", "url": url}
        hub.files = {".gitattributes": b"*.zip filter=lfs"}
        hub.private = order.get("visibility") == "private" or order.get("private", False)
        return 200, {"url": url}

    def _tree(self, _: bytes) -> Any:  # noqa: ANN401 - JSON
        folders = [{"type": "directory", "path": "data", "oid": "0" * 40}]
        return folders + [self._file(path, data) for path, data in (self.server.files or {}).items()]

    def _file(self, path: str, data: bytes) -> dict[str, Any]:
        about = {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}
        large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return about | ({"lfs": large} if path.endswith(".zip") else {})

    def _preupload(self, body: bytes) -> Any:  # noqa: ANN401 - JSON
        files = self.server.files or {}
        return {
            "files": [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(".zip") else "regular",
                    "shouldIgnore": False,
                    "oid": _oid(files[each["path"]]) if each["path"] in files else None,
                }
                for each in json.loads(body)["files"]
            ]
        }

    def _batch(self, body: bytes) -> Any:  # noqa: ANN401 - JSON
        hub = self.server
        return {
            "transfer": "basic",
            "objects": [
                {"oid": each["oid"], "size": each["size"]}
                | (
                    {}
                    if each["oid"] in hub.objects
                    else {"actions": {"upload": {"href": f"{hub.url}/lfs/{each['oid']}"}}}
                )
                for each in json.loads(body)["objects"]
            ],
        }

    def _commit(self, body: bytes) -> Any:  # noqa: ANN401 - JSON
        hub = self.server
        header, *operations = map(json.loads, body.splitlines())
        files = dict(hub.files or {})
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "lfsFile":
                files[value["path"]] = hub.objects[value["oid"]]
            else:
                assert operation["key"] == "file"
                files[value["path"]] = base64.b64decode(value["content"])
        hub.files = files
        hub.commits.append(header["value"]["summary"])
        return {"success": True, "commitOid": "1" * 40, "commitUrl": f"{hub.url}/datasets/me/cats/commit/{'1' * 40}"}

    def _about(self, _: bytes) -> Any:  # noqa: ANN401 - JSON
        return {"id": "me/cats", "sha": "1" * 40, "private": self.server.private, "tags": [], "siblings": []}


def _oid(data: bytes) -> str:
    """Return the name that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324 - git's
