"""Copy a part of a dataset to a new dataset: from its stored archives, without fetching anything from its sources."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from attrs import evolve, field, frozen

from pixcore.chunk.outcome_log import write_lines
from pixcore.chunk.publish import publish
from pixcore.chunk.workspace import local_disk, workspace
from pixcore.errors import ClaimLost, InvalidRequest, NoValidImages
from pixcore.model.archives import Archive, Blob, StoredBlob
from pixcore.model.chunks import ChunkKey, ChunkRecord, ChunkResult, Claim, Progress
from pixcore.model.datasets import Change, ChangeKind, CopiedChunk, renamed_snapshot
from pixcore.model.originals import collected_sha256
from pixcore.model.outcomes import ACCEPTED, OUTCOMES, Line, to_bytes
from pixcore.model.positions import as_text, from_text
from pixcore.model.requests import ChunkRequest, Slice
from pixcore.model.rows import COLUMN_TYPES, Row, file_name, stored_row, tally
from pixcore.ports.datasets import Datasets
from pixcore.stored.archives import StoredArchives
from pixcore.stored.conditions import Conditions
from pixcore.stored.moving import Mover, begin
from pixcore.stored.outcomes import outcome_lines

_ATTEMPT = 1
_OWNER = "copy"


@frozen
class Copier:
    """Copies images of a dataset.

    Attributes:
        archives: The archives in the store.
        mover: Copies the listings.
        datasets: Creates the rows.
        store: The identity of the store.
        done: Called after each chunk of the dataset that is copied.
    """

    archives: StoredArchives
    mover: Mover
    datasets: Datasets
    store: str
    done: Callable[[], None] = lambda: None

    def copy(self, records: Sequence[ChunkRecord], to: str, wanted: Conditions) -> Sequence[CopiedChunk]:
        """Copy the images for which the conditions hold; return the chunks of the new dataset.

        ``records`` are the completed chunks of one dataset. Each gives one chunk, if it has such an image, with the
        same rows and bytes. That chunk has exactly the candidates of its images, so whatever becomes of it later, it
        never collects others. The decisions are copied too. The new dataset appears with all of its chunks or not at
        all; an interrupted copy is continued by the next call.

        Raises:
            InvalidRequest: The name is taken, another change of one of the datasets has not ended, or an archive is
                not the recorded one.
            NoValidImages: The conditions hold for no image. Nothing was created.
            StoreConflict, StoreNotFound, StoreDenied, StoreUnavailable, StatusUnavailable, WorkspaceFull,
            TransientError: As the ports and the local disk raise them.
        """
        source = records[0].chunk.request.dataset
        change = begin(Change(ChangeKind.COPY, to, source, str(wanted), len(records)), self.datasets, self.mover)
        if change.chunks != len(records):
            raise _changed(change)
        copies: list[CopiedChunk] = []
        for number, record in enumerate(records):
            # a folder for each, because a packed file may have become the blob itself
            with workspace(self.archives.work, lambda _path, _error: None) as folder:
                copying = _Copying(self, change, record, change.first_id + number, len(copies), folder)
                copies += copying.copied(wanted)
            self.done()
        if not copies:
            self.mover.delete(self.mover.own(to))
            self.datasets.end(change)
            raise NoValidImages(f"no image of dataset {source} has {wanted}; nothing was copied")
        self._copy_listings(source, to, copies)
        self.datasets.add(change, copies)
        return copies

    def _copy_listings(self, source: str, to: str, copies: Iterable[CopiedChunk]) -> None:
        snapshots = {part.snapshot for one in copies for part in one.request.slices if part.snapshot}
        for snapshot in sorted(snapshots):
            listed = self.mover.store.list(renamed_snapshot(snapshot, to, source))
            self.mover.copy(listed, source, to)


@frozen
class _Copying:
    """Copies the images of one chunk."""

    copier: Copier
    change: Change
    record: ChunkRecord
    id: int
    index: int
    folder: Path
    rows: list[Row] = field(init=False, factory=list[Row])
    places: list[int] = field(init=False, factory=list[int])  # in the archive that is copied
    hashes: list[str] = field(init=False, factory=list[str])  # of the collected images

    def copied(self, wanted: Conditions) -> Iterator[CopiedChunk]:
        """Yield the new chunk, or nothing if no image is wanted."""
        archiver = self.copier.archives.archiver(self.record)
        with closing(self._images(wanted)) as images:
            first = next(images, None)
            if first is None:
                return
            archive = archiver.pack(chain([first], images), self.folder / f"archive{archiver.suffix}")
        blob = self._publish(archive, self._key.blob_key(archiver.suffix), archiver.content_type)
        outcomes = self._outcomes()
        slices, kept = self._slices()
        request = evolve(
            self.record.chunk.request,
            index=self.index,
            dataset=self.change.dataset,
            target=len(self.rows),
            slices=slices,
            lists=(),
            whole=True,
        )
        yield CopiedChunk(
            self.id,
            request,
            self._result(request, blob, archive, outcomes, kept),
            self.record,
            tuple(self.hashes),
            self.copier.store,
        )

    @property
    def _key(self) -> ChunkKey:
        return ChunkKey(self.change.dataset, self.id)

    def _images(self, wanted: Conditions) -> Generator[tuple[Row, Path]]:
        """Yield the rows and files of the wanted images. A file is overwritten once the next image is drawn."""
        path = self.folder / "image"
        with closing(self.copier.archives.images(self.record)) as images:
            for place, (values, data) in enumerate(images):
                if wanted.hold(values):
                    with local_disk("unpacking an image"):
                        path.write_bytes(data)
                    self.places.append(place)
                    self.hashes.append(collected_sha256(values))
                    name = file_name(len(self.rows), str(values["format"]))
                    self.rows.append(evolve(stored_row(values), file_name=name))
                    yield self.rows[-1], path

    def _slices(self) -> tuple[tuple[Slice, ...], str]:
        """Return the slices with exactly the candidates of the images, and the numbers of the images in them.

        The number of an image's candidate is unknown in archives of earlier versions. They keep their slices.
        """
        chunk, result = self.record.chunk, self.record.result
        numbers = from_text(result.kept) if result else []
        if len(numbers) <= max(self.places):
            return tuple(map(self._renamed, chunk.slices)), ""
        slices: list[Slice] = []
        for number in (numbers[place] for place in self.places):
            part = self._renamed(_candidate(chunk.slices, number))
            last = slices[-1] if slices else None
            if last and evolve(last, start=part.start, stop=part.stop) == part and last.stop == part.start:
                slices[-1] = evolve(last, stop=part.stop)
            else:
                slices.append(part)
        return tuple(slices), as_text(range(len(self.places)))

    def _renamed(self, part: Slice) -> Slice:
        return evolve(part, snapshot=renamed_snapshot(part.snapshot, self.change.other, self.change.dataset))

    def _outcomes(self) -> StoredBlob | None:
        """Store the outcomes of the images, in their order; return None if the chunk has none."""
        if self.record.result is None or self.record.result.outcomes is None:
            return None
        lines: dict[str, Line] = {}
        for line in outcome_lines(self.record, self.copier.archives, b'"outcome": "accepted"'):
            if line["outcome"] == ACCEPTED:
                lines[str(line["sha256"])] = {key: value for key, value in line.items() if isinstance(value, str | int)}
        path = self.folder / "outcomes.gz"
        written = write_lines((to_bytes(lines[sha256]) for sha256 in self.hashes if sha256 in lines), path)
        self._publish(written, self._key.outcomes_key(OUTCOMES), "application/gzip")
        return StoredBlob(written.size, written.sha256)

    def _publish(self, archive: Archive, key: str, content_type: str) -> Blob:
        mover = self.copier.mover
        claim = Claim(self._key, _OWNER, _ATTEMPT)
        try:
            return mover.again(
                publish, mover.store, archive, key=key, content_type=content_type, claim=claim, identity=mover.identity
            )
        except ClaimLost as exc:  # an earlier call stored it from another archive
            raise _changed(self.change) from exc

    def _result(
        self, request: ChunkRequest, blob: Blob, archive: Archive, outcomes: StoredBlob | None, kept: str
    ) -> ChunkResult:
        before = self.record.result
        urls = {row.url for row in self.rows}
        listed = {
            name: "integer" if isinstance(value, int) else "string" for name, value in self.rows[0].listed.items()
        }
        return ChunkResult(
            url=blob.url,
            sha256=archive.sha256,
            bytes=archive.size,
            target=request.target,
            attempt=_ATTEMPT,
            progress=Progress(len(self.rows)),
            seconds={},
            tally=tally(self.rows),
            columns=listed | COLUMN_TYPES,
            twins=[pair for pair in before.twins if {pair.one, pair.other} <= urls] if before else (),
            kept=kept,
            archive_version=archive.version,
            outcomes=outcomes,
        )


def _candidate(slices: Iterable[Slice], number: int) -> Slice:
    """Return the candidate of that number as a slice of its own."""
    for part in slices:
        if number < len(part):
            return evolve(part, start=part.start + number, stop=part.start + number + 1)
        number -= len(part)
    raise InvalidRequest("the chunk has fewer candidates than its archive has images; `pixcore verify` says more")


def _changed(change: Change) -> InvalidRequest:
    return InvalidRequest(
        f"dataset {change.other} has changed since the copy to {change.dataset} began; give that up with"
        f" `pixcore delete {change.dataset} --yes`, then copy again"
    )
