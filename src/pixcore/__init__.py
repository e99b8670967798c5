"""pixcore: keywords, URL lists and folders into clean, de-duplicated, provenance-tracked datasets."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixcore.chunk.events import Event, Observer
    from pixcore.chunk.lease import LeaseTerms
    from pixcore.chunk.pipeline import ChunkPipeline
    from pixcore.chunk.retry import Policies, RetryPolicy
    from pixcore.errors import (
        BlobRefused,
        Cancelled,
        ClaimLost,
        Fault,
        InvalidRequest,
        LibraryMissing,
        MachineUnfit,
        NoValidImages,
        PermanentError,
        PixcoreError,
        PlanOutdated,
        SourceChanged,
        SourceUnavailable,
        StatusUnavailable,
        StoreConflict,
        StoreDenied,
        StoreFull,
        StoreNotFound,
        StoreUnavailable,
        TransientError,
        WorkspaceFull,
        WorkspaceUnusable,
    )
    from pixcore.filters.rule import Filter, PictureFilter
    from pixcore.model.archives import Archive, Blob, StoredBlob
    from pixcore.model.chunks import (
        Attempt,
        Chunk,
        ChunkKey,
        ChunkRecord,
        ChunkResult,
        Claim,
        Phase,
        Priority,
        Progress,
        Reject,
        Status,
        TwinPair,
    )
    from pixcore.model.claims import Busy, Claimed, Done, Elsewhere, Exhausted, NotDue
    from pixcore.model.comparison import Comparison, Features, Twin
    from pixcore.model.conversion import Conversion, Converted, Encoding, Resize, Unconverted
    from pixcore.model.datasets import Change, ChangeKind, CopiedChunk, DatasetSummary
    from pixcore.model.decisions import Decided, Decision, DecisionKind
    from pixcore.model.images import (
        Accepted,
        Candidate,
        CandidateKey,
        Download,
        Miss,
        MissReason,
        Original,
        Provenance,
        Rejected,
        RejectReason,
        Transfer,
    )
    from pixcore.model.measures import Measures
    from pixcore.model.overview import Overview, RestingWorker
    from pixcore.model.positions import Allocation
    from pixcore.model.quality import Fingerprint, NearRule, Quality, TwinRule
    from pixcore.model.requests import ChunkRequest, Slice
    from pixcore.model.rows import Row
    from pixcore.planning.plan import DatasetRequest, KeywordRequest, Lane, plan
    from pixcore.ports import (
        Archiver,
        BlobStore,
        Contents,
        Converter,
        Datasets,
        Decisions,
        Downloader,
        Previewer,
        StatusRepo,
        Validator,
    )
    from pixcore.ports.seen_images import NearPair, SeenImage, SeenImages
    from pixcore.ports.twin_finder import TwinFinder, Twins
    from pixcore.stored.near_groups import NearGroup, near_groups

__all__ = [
    "Accepted",
    "Allocation",
    "Archive",
    "Archiver",
    "Attempt",
    "Blob",
    "BlobRefused",
    "BlobStore",
    "Busy",
    "Cancelled",
    "Candidate",
    "CandidateKey",
    "Change",
    "ChangeKind",
    "Chunk",
    "ChunkKey",
    "ChunkPipeline",
    "ChunkRecord",
    "ChunkRequest",
    "ChunkResult",
    "Claim",
    "ClaimLost",
    "Claimed",
    "Comparison",
    "Contents",
    "Conversion",
    "Converted",
    "Converter",
    "CopiedChunk",
    "DatasetRequest",
    "DatasetSummary",
    "Datasets",
    "Decided",
    "Decision",
    "DecisionKind",
    "Decisions",
    "Done",
    "Download",
    "Downloader",
    "Elsewhere",
    "Encoding",
    "Event",
    "Exhausted",
    "Fault",
    "Features",
    "Filter",
    "Fingerprint",
    "InvalidRequest",
    "KeywordRequest",
    "Lane",
    "LeaseTerms",
    "LibraryMissing",
    "MachineUnfit",
    "Measures",
    "Miss",
    "MissReason",
    "NearGroup",
    "NearPair",
    "NearRule",
    "NoValidImages",
    "NotDue",
    "Observer",
    "Original",
    "Overview",
    "PermanentError",
    "Phase",
    "PictureFilter",
    "PixcoreError",
    "PlanOutdated",
    "Policies",
    "Previewer",
    "Priority",
    "Progress",
    "Provenance",
    "Quality",
    "Reject",
    "RejectReason",
    "Rejected",
    "Resize",
    "RestingWorker",
    "RetryPolicy",
    "Row",
    "SeenImage",
    "SeenImages",
    "Slice",
    "SourceChanged",
    "SourceUnavailable",
    "Status",
    "StatusRepo",
    "StatusUnavailable",
    "StoreConflict",
    "StoreDenied",
    "StoreFull",
    "StoreNotFound",
    "StoreUnavailable",
    "StoredBlob",
    "Transfer",
    "TransientError",
    "Twin",
    "TwinFinder",
    "TwinPair",
    "TwinRule",
    "Twins",
    "Unconverted",
    "Validator",
    "WorkspaceFull",
    "WorkspaceUnusable",
    "near_groups",
    "plan",
]

# A public name is looked up in these modules in order, and each is imported only if those before it lack the name. So
# a program that uses little of the core, such as the decoder child, starts sooner. Modules that import many others come
# last.
_MODULES = (
    "errors",
    "model.measures",
    "model.quality",
    "model.conversion",
    "model.images",
    "model.archives",
    "model.requests",
    "model.decisions",
    "model.positions",
    "model.chunks",
    "model.datasets",
    "model.claims",
    "model.comparison",
    "model.overview",
    "chunk.events",
    "model.rows",
    "ports",
    "filters.rule",
    "chunk.lease",
    "stored.near_groups",
    "planning.plan",
    "chunk.retry",
    "chunk.pipeline",
)

if not TYPE_CHECKING:  # type checkers assume that a module with __getattr__ has every name

    def __getattr__(name: str) -> object:
        for module in _MODULES if name in __all__ else ():
            imported = import_module(f"{__name__}.{module}")
            if hasattr(imported, name):
                globals()[name] = value = getattr(imported, name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
