"""What ``--out`` of an export names: a folder of this machine, or a URL."""

import re
from collections.abc import Callable
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
from pixcore_runners.settings.urls import expanded, holds_secret

_URL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_REPOSITORY = re.compile(r"hf://datasets/([^/]+/[^/]+)/?")


def destination(out: str, settings: Settings, say: Callable[[str], object]) -> Destination:
    """Return the destination at a path or a URL. ``say`` receives lines for the user.

    Raises:
        InvalidRequest: The URL is malformed or holds a credential, nothing can be exported to its scheme, or a package
            is missing.
        StoreDenied, StoreNotFound, StoreUnavailable: It cannot be reached.
    """
    if not _URL.match(out):
        return Folder(Path(out))
    if holds_secret(out):
        raise InvalidRequest(
            "--out holds a credential, but URLs are shown; remove it and set it where the store's own tools read it"
        )
    scheme = urlsplit(out).scheme
    if scheme == "file":
        return _folder(out)
    if scheme == "memory":
        raise InvalidRequest("--out memory: would be lost when this command ends; choose a folder or a store")
    if scheme in BLOB_STORES:
        return _in_store(out, settings, say)
    if "://" not in out:
        raise InvalidRequest(f"nothing can be exported to {scheme}:; write ./{out} for a folder of that name")
    return _elsewhere(out, Path(settings.work), say)


def _folder(url: str) -> Folder:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise InvalidRequest(f"--out {url!r} names no folder of this machine; write file:./out or file:///data/out")
    return Folder(expanded(Path(unquote(parts.path))))


def _in_store(url: str, settings: Settings, say: Callable[[str], object]) -> Staged:
    """Return a folder of a bucket or container, in the store one level above it: the hidden folder is beside it.

    The store of a plug-in is opened as it is, because its URL may have no folders.
    """
    work, create = Path(settings.work), settings.create_container
    parts = urlsplit(url)
    if parts.scheme not in BLOB_STORES.builtin:
        return Staged(Blobs(store_at(url, create=create), url), "", work, say)
    above, _, name = parts.path.rstrip("/").rpartition("/")
    if not name:
        raise InvalidRequest(f"--out {url!r} names a whole store; add the name of a folder, as in {url}/NAME")
    parts = parts._replace(path=above)
    store = store_at(parts.geturl(), create=create)
    return Staged(Blobs(store, parts._replace(query="").geturl()), unquote(name), work, say)


def _elsewhere(url: str, work: Path, say: Callable[[str], object]) -> Destination:
    """Return a repository of the Hugging Face Hub, or a folder of a file system that fsspec knows."""
    if repository := _REPOSITORY.fullmatch(url):
        with needing("hub"):
            from pixcore_adapters.outputs.export.destinations.hub import Repository  # noqa: PLC0415 - an extra
            from pixcore_adapters.outputs.hub import HubRepository  # noqa: PLC0415 - likewise
        return Repository(HubRepository(repository[1]), work)
    with needing("fsspec"):
        from pixcore_adapters.outputs.export.destinations.fsspec import FileSystem  # noqa: PLC0415 - an extra
    return Staged(*FileSystem.at(url), work, say)
