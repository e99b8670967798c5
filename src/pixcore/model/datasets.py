"""Whole datasets: a summary of one, and a change of one that takes several steps."""

from collections.abc import Mapping
from enum import StrEnum

from attrs import evolve, field, frozen

from pixcore.model.chunks import Chunk, ChunkRecord, ChunkResult, Status
from pixcore.model.requests import ChunkRequest, dataset_name, namespace


class ChangeKind(StrEnum):
    """What is done to a whole dataset. Each is also the name of the command that does it."""

    DELETE = "delete"
    RENAME = "rename"
    COPY = "copy"


@frozen
class Change:
    """A change of a whole dataset, which is recorded from its first step to its last.

    Attributes:
        kind: What is done.
        dataset: The dataset that is deleted, renamed or created as a copy.
        other: The new name of a renamed dataset, or the dataset that is copied; else ``""``.
        condition: Which images are copied, as ``pixcore.stored.conditions`` writes it.
        chunks: For how many chunks of a copy ids are reserved.
        first_id: The first of these ids; the others follow it.
    """

    kind: ChangeKind
    dataset: str = field(converter=dataset_name)
    other: str = field(default="", converter=namespace)
    condition: str = ""
    chunks: int = 0
    first_id: int = 0

    def is_same(self, other: "Change") -> bool:
        """Return whether both are the same change, whatever ids are reserved for it."""
        return evolve(self, chunks=0, first_id=0) == evolve(other, chunks=0, first_id=0)

    @property
    def names(self) -> tuple[str, ...]:
        """The datasets that no other change may concern until this one has ended."""
        return (self.dataset, self.other) if self.other else (self.dataset,)

    @property
    def sentence(self) -> str:
        """What is unfinished, and what to do."""
        match self.kind:
            case ChangeKind.DELETE:
                return f"dataset {self.dataset} is being deleted; finish it with `pixcore delete {self.dataset}`"
            case ChangeKind.RENAME:
                return (
                    f"dataset {self.dataset} is being renamed to {self.other}; finish it with"
                    f" `pixcore rename {self.dataset} {self.other}`"
                )
            case ChangeKind.COPY:
                return (
                    f"dataset {self.other} is being copied to {self.dataset}; repeat that `pixcore copy`, or give it up"
                    f" with `pixcore delete {self.dataset}`"
                )


@frozen
class DatasetSummary:
    """A dataset in numbers.

    Attributes:
        name: Its name; ``""`` for the chunks without a dataset.
        chunks: How many chunks are in each status that occurs.
        images: How many images its archives hold.
        bytes: How many bytes its archives have.
        stores: The identities of the stores that its chunks belong to, ``""`` for chunks that belong to none, in order.
        running: How many chunks a worker holds.
        changed: When an attempt at one of its chunks last began or ended, in Unix seconds of the database's clock; 0 if
            none did.
        change: The unfinished change that concerns it, if there is one.
    """

    name: str
    chunks: Mapping[Status, int]
    images: int
    bytes: int
    stores: tuple[str, ...]
    running: int
    changed: float
    change: Change | None = None


@frozen
class CopiedChunk:
    """A chunk of a copy: its request, the id that it gets, its result, and the images that it shares with its source.

    ``images`` are the sha256 of the collected images. ``store`` is the identity of the store.
    """

    id: int
    request: ChunkRequest
    result: ChunkResult
    source: ChunkRecord
    images: tuple[str, ...]
    store: str


def renamed_snapshot(snapshot: str, dataset: str, to: str) -> str:
    """Return the prefix of a listing's blobs once the blobs of ``dataset`` are below ``to``."""
    return f"{to}/{snapshot.removeprefix(f'{dataset}/')}" if snapshot.startswith(f"{dataset}/") else snapshot


def renamed_chunk(chunk: Chunk, to: str) -> Chunk:
    """Return the chunk as a chunk of the dataset ``to``."""
    request = chunk.request
    slices, lists, taken = (
        tuple(evolve(part, snapshot=renamed_snapshot(part.snapshot, request.dataset, to)) for part in parts)
        for parts in (request.slices, request.lists, chunk.taken)
    )
    return evolve(chunk, request=evolve(request, dataset=to, slices=slices, lists=lists), taken=taken)


def renamed_record(record: ChunkRecord, to: str, base: str) -> ChunkRecord:
    """Return the record of a chunk whose blobs are below ``to`` now.

    ``base`` is the URL of that folder; ``""`` keeps the URL of a result, whose archive is missing.
    """
    result = record.result
    if result and base:
        name = result.url.rpartition("/")[2]  # never quoted: chunk_ID and a suffix
        result = evolve(result, url=f"{base}/data/{name}")
    return evolve(record, chunk=renamed_chunk(record.chunk, to), result=result)
