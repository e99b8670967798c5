"""Folders whose changes survive a power failure."""

import itertools
import os
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, and fsync each parent so that they survive a power failure."""
    missing = list(itertools.takewhile(lambda each: not each.exists(), (folder, *folder.parents)))
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to the disk, so that a rename or a removal in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
