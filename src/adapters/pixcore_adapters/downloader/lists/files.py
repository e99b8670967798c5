"""Find the files of a list: one file, or all lists in a folder or of a glob, in a stable order."""

import glob
import os
from pathlib import Path

from pixcore.errors import InvalidRequest
from pixcore_adapters.downloader.lists import formats
from pixcore_adapters.downloader.lists.options import ListOptions


def files(location: str, options: ListOptions) -> list[Path]:
    """Return the files, ordered by the bytes of their paths, without hidden files.

    Raises:
        InvalidRequest: The folder or the glob holds no list.
    """
    path = Path(location)
    if path.is_dir():
        found = [file for file in path.rglob("*") if not _hidden(file, path)]
    elif glob.has_magic(location) and not path.exists():
        found = [Path(name) for name in glob.glob(location, recursive=True)]  # noqa: PTH207 - also takes absolute patterns
    else:
        return [path]
    lists = [file for file in found if file.is_file() and (options.format or formats.by_name(file.name))]
    if not lists:
        raise InvalidRequest(
            f"{location!r} holds no list; lists end in {', '.join(formats.EXTENSIONS)}, each also with .gz"
        )
    return sorted(lists, key=os.fsencode)


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
