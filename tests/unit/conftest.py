"""Tests of this folder start no process, so that they are fast and run anywhere."""

import platform
import sys
from collections.abc import Iterator
from typing import Any

import pytest

STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system")

platform.platform()  # the SDKs call it, and its first call starts `uname`; later calls use the cached result

_watched = False
_started: list[str] = []


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    """Record an audit event that starts a process while a test of this folder runs."""
    if _watched and event in STARTS:
        _started.append(f"{event} {arguments}")


sys.addaudithook(_record)


@pytest.fixture(autouse=True)
def _no_process() -> Iterator[None]:
    """Fail a test that starts a process."""
    global _watched  # noqa: PLW0603 (an audit hook cannot be removed)
    _started.clear()
    _watched = True
    yield
    _watched = False
    assert _started == [], "a test that starts a process belongs to tests/integration"
