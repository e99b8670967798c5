"""An export to a place that shows its files one by one: an object store, or a file system that fsspec knows.

Such a place cannot show many files in one step. Therefore an export has three:

1. Each file is sent as soon as the layout has finished it, to a hidden folder beside the destination, under a name with
   its sha256. An export that is repeated after an interruption sends only the files that are missing there.
2. Once every byte is there, a list of all files is stored. The place itself prepares a copy of each file, which no
   listing shows, and then shows the copies: one request each, several at a time. Above 10,000 files, this is done in
   batches. The file that the layout finished last is shown last, after all others.
3. The hidden folder is removed.

The destination is empty until the last requests of step 2. If an export is killed between the first and the last of
these, the next one finds the list, and so knows that the files in the destination are its own. In a place that can
rename a folder, the files get their names within the hidden folder, and one rename shows them all.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from pixcore.chunk.workspace import local_disk, workspace
from pixcore.errors import InvalidRequest
from pixcore_adapters.outputs.export.destinations.remote import Remote, Stored
from pixcore_adapters.outputs.export.destinations.sending import Sending

_Files = Mapping[str, Stored]

_BATCH = 10_000  # files that are prepared before they are shown; each needs some memory until then


@frozen
class Staged:
    """A ``Destination``: the folder ``name`` of a place.

    Attributes:
        remote: The place, such as a bucket.
        name: The folder within it, one path part. If it is empty, the export is the whole place, with the hidden folder
            inside.
        work: Files that wait to be sent are in a private folder below this one.
        say: Receives a line for the user.
    """

    remote: Remote
    name: str
    work: Path
    say: Callable[[str], object] = lambda _line: None

    def __str__(self) -> str:
        return f"{self.remote.url}/{self.name}".rstrip("/")

    @property
    def remains(self) -> str:
        """See ``Destination``."""
        return f"{self.remote.url}/{self._staging}"

    def check(self) -> None:
        """See ``Destination``."""
        if self._named(self.name) is None:
            raise InvalidRequest(f"{self} is not empty; nothing was written: choose another destination")

    @contextmanager
    def writing(self) -> Generator[Sending]:
        """See ``Destination``."""
        self.check()
        with workspace(self.work, lambda _path, _error: None) as spool:
            self._try_rights(spool)
            named = self._named(self.name) or self._named(self._target)
            if named is None:  # in the hidden folder
                self.remote.clear(self._target)
                named = {}
            sent = {file.name: file.size for file in self.remote.list(f"{self._staging}/files")}

            kept: list[str] = []

            def send(path: Path, file: Stored) -> None:
                if named.get(file.name) == file or sent.get(_content(file)) == file.size:
                    kept.append(file.name)
                else:
                    self.remote.put(f"{self._staging}/files/{_content(file)}", path, file)

            with Sending(spool, send, self.remote.at_once) as files:
                yield files
            if kept:
                self.say(f"files that an interrupted export had sent already: {len(kept)} of {len(files.files)}")
            self._show(files.files, named, spool)

    def _show(self, files: _Files, named: _Files, spool: Path) -> None:
        """Give all files their own names, except those that are ``named`` already, and remove the hidden folder."""
        self.check()
        strange = [name for name, file in named.items() if files.get(name) != file]
        if strange and self._named(self.name):
            raise InvalidRequest(
                f"{self} holds files of an interrupted export that are not in this one, such as {strange[0]}; remove"
                " them, or repeat that export with the options that it had"
            )
        for name in strange:  # in the hidden folder
            self.remote.clear(f"{self._target}/{name}")
        self._put_list(files, spool)
        self._show_all([file for name, file in files.items() if named.get(name) != file])
        if self.remote.rename and self._named(self.name) != files:
            self.remote.rename(self._target, self.name)
        self.remote.clear(self._staging)

    def _show_all(self, hidden: Sequence[Stored]) -> None:
        """Give these files their own names, the last one after all others."""
        last = [self._prepare(file) for file in hidden[-1:]]
        pool = ThreadPoolExecutor(self.remote.at_once)
        try:
            for first in range(0, len(hidden) - 1, _BATCH):
                shows = list(pool.map(self._prepare, hidden[:-1][first : first + _BATCH]))
                for _ in pool.map(lambda show: show(), shows):
                    pass
        finally:
            pool.shutdown(cancel_futures=True)
        for show in last:
            show()

    def _prepare(self, file: Stored) -> Callable[[], object]:
        to = f"{self._target}/{file.name}".lstrip("/")
        return self.remote.prepare(f"{self._staging}/files/{_content(file)}", to)

    @property
    def _staging(self) -> str:
        return f".{self.name}.partial" if self.name else ".partial"

    @property
    def _target(self) -> str:
        """The folder where files get their own names."""
        return f"{self._staging}/whole" if self.remote.rename else self.name

    def _named(self, folder: str) -> _Files | None:
        """Return the files of a folder if an interrupted export gave all of them their names; None if not.

        The values are those of the interrupted export's list.
        """
        found: list[str] = []
        lists: list[_Files] | None = None
        for file in self.remote.list(folder):
            if not file.name.startswith(f"{self._staging}/"):
                lists = list(self._lists()) if lists is None else lists
                lists = [files for files in lists if _is(file, files.get(file.name))]
                if not lists:
                    return None  # without listing the others, of which there may be many
                found.append(file.name)
        return {name: lists[0][name] for name in found} if lists else {}

    def _lists(self) -> Iterator[_Files]:
        """Yield the lists of interrupted exports. Skip those that are incomplete."""
        folder = f"{self._staging}/lists"
        for stored in self.remote.list(folder):
            data = self.remote.read(f"{folder}/{stored.name}")
            if hashlib.sha256(data).hexdigest() == stored.name:
                files = (Stored(*json.loads(line)) for line in data.splitlines())
                yield {file.name: file for file in files}

    def _put_list(self, files: _Files, spool: Path) -> None:
        path, digest = spool / "list", hashlib.sha256()
        with local_disk("writing the list of the export"), path.open("wb") as written:
            for file in files.values():
                line = f"{json.dumps([file.name, file.size, file.sha256])}\n".encode()
                digest.update(line)
                written.write(line)
        listed = Stored(digest.hexdigest(), path.stat().st_size, digest.hexdigest())
        self.remote.put(f"{self._staging}/lists/{listed.name}", path, listed)

    def _try_rights(self, spool: Path) -> None:
        """Write and remove a file, so that missing rights are found before an image is read."""
        path = spool / "probe"
        with local_disk("writing a probe"):
            path.write_bytes(b"probe")
        probe = Stored("probe", path.stat().st_size, hashlib.sha256(b"probe").hexdigest())
        self.remote.put(f"{self._staging}/{probe.name}", path, probe)
        self.remote.clear(f"{self._staging}/{probe.name}")


def _content(file: Stored) -> str:
    return f"{file.sha256}/{file.name}"


def _is(found: Stored, listed: Stored | None) -> bool:
    return listed is not None and found.size == listed.size and found.sha256 in ("", listed.sha256)
