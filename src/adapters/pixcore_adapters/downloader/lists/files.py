"""Find the files of a list: one file, or all lists in a folder or of a glob, on disk or in a blob store."""

import glob
import os
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import frozen

from pixcore.chunk.fetching import fetch_blob
from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.ports import BlobStore
from pixcore_adapters.downloader.lists import formats
from pixcore_adapters.downloader.lists.options import ListOptions

MAX_BYTES = 64 << 30  # of a file that is not on disk


@frozen
class ListFile:
    """One file of a list.

    Attributes:
        name: Its path or URL, for messages.
        opened: Gives a block the file's path on the local disk.
    """

    name: str
    opened: Callable[[], AbstractContextManager[Path]]

    @property
    def short(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]


def files(location: str, options: ListOptions) -> list[ListFile]:
    """Return the files at a path or glob, ordered by the bytes of their paths, without hidden files.

    Raises:
        InvalidRequest: The folder or the glob holds no list.
    """
    path = Path(location)
    if path.is_dir():
        found = [file for file in path.rglob("*") if not _hidden(file.relative_to(path).parts)]
    elif glob.has_magic(location) and not path.exists():
        found = [Path(name) for name in glob.glob(location, recursive=True)]  # noqa: PTH207 - also takes absolute patterns
    else:
        return [_on_disk(path)]
    lists = [file for file in found if file.is_file() and (options.format or formats.by_name(file.name))]
    if not lists:
        raise _no_list(location)
    return [_on_disk(file) for file in sorted(lists, key=os.fsencode)]


def stored_files(url: str, options: ListOptions, open_store: Callable[[str], BlobStore]) -> list[ListFile]:
    """Return the files at a URL of a blob store, by rising key, without hidden files.

    The URL is that of a list, or of the prefix of lists, maybe with ``*`` in it. Options of the store follow a ``?``.
    ``open_store`` opens the store at a URL.

    Raises:
        InvalidRequest: There is no list, or no such store.
        StoreDenied, StoreUnavailable: The store cannot be read.
    """
    parts = urlsplit(url)
    folder, _, name = parts.path.rpartition("/")
    pattern = ""
    if glob.has_magic(unquote(parts.path)):
        fixed = parts.path[: min(parts.path.find(sign) for sign in "*[" if sign in parts.path)]
        folder = fixed.rpartition("/")[0]
        pattern = unquote(parts.path[len(folder) :]).lstrip("/")
    store = open_store(parts._replace(path=folder).geturl())
    base = parts._replace(path=folder, query="").geturl()
    try:
        if not pattern and name:
            store.open(unquote(name)).close()
            return [_stored(store, base, unquote(name))]
    except StoreNotFound:
        pass
    try:
        keys = [blob.key for blob in store.list("" if pattern else unquote(name))]
    except StoreNotFound as exc:
        raise InvalidRequest(f"the list {base}/{name} cannot be read: {exc}") from exc
    lists = [
        key
        for key in keys
        if (options.format or formats.by_name(key))
        and not _hidden(key.split("/"))
        and (not pattern or fnmatchcase(key, pattern))
    ]
    if not lists:
        raise _no_list(f"{base}/{name}")
    return [_stored(store, base, key) for key in lists]


def _on_disk(path: Path) -> ListFile:
    return ListFile(str(path), lambda: nullcontext(path))


def _stored(store: BlobStore, base: str, key: str) -> ListFile:
    @contextmanager
    def opened() -> Generator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "list")
            fetch_blob(store, key, path, MAX_BYTES, temporary=True)
            yield path

    return ListFile(f"{base}/{key}", opened)


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _no_list(location: str) -> InvalidRequest:
    return InvalidRequest(
        f"{location!r} holds no list; lists end in {', '.join(formats.EXTENSIONS)}, each also with .gz"
    )
