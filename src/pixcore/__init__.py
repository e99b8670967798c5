"""pixcore: keywords, URL lists and folders into clean, de-duplicated, provenance-tracked dataset shards."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixcore.duplicates import NearGroup, NearPair, SeenImage, SeenImages, near_groups
    from pixcore.errors import (
        Cancelled,
        ClaimLost,
        InvalidRequest,
        NoValidImages,
        PermanentError,
        PixcoreError,
        SourceChanged,
        SourceUnavailable,
        StatusUnavailable,
        StoreConflict,
        StoreDenied,
        StoreNotFound,
        StoreUnavailable,
        TransientError,
        WorkspaceFull,
    )
    from pixcore.events import Event, Observer
    from pixcore.lease import LeaseTerms
    from pixcore.manifest import Row
    from pixcore.model import (
        Accepted,
        Archive,
        Attempt,
        Blob,
        Busy,
        Candidate,
        CandidateKey,
        Chunk,
        ChunkKey,
        ChunkRecord,
        ChunkRequest,
        ChunkResult,
        Claim,
        Claimed,
        Done,
        Download,
        Exhausted,
        Miss,
        MissReason,
        NotDue,
        Overview,
        Phase,
        Progress,
        Provenance,
        Reject,
        Rejected,
        RejectReason,
        Slice,
        Status,
    )
    from pixcore.pipeline import ChunkPipeline
    from pixcore.planning import DatasetRequest, KeywordRequest, Lane, plan
    from pixcore.ports import Archiver, BlobStore, Contents, Downloader, StatusRepo, Validator
    from pixcore.quality import Fingerprint, NearRule, Quality
    from pixcore.retry import Policies, RetryPolicy

__all__ = [
    "Accepted",
    "Archive",
    "Archiver",
    "Attempt",
    "Blob",
    "BlobStore",
    "Busy",
    "Cancelled",
    "Candidate",
    "CandidateKey",
    "Chunk",
    "ChunkKey",
    "ChunkPipeline",
    "ChunkRecord",
    "ChunkRequest",
    "ChunkResult",
    "Claim",
    "ClaimLost",
    "Claimed",
    "Contents",
    "DatasetRequest",
    "Done",
    "Download",
    "Downloader",
    "Event",
    "Exhausted",
    "Fingerprint",
    "InvalidRequest",
    "KeywordRequest",
    "Lane",
    "LeaseTerms",
    "Miss",
    "MissReason",
    "NearGroup",
    "NearPair",
    "NearRule",
    "NoValidImages",
    "NotDue",
    "Observer",
    "Overview",
    "PermanentError",
    "Phase",
    "PixcoreError",
    "Policies",
    "Progress",
    "Provenance",
    "Quality",
    "Reject",
    "RejectReason",
    "Rejected",
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
    "StoreNotFound",
    "StoreUnavailable",
    "TransientError",
    "Validator",
    "WorkspaceFull",
    "near_groups",
    "plan",
]

# Each is imported when somebody asks for a name that those before it lack, so that a program which uses little of the
# core, such as the decoder child, starts sooner. What imports the others comes last.
_MODULES = (
    "errors",
    "quality",
    "model",
    "events",
    "manifest",
    "ports",
    "lease",
    "duplicates",
    "planning",
    "retry",
    "pipeline",
)

if not TYPE_CHECKING:  # to type checkers, a module with __getattr__ would have any name

    def __getattr__(name: str) -> object:
        for module in _MODULES if name in __all__ else ():
            home = import_module(f"{__name__}.{module}")
            if hasattr(home, name):
                globals()[name] = value = getattr(home, name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
