"""The downloaders keep the contract; the network is loopback."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from apis import OpenverseApi, openverse_entry
from hostile import Site, handles, picture, policy, status
from listings import lane_of

from contract.downloader import DownloaderContract, Serve
from pixcore.planning.plan import Lane
from pixcore.ports import Downloader
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.folder import FolderDownloader
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.downloader.sources.openverse import Openverse
from pixcore_adapters.downloader.sources.paged import PagedSource
from pixcore_adapters.downloader.urls import Urls
from pixcore_adapters.downloader.web import WebDownloader


class TestMemoryDownloader(DownloaderContract):
    """The public test double is as strict as the real downloaders."""

    @pytest.fixture
    def serve(self) -> Serve:
        """Return a factory of sources."""

        def serve(results: Sequence[bytes | None]) -> tuple[Downloader, Lane]:
            return MemoryDownloader({"cat": results}), Lane("memory", "cat", 0, len(results))

        return serve


class TestFolderDownloader(DownloaderContract):
    """A folder of files, some of which are removed after the plan."""

    @pytest.fixture
    def serve(self, tmp_path: Path) -> Serve:
        """Return a factory of sources."""

        def serve(results: Sequence[bytes | None]) -> tuple[Downloader, Lane]:
            folder = tmp_path / "photos"
            folder.mkdir()
            for n, data in enumerate(results):
                (folder / f"{n:03}.jpg").write_bytes(data or b"")
            downloader = FolderDownloader(MemoryBlobStore())
            lane = lane_of(downloader, folder, "cats")
            for n, data in enumerate(results):
                if data is None:
                    (folder / f"{n:03}.jpg").unlink()
            return downloader, lane

        return serve


class TestWebDownloader(DownloaderContract):
    """A list of pictures on a web site, some of which do not exist."""

    gone = "http_410"
    site: Site

    def handles(self) -> set[str]:
        """Count without the site's ends of the connections, which it closes later."""
        return handles(self.site)

    @pytest.fixture
    def serve(self, tmp_path: Path) -> Iterator[Serve]:
        """Return a factory of sources."""
        with Site() as site:
            self.site = site

            def serve(results: Sequence[bytes | None]) -> tuple[Downloader, Lane]:
                for n, data in enumerate(results):
                    site.routes[f"/{n}.jpg"] = picture(data) if data else status(410)
                urls = tmp_path / "urls.txt"
                urls.write_text("\n".join(site.url(f"/{n}.jpg") for n in range(len(results))))
                source = Urls(MemoryBlobStore(), policy(site))
                return WebDownloader({"urls": source}, policy(site)), lane_of(source, str(urls), "cats")

            yield serve


class TestPagedSource(DownloaderContract):
    """An API whose results are pictures of a web site, some of which do not exist."""

    gone = "http_410"
    site: Site

    def handles(self) -> set[str]:
        """Count without the site's ends of the connections, which it closes later."""
        return handles(self.site)

    @pytest.fixture
    def serve(self) -> Iterator[Serve]:
        """Return a factory of sources."""
        with Site() as site:
            self.site = site

            def serve(results: Sequence[bytes | None]) -> tuple[Downloader, Lane]:
                for n, data in enumerate(results):
                    site.routes[f"/{n}.jpg"] = picture(data) if data else status(410)
                entries = [openverse_entry(site.url(f"/{n}.jpg"), n) for n in range(len(results))]
                site.routes["/v1/images/"] = OpenverseApi(entries)
                source = PagedSource(Openverse(api=site.url("/v1/images/")))
                return WebDownloader({"openverse": source}, policy(site)), Lane("openverse", "cats", 0, len(results))

            yield serve
