"""Lanes for tests, made by listing a source and storing the listing."""

from collections.abc import Iterable

from pixcore import Lane, Slice
from pixcore_adapters.downloader.folder import FolderDownloader
from pixcore_adapters.downloader.urls import Urls


def lane_of(source: FolderDownloader | Urls, place: object, dataset: str, planned: Iterable[Slice] = ()) -> Lane:
    """Return the lane that a new plan would divide; store its listing in the source's store."""
    with source.listing(place, dataset, planned) as listing:
        listing.keep(source.store)
        return listing.lane
