"""The eleven ports: the interfaces by which the core uses the outside. Their signatures use no third-party types."""

from pixcore.ports.archiver import Archiver, Contents
from pixcore.ports.blob_store import BlobStore
from pixcore.ports.converter import Converter
from pixcore.ports.datasets import Datasets
from pixcore.ports.decisions import Decisions
from pixcore.ports.downloader import Downloader
from pixcore.ports.previewer import Previewer
from pixcore.ports.seen_images import NearGroup, NearPair, SeenImage, SeenImages
from pixcore.ports.status_repo import StatusRepo
from pixcore.ports.twin_finder import TwinFinder, Twins
from pixcore.ports.validator import Validator

__all__ = [
    "Archiver",
    "BlobStore",
    "Contents",
    "Converter",
    "Datasets",
    "Decisions",
    "Downloader",
    "NearGroup",
    "NearPair",
    "Previewer",
    "SeenImage",
    "SeenImages",
    "StatusRepo",
    "TwinFinder",
    "Twins",
    "Validator",
]
