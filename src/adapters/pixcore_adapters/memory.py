"""The in-memory twin of every port, for tests of one's own: each keeps the contract that the real ones keep."""

from pixcore_adapters.archiver.memory import MemoryArchiver
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.seen_images.memory import MemorySeenImages
from pixcore_adapters.status_repo.memory import MemoryStatusRepo
from pixcore_adapters.validator.memory import MemoryValidator, encode

__all__ = [
    "MemoryArchiver",
    "MemoryBlobStore",
    "MemoryDownloader",
    "MemorySeenImages",
    "MemoryStatusRepo",
    "MemoryValidator",
    "encode",
]
