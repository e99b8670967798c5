"""The examples of the README and of docs/ run as tests. Each is complete: others may run in another process."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

_WITH_PHOTOS = "python.md"  # the page whose example collects ./photos


def _enter_folder_with_photos(namespace: dict[str, Any]) -> None:
    namespace["left"] = Path.cwd()
    namespace["folder"] = folder = TemporaryDirectory()
    os.chdir(folder.name)
    Path("photos").mkdir()
    for number in range(4):
        Image.effect_noise((200, 150), 40 + 10 * number).save(f"photos/{number}.jpg")


def _leave_folder(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["left"])
    namespace["folder"].cleanup()


_pages = Sybil(parsers=[PythonCodeBlockParser()], patterns=["*.md"], excludes=[_WITH_PHOTOS])
_page_with_photos = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=[_WITH_PHOTOS],
    setup=_enter_folder_with_photos,
    teardown=_leave_folder,
)
pytest_collect_file = (_pages + _page_with_photos).pytest()
