"""An in-memory implementation of every port, for your own tests. Each passes the same contract suite as the others."""

from pixcore_adapters.archiver.memory import MemoryArchiver
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.converter.memory import MemoryConverter
from pixcore_adapters.decisions.memory import MemoryDecisions
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.status_repo.memory_datasets import MemoryDatasets
from pixcore_adapters.twins.memory import MemoryTwinFinder
from pixcore_adapters.validator.memory import MemoryPreviewer, MemoryValidator, encode

__all__ = [
    "MemoryArchiver",
    "MemoryBlobStore",
    "MemoryConverter",
    "MemoryDatasets",
    "MemoryDecisions",
    "MemoryDownloader",
    "MemoryPreviewer",
    "MemorySeenImages",
    "MemoryStatusRepo",
    "MemoryTwinFinder",
    "MemoryValidator",
    "encode",
]
