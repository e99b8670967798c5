"""Lanes for tests, made by listing a source and storing the listing."""

from collections.abc import Iterable
from pathlib import Path

from pixcore import Lane, Slice
from pixcore_adapters.downloader.folder import FolderDownloader
from pixcore_adapters.downloader.lists.options import ListOptions
from pixcore_adapters.downloader.urls import Urls

JUNK = ListOptions(accept_junk=True)


def lane_of(
    source: FolderDownloader | Urls,
    place: object,
    dataset: str,
    planned: Iterable[Slice] = (),
    options: ListOptions = JUNK,
) -> Lane:
    """Return the lane that a new plan would divide; store its listing in the source's store."""
    if isinstance(source, Urls):
        opened = source.listing(str(place), dataset, planned, options)
    else:
        opened = source.listing(Path(str(place)), dataset, planned)
    with opened as listing:
        listing.keep(source.store)
        return listing.lane
