"""The five ports: what the core asks of the world, one a file. Signatures hold no third-party type."""

from pixcore.ports.archiver import Archiver, Contents
from pixcore.ports.blob_store import BlobStore
from pixcore.ports.downloader import Downloader
from pixcore.ports.status_repo import StatusRepo
from pixcore.ports.validator import Validator

__all__ = ["Archiver", "BlobStore", "Contents", "Downloader", "StatusRepo", "Validator"]
