"""Lanes for tests: a source is listed and the listing kept."""

from collections.abc import Iterable

from pixcore import Lane, Slice
from pixcore_adapters.downloader.folder import FolderDownloader
from pixcore_adapters.downloader.urls import Urls


def lane_of(source: FolderDownloader | Urls, place: object, dataset: str, planned: Iterable[Slice] = ()) -> Lane:
    """What a plan made now would have to share out; its listing is kept in the source's store."""
    with source.listing(place, dataset, planned) as listing:
        listing.keep(source.store)
        return listing.lane
