"""pixcore: keywords, URL lists and folders into clean, de-duplicated, provenance-tracked datasets."""

# pyright: reportUnsupportedDunderAll=false
# Type checkers read __init__.pyi instead of this file.

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

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
    "Planned",
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
    "model.planned",
    "model.claims",
    "model.comparison",
    "model.overview",
    "chunk.events",
    "model.rows",
    "ports",
    "filters.rule",
    "chunk.lease",
    "planning.plan",
    "chunk.retry",
    "chunk.pipeline",
)

# Entry points of this distribution: names that it offers beside those of the core, such as `collect`. The packages that
# hold them import the core, so the core must not import them. They are not in __all__, because one of them is `open`.
_LIBRARY = "pixcore.library"


def __getattr__(name: str) -> object:
    for module in _MODULES if name in __all__ else ():
        imported = import_module(f"{__name__}.{module}")
        if hasattr(imported, name):
            globals()[name] = value = getattr(imported, name)
            return value
    if not name.startswith("_"):
        for entry in _library():
            if entry.name == name:
                globals()[name] = value = entry.load()
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(entry.name for entry in _library())})


def _library() -> "EntryPoints":
    from importlib.metadata import EntryPoints, PackageNotFoundError, distribution  # noqa: PLC0415 - slow to import

    try:
        return distribution("pixcore").entry_points.select(group=_LIBRARY)
    except PackageNotFoundError:  # run from a source tree that is not installed
        return EntryPoints()
