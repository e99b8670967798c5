"""What ``--out`` of an export names: a folder of this machine, or a URL."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pixcore import InvalidRequest
from pixcore_adapters.outputs.export.destinations import Destination
from pixcore_adapters.outputs.export.destinations.blobs import Blobs
from pixcore_adapters.outputs.export.destinations.folder import Folder
from pixcore_adapters.outputs.export.destinations.staged import Staged
from pixcore_runners.assembly.stores import store_at
from pixcore_runners.registry.table import needing
from pixcore_runners.registry.tables import BLOB_STORES
from pixcore_runners.settings import Settings
from pixcore_runners.settings.urls import expanded, holds_secret, is_url

_REPOSITORY = re.compile(r"hf://datasets/([^/]+/[^/]+)/?")


def destination(out: str, settings: Settings) -> Destination:
    """Return the destination at a path or a URL.

    A folder of a bucket or container is opened as the store above it, so that the hidden folder of an export is beside
    the destination. The stores of plug-ins are opened as they are.

    Raises:
        InvalidRequest: The URL is malformed or holds a credential, nothing can be exported to its scheme, or a package
            is missing.
        StoreDenied, StoreNotFound, StoreUnavailable: It cannot be reached.
    """
    if not is_url(out):
        return Folder(Path(out))
    if holds_secret(out):
        raise InvalidRequest(
            "--out holds a credential, but URLs are shown; remove it and set it where the store's own tools read it"
        )
    parts = urlsplit(out)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise InvalidRequest(f"--out {out!r} names no folder of this machine; write file:./out or file:///data/out")
        return Folder(expanded(Path(unquote(parts.path))))
    if parts.scheme == "memory":
        raise InvalidRequest("--out memory: would be lost when this command ends; choose a folder or a store")
    work = Path(settings.work)
    if parts.scheme in BLOB_STORES.builtin:
        folder, _, name = parts.path.rstrip("/").rpartition("/")
        if not name:
            raise InvalidRequest(f"--out {out!r} names a whole store; add the name of a folder, as in {out}/NAME")
        above = parts._replace(path=folder)
        store = store_at(above.geturl(), create=settings.create_container)
        return Staged(Blobs(store, above._replace(query="").geturl()), unquote(name), work)
    if parts.scheme in BLOB_STORES:
        return Staged(Blobs(store_at(out, create=settings.create_container), out), "", work)
    if parts.scheme == "hf" and (found := _REPOSITORY.fullmatch(out)):
        with needing("hub"):
            from pixcore_adapters.outputs.export.destinations.hub import Repository  # noqa: PLC0415 - an extra
            from pixcore_adapters.outputs.hub import HubRepository  # noqa: PLC0415 - likewise
        return Repository(HubRepository(found[1]), work)
    with needing("fsspec"):
        from pixcore_adapters.outputs.export.destinations.fsspec import FileSystem  # noqa: PLC0415 - an extra
    return Staged(*FileSystem.at(out), work)
