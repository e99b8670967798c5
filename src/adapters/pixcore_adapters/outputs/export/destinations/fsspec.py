"""A file system that fsspec knows as a place for exports: SFTP, WebDAV, HDFS, SMB and others."""

import errno
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Self

import fsspec
from attrs import frozen

from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.errors import (
    InvalidRequest,
    PixcoreError,
    StoreConflict,
    StoreDenied,
    StoreNotFound,
    StoreUnavailable,
    one_line,
)
from pixcore_adapters.outputs.export.destinations.remote import Stored

# File systems that rename a folder in one step. Object stores copy and delete each file instead.
_RENAME = frozenset({"file", "local", "sftp", "ssh", "smb", "hdfs", "arrow_hdfs", "webhdfs", "dav", "webdav"})

_RIGHTS = "give this user the right to read, write and delete there, or choose another destination"
_REMEDIES = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOSPC: "free some space there, or choose another destination",
    errno.EDQUOT: "free some space there, or choose another destination",
    errno.ENOTDIR: "a file is where a folder is needed; choose another destination",
    errno.ENAMETOOLONG: "its file system does not allow this name; choose a shorter one",
}
_SECRET = re.compile(r"sig(nature)?=|token|secret|passw|authorization", re.IGNORECASE)


@frozen
class FileSystem:
    """A ``Remote``: a folder of a file system.

    Attributes:
        system: fsspec's file system.
        root: The folder, as the file system names it, without a final ``/``.
        url: The URL of the folder.
        policy: How often a request is tried.
        sleep: Waits that many seconds between tries.
    """

    system: Any
    root: str
    url: str
    policy: RetryPolicy = Policies().upload
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def at(cls, url: str) -> tuple[Self, str]:
        """Return the file system and folder that hold what a URL names, and its name there.

        fsspec's own configuration and the tools of each file system provide the credentials.

        Raises:
            InvalidRequest: fsspec does not know the scheme, a package is missing, or the URL names no folder.
            StoreDenied, StoreNotFound, StoreUnavailable: It cannot be reached.
        """
        if url.startswith(("http://", "https://")):
            raise InvalidRequest(f"nothing can be exported to {url}: a web server only gives files; choose a store")
        try:
            with _translated(f"cannot open {url}"):
                system, path = fsspec.url_to_fs(url)
        except StoreUnavailable as error:
            match error.__cause__:
                case ImportError() as cause:
                    raise InvalidRequest(f"{url} needs a package that is not installed: {one_line(cause)}") from error
                case ValueError() as cause:
                    raise InvalidRequest(f"nothing can be exported to {url}: {one_line(cause)}") from error
            raise
        folder, slash, name = path.rstrip("/").rpartition("/")
        if not slash or not name:
            raise InvalidRequest(f"{url} names no folder that an export can create; add a name, as in {url}/NAME")
        return cls(system, folder, url.rstrip("/").rpartition("/")[0]), name

    @property
    def at_once(self) -> int:
        """See ``Remote``. Clients that are not asynchronous have one connection."""
        return 8 if getattr(self.system, "async_impl", False) else 1

    @property
    def rename(self) -> Callable[[str, str], None] | None:
        """See ``Remote``."""
        protocol = self.system.protocol
        names = {protocol} if isinstance(protocol, str) else set(protocol)
        return self._rename if names & _RENAME else None

    def list(self, folder: str) -> Iterator[Stored]:
        """See ``Remote``."""
        path = self._path(folder)
        for name, about in self._tried(f"cannot list {folder!r}", self._find, path).items():
            yield Stored(name.removeprefix(path).lstrip("/"), int(about.get("size") or 0))

    def read(self, name: str) -> bytes:
        """See ``Remote``."""
        return bytes(self._tried(f"cannot read {name!r}", self.system.cat_file, self._path(name)))

    def put(self, name: str, source: Path, sent: Stored) -> None:
        """See ``Remote``."""
        path = self._path(name)
        self._tried(f"cannot store {name!r}", self._in_folder, path, self.system.put_file, str(source), path)
        stored = self._tried(f"cannot describe {name!r}", self._size, path)
        if stored != sent.size:
            raise StoreUnavailable(f"only {stored} of the {sent.size} bytes of {name!r} arrived in {self.url}")

    def prepare(self, name: str, to: str) -> Callable[[], object]:
        """See ``Remote``."""
        path, new = self._path(name), self._path(to)
        move = self.system.mv if self.rename else self.system.cp_file
        return partial(self._tried, f"cannot rename {name!r} to {to!r}", self._in_folder, new, move, path, new)

    def clear(self, folder: str) -> None:
        """See ``Remote``."""

        def remove(path: str) -> None:
            self.system.invalidate_cache()
            with suppress(FileNotFoundError):
                self.system.rm(path, recursive=True)

        self._tried(f"cannot remove {folder!r}", remove, self._path(folder))

    def _rename(self, folder: str, to: str) -> None:
        path, new = self._path(folder), self._path(to)
        with _translated(f"cannot rename {folder!r} to {to!r} in {self.url}"):
            if self.system.exists(new):
                with suppress(OSError):
                    self.system.rmdir(new)
                if self.system.exists(new):
                    raise InvalidRequest(f"{self.url}/{to} is not empty any more; choose another destination")
            whole = {"recursive": True} if "recursive" in signature(self.system.mv).parameters else {}
            self.system.mv(path, new, **whole)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}".rstrip("/")

    def _find(self, path: str) -> Mapping[str, Mapping[str, Any]]:
        self.system.invalidate_cache()
        try:
            found: Mapping[str, Mapping[str, Any]] = self.system.find(path, detail=True)
        except FileNotFoundError:
            return {}
        return found

    def _size(self, path: str) -> int:
        self.system.invalidate_cache()
        return int(self.system.info(path).get("size") or 0)

    def _in_folder(self, path: str, write: Callable[..., object], *arguments: str) -> None:
        """Call ``write``, which writes to ``path``. If a folder is missing, create it and call it again."""
        try:
            write(*arguments)
        except FileNotFoundError:
            self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
            write(*arguments)

    def _tried(self, failure: str, do: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - as ``do``
        def once() -> Any:  # noqa: ANN401 - as ``do``
            with _translated(f"{failure} in {self.url}"):
                return do(*arguments)

        return retrying(self.policy, self.sleep)(once)


@contextmanager
def _translated(failure: str) -> Iterator[None]:
    """Translate the exceptions of a file system, which may be of any class.

    Raises:
        StoreDenied: Rights or space are missing, or the file system cannot be written.
        StoreNotFound: A file, or the container of all files, does not exist.
        StoreUnavailable: Anything else.
    """
    try:
        yield
    except PixcoreError:
        raise
    except FileNotFoundError as error:
        raise StoreNotFound(f"{failure}: it does not exist; create it, or choose another destination") from error
    except FileExistsError as error:
        raise StoreConflict(f"{failure}: it exists already; choose another destination") from error
    except NotImplementedError as error:
        raise StoreDenied(f"{failure}: this file system cannot be written; choose another destination") from error
    except Exception as error:
        text = type(error).__name__ if _SECRET.search(str(error)) else one_line(error)
        if remedy := _REMEDIES.get(getattr(error, "errno", None) or 0):
            raise StoreDenied(f"{failure}: {text}; {remedy}") from error
        if isinstance(error, PermissionError):
            raise StoreDenied(f"{failure}: {text}; {_RIGHTS}") from error
        raise StoreUnavailable(f"{failure}: {text}; try again, or check the network and the service") from error
