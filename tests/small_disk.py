"""A disk of a few kilobytes, which a test fills, enlarges and empties."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_MS_REMOUNT, _DETACH = 32, 2

Resize = Callable[[int], None]


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Resize]:
    """Mount a disk of ``size`` bytes at ``folder``, which is created; yield a function that changes its size.

    Skips the test if this process may not mount a file system. CI runs as root, which may.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir(parents=True)

    def mount(flags: int, size: int) -> int:
        options = f"size={size},mode=0700".encode()
        if libc.mount(b"pixcore", os.fsencode(folder), b"tmpfs", flags, options):
            return ctypes.get_errno()
        return 0

    if error := mount(0, size):
        pytest.skip(f"this process may not mount a tmpfs ({os.strerror(error)})")
    try:
        yield lambda size: pytest.fail("remount") if mount(_MS_REMOUNT, size) else None
    finally:
        libc.umount2(os.fsencode(folder), _DETACH)
