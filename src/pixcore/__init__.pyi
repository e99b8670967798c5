# The public names, for type checkers: those of the core, and those that the entry points of this distribution add.
# ruff: noqa: A004, I001
# isort would write each name as an import of its own.

from pixcore.chunk.events import Event as Event, Observer as Observer
from pixcore.chunk.lease import LeaseTerms as LeaseTerms
from pixcore.chunk.pipeline import ChunkPipeline as ChunkPipeline
from pixcore.chunk.retry import Policies as Policies, RetryPolicy as RetryPolicy
from pixcore.errors import (
    BlobRefused as BlobRefused,
    Cancelled as Cancelled,
    ClaimLost as ClaimLost,
    Fault as Fault,
    InvalidRequest as InvalidRequest,
    LibraryMissing as LibraryMissing,
    MachineUnfit as MachineUnfit,
    NoValidImages as NoValidImages,
    PermanentError as PermanentError,
    PixcoreError as PixcoreError,
    PlanOutdated as PlanOutdated,
    SourceChanged as SourceChanged,
    SourceUnavailable as SourceUnavailable,
    StatusUnavailable as StatusUnavailable,
    StoreConflict as StoreConflict,
    StoreDenied as StoreDenied,
    StoreFull as StoreFull,
    StoreNotFound as StoreNotFound,
    StoreUnavailable as StoreUnavailable,
    TransientError as TransientError,
    WorkspaceFull as WorkspaceFull,
    WorkspaceUnusable as WorkspaceUnusable,
)
from pixcore.filters.rule import Filter as Filter, PictureFilter as PictureFilter
from pixcore.model.archives import Archive as Archive, Blob as Blob, StoredBlob as StoredBlob
from pixcore.model.chunks import (
    Attempt as Attempt,
    Chunk as Chunk,
    ChunkKey as ChunkKey,
    ChunkRecord as ChunkRecord,
    ChunkResult as ChunkResult,
    Claim as Claim,
    Phase as Phase,
    Priority as Priority,
    Progress as Progress,
    Reject as Reject,
    Status as Status,
    TwinPair as TwinPair,
)
from pixcore.model.claims import (
    Busy as Busy,
    Claimed as Claimed,
    Done as Done,
    Elsewhere as Elsewhere,
    Exhausted as Exhausted,
    NotDue as NotDue,
)
from pixcore.model.comparison import Comparison as Comparison, Features as Features, Twin as Twin
from pixcore.model.conversion import (
    Conversion as Conversion,
    Converted as Converted,
    Encoding as Encoding,
    Resize as Resize,
    Unconverted as Unconverted,
)
from pixcore.model.datasets import (
    Change as Change,
    ChangeKind as ChangeKind,
    CopiedChunk as CopiedChunk,
    DatasetSummary as DatasetSummary,
)
from pixcore.model.decisions import Decided as Decided, Decision as Decision, DecisionKind as DecisionKind
from pixcore.model.images import (
    Accepted as Accepted,
    Candidate as Candidate,
    CandidateKey as CandidateKey,
    Download as Download,
    Miss as Miss,
    MissReason as MissReason,
    Original as Original,
    Provenance as Provenance,
    Rejected as Rejected,
    RejectReason as RejectReason,
    Transfer as Transfer,
)
from pixcore.model.measures import Measures as Measures
from pixcore.model.overview import Overview as Overview, RestingWorker as RestingWorker
from pixcore.model.planned import Planned as Planned
from pixcore.model.positions import Allocation as Allocation
from pixcore.model.quality import (
    Fingerprint as Fingerprint,
    NearRule as NearRule,
    Quality as Quality,
    TwinRule as TwinRule,
)
from pixcore.model.requests import ChunkRequest as ChunkRequest, Slice as Slice
from pixcore.model.rows import Row as Row
from pixcore.planning.plan import (
    DatasetRequest as DatasetRequest,
    KeywordRequest as KeywordRequest,
    Lane as Lane,
    plan as plan,
)
from pixcore.ports import (
    Archiver as Archiver,
    BlobStore as BlobStore,
    Contents as Contents,
    Converter as Converter,
    Datasets as Datasets,
    Decisions as Decisions,
    Downloader as Downloader,
    Previewer as Previewer,
    StatusRepo as StatusRepo,
    Validator as Validator,
)
from pixcore.ports.seen_images import (
    NearGroup as NearGroup,
    NearPair as NearPair,
    SeenImage as SeenImage,
    SeenImages as SeenImages,
)
from pixcore.ports.twin_finder import TwinFinder as TwinFinder, Twins as Twins
from pixcore_runners.library import (
    Dataset as Dataset,
    Picture as Picture,
    Report as Report,
    collect as collect,
    collect_async as collect_async,
    open as open,
)
