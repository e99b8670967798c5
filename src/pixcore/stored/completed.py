"""The chunks of a dataset, for readers that go through them several times and hold none of their records."""

from array import array
from collections.abc import Iterator

from attrs import define, field, frozen

from pixcore.errors import InvalidRequest, StoreNotFound
from pixcore.model.chunks import ChunkRecord, Status
from pixcore.ports import StatusRepo
from pixcore.stored.archives import StoredArchives

_NAMED = 10  # archives in one message


@frozen
class AllChunks:
    """The chunks of a dataset by rising index. Each iteration reads their records again."""

    dataset: str
    status: StatusRepo

    def __iter__(self) -> Iterator[ChunkRecord]:
        return self.status.find(self.dataset)


@define
class CompletedChunks:
    """The chunks that are completed when this is made, by rising index. Each iteration reads their records again.

    Of each chunk, 16 bytes are held: its index, and the attempt that made its archive.

    Attributes:
        dataset: The dataset's name.
        status: The chunks.
        others: How many chunks of the dataset are not completed.
    """

    dataset: str
    status: StatusRepo
    others: int = field(init=False, default=0)
    _made: "array[int]" = field(init=False, factory=lambda: array("q"))  # the two numbers of each chunk, in turn

    def __attrs_post_init__(self) -> None:
        for record in self.status.find(self.dataset):
            if record.status is Status.COMPLETED and record.result:
                self._made.extend((record.chunk.request.index, record.result.attempt))
            else:
                self.others += 1

    def __len__(self) -> int:
        return len(self._made) // 2

    def __iter__(self) -> Iterator[ChunkRecord]:
        """Yield the records. A chunk that is opened again meanwhile is yielded, until another archive is recorded.

        Raises:
            InvalidRequest: The archive of a chunk was made again, or a chunk was removed.
            StatusUnavailable: The database cannot be reached.
        """
        made = zip(self._made[::2], self._made[1::2], strict=True)
        index, attempt = next(made, (-1, 0))
        for record in self.status.find(self.dataset):
            if record.chunk.request.index == index:
                if record.result is None or record.result.attempt != attempt:
                    raise InvalidRequest(
                        f"chunk {record.chunk.key} was processed again while its dataset was read; repeat the command"
                    )
                yield record
                index, attempt = next(made, (-1, 0))
        if index >= 0:
            raise InvalidRequest(f"dataset {self.dataset} was removed while it was read")


def require_whole(chunks: CompletedChunks, archives: StoredArchives) -> None:
    """Ask the store for the size and the sha256 of each archive, and compare them with the records. Fetches nothing.

    Raises:
        InvalidRequest: Archives are missing or are not those that were recorded. The message names the first ten.
        StoreDenied, StoreUnavailable, StatusUnavailable: As the ports raise them.
    """
    count, named = 0, list[str]()
    for record in chunks:
        if fault := _fault(record, archives):
            count += 1
            named += [fault] if count <= _NAMED else []
    if count:
        more = f"; and {count - _NAMED} more" if count > _NAMED else ""
        raise InvalidRequest(
            f"archives that cannot be read: {count} of {len(chunks)}: {'; '.join(named)}{more}. `pixcore verify` says"
            f" what is wrong, and `pixcore verify {chunks.dataset} --repair` lets the next run replace them"
        )


def _fault(record: ChunkRecord, archives: StoredArchives) -> str:
    key, result = archives.key(record), record.result
    try:
        blob = archives.store.head(key)
    except StoreNotFound:
        return f"{key} is missing"
    if result and (blob.size != result.bytes or blob.sha256 not in ("", result.sha256)):
        return f"{key} is not the archive that was recorded"
    return ""
