"""The layouts keep the contract."""

from pathlib import Path

from exports import LAYOUTS, read_back

from contract.layout import Found, LayoutContract
from pixcore_adapters.outputs.export.layout import ExportRequest, Layout


class OwnLayout(LayoutContract):
    """A layout of pixcore, by its name."""

    name: str

    def make(self, request: ExportRequest) -> Layout:
        """Make the layout."""
        return LAYOUTS[self.name](request)

    def read(self, folder: Path) -> Found:
        """Read its files."""
        return read_back(folder, self.name)


class TestImageFolder(OwnLayout):
    """Plain files with a typed table."""

    name = "imagefolder"


class TestWebDataset(OwnLayout):
    """Tar shards."""

    name = "webdataset"


class TestParquet(OwnLayout):
    """Tables that contain the images."""

    name = "parquet"
    most, pictures = 300, 50


class TestCsv(OwnLayout):
    """Plain files with a CSV index."""

    name = "csv"


class TestJsonl(OwnLayout):
    """Plain files with an index of JSON lines."""

    name = "jsonl"


class TestCoco(OwnLayout):
    """Plain files with COCO's captions."""

    name = "coco"
