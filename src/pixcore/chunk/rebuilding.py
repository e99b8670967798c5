"""Rebuild a chunk's archive from stored images, under changed rules and decisions. Nothing is fetched from a source.

The blobs are stored in this order: rejected images, archive, outcomes, previews. So the images of a chunk are always in
its archive or among its rejected images, wherever an attempt is interrupted, and the next attempt finds all of them.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from attrs import define, evolve, field

from pixcore.chunk.context import AttemptContext
from pixcore.chunk.converting import with_copies
from pixcore.chunk.outcome_log import write_lines
from pixcore.chunk.rejects import RejectedImages
from pixcore.chunk.restoring import pictures
from pixcore.chunk.revised_outcomes import RevisedOutcomes
from pixcore.chunk.revising import Reviser
from pixcore.chunk.revision import Revision
from pixcore.chunk.stored_chunk import StoredBlobs, StoredChunk, StoredImage
from pixcore.chunk.uploading import upload_archive, upload_previews, upload_rejected, upload_written_outcomes
from pixcore.chunk.workspace import local_disk
from pixcore.errors import InvalidRequest
from pixcore.model.archives import Archive, Blob, StoredBlob
from pixcore.model.chunks import ChunkResult, Phase
from pixcore.model.images import Accepted
from pixcore.model.originals import converted_columns
from pixcore.model.outcomes import PREVIEWS
from pixcore.model.positions import as_text
from pixcore.model.rows import COLUMN_TYPES, ROW_VERSION, Row, file_name, stored_row, version
from pixcore.ports import Archiver


@define(eq=False)
class Rebuilding:
    """One attempt to rebuild a chunk's archive. ``run`` is called once.

    Attributes:
        context: The attempt.
        folder: Its work directory.
        former: The result of the last complete attempt.
        rejects: The rejected images, their previews and their bytes.
        archive: The new archive, once it is packed.
        is_published: Whether the stored archive is the new one.
    """

    context: AttemptContext
    folder: Path
    former: ChunkResult = field(init=False)
    rejects: RejectedImages = field(init=False)
    archive: Archive | None = field(init=False, default=None)
    is_published: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        """Begin with the counts of the last complete attempt.

        Raises:
            InvalidRequest: There is none, or its archive is of an unknown kind.
        """
        context, result = self.context, self.context.claimed.result
        if result is None:
            raise InvalidRequest(f"chunk {context.claim.chunk} has no archive to rebuild")
        self.former = result
        context.using = evolve(context.using, archiver=self._archiver())
        context.counts.begin_with(result.progress, result.rejects)
        self.rejects = RejectedImages(context, self.folder)

    def run(self) -> ChunkResult:
        """Rebuild and store the archive and what is stored about its candidates; return the result.

        Raises:
            InvalidRequest: A stored blob is missing or damaged, or no image would be left.
            ClaimLost, StoreConflict, StoreDenied, StoreNotFound, StoreUnavailable: As ``publish`` raises them.
            WorkspaceFull, TransientError, LibraryMissing: As the local disk and the ports raise them.
        """
        context = self.context
        context.enter(Phase.VALIDATE)
        stored = self._stored()
        revision = self._without_seen(self._revision(stored))
        images, revision = self._images(stored, revision)
        if not images:
            raise InvalidRequest(f"no image of chunk {context.claim.chunk} would be left; its archive stays as it was")
        context.enter(Phase.COMPRESS)
        target = self.folder / f"archive{context.using.archiver.suffix}"
        with context.stopwatch.measure(Phase.COMPRESS):
            pack = context.retrying(context.using.policies.compress, Phase.COMPRESS)
            archive = self.archive = pack(context.using.archiver.pack, images, target)
        outcomes = RevisedOutcomes(
            stored, revision, {str(row.original_sha256): row.sha256 for row, _ in images if row.original_sha256}
        )
        written = write_lines(outcomes, self.folder / "outcomes.gz") if stored.outcomes else None
        self._count(outcomes, revision)
        context.enter(Phase.UPLOAD)
        rejected = self._upload_rejected(stored, revision)
        blob = upload_archive(context, archive)
        self.is_published = True
        recorded = upload_written_outcomes(context, written) if written else None
        previews = self._upload_previews(stored, revision)
        self._release(stored, revision)
        context.enter(Phase.COMPLETE)
        return self._result(blob, archive, revision, [row for row, _ in images], (recorded, previews, rejected))

    # -- what is stored -------------------------------------------------------------------------------------------

    def _archiver(self) -> Archiver:
        using = self.context.using
        for archiver in (using.archiver, *using.archivers):
            if self.former.url.endswith(archiver.suffix):
                return archiver
        raise InvalidRequest(f"{self.former.url} is not an archive of a known kind")

    def _blobs(self) -> StoredBlobs:
        context = self.context
        with local_disk("preparing the work directory"):
            (self.folder / "stored").mkdir(exist_ok=True)
        return StoredBlobs(
            context.using.store,
            context.using.archiver,
            context.chunk,
            self.former,
            context.claim.attempt,
            context.using.status.identity,
            self.folder / "stored",
            context.retrying(context.using.policies.upload),
        )

    def _stored(self) -> StoredChunk:
        seen, claim = self.context.using.seen, self.context.claim
        if seen:  # first, because the images stay if nothing can be rebuilt
            self.context.write(lambda: seen.keep(claim, self.former.attempt))
        return StoredChunk(self._blobs())

    def _revision(self, stored: StoredChunk) -> Revision:
        context = self.context
        before = self.former.quality or context.request.quality
        return Reviser(stored, context.request, before, context.decided, context.using, context.lease.check).revise()

    def _without_seen(self, revision: Revision) -> Revision:
        """Hold the kept images for this attempt; leave out those that another chunk holds."""
        seen, claim = self.context.using.seen, self.context.claim
        if seen is None:
            return revision
        images = [each.image for each in revision.kept]
        holders = self.context.write(lambda: seen.hold(claim, images))
        taken = {
            image.sha256: f"chunk {holder} has the same bytes"
            for image, holder in zip(images, holders, strict=True)
            if holder
        }
        return revision.without(taken) if taken else revision

    def _release(self, stored: StoredChunk, revision: Revision) -> None:
        seen, claim = self.context.using.seen, self.context.claim
        gone = [each.image for each in stored.images if each.sha256 in revision.removed]
        if seen and gone:
            self.context.write(lambda: seen.release(claim, gone))

    # -- what is made ---------------------------------------------------------------------------------------------

    def _images(self, stored: StoredChunk, revision: Revision) -> tuple[list[tuple[Row, Path]], Revision]:
        """Return the images to pack, each with its row, and the revision without those that cannot be converted."""
        stored.unpack({each.sha256 for each in stored.images})
        converted = self._converted([each for each in revision.kept if not each.in_archive])
        lost = {sha256 for sha256, image in converted.items() if image is None}
        if lost:
            revision = evolve(
                revision,
                kept=[each for each in revision.kept if each.sha256 not in lost],
                returned=revision.returned - lost,
            )
        images: list[tuple[Row, Path]] = []
        for each in revision.kept:
            values, path = {**each.values}, each.image.download.path
            if (copy := converted.get(each.sha256)) and copy.stored and not each.image.download.original:
                values, path = values | converted_columns(values, copy.stored), copy.stored.path
            values |= {
                "file_name": file_name(len(images), str(values["format"])),
                "label": revision.labels[each.sha256],
                "row_version": max(ROW_VERSION, version(values)),
            }
            images.append((stored_row(values), path))
        return images, revision

    def _converted(self, returned: Sequence[StoredImage]) -> dict[str, Accepted | None]:
        """Convert the images that are brought back, if the chunk stores converted ones; None if one cannot be."""
        how, converter = self.context.request.store_as, self.context.using.converter
        if how is None or not returned:
            return {}
        if converter is None:
            raise InvalidRequest(f"{self.context.claim.chunk} stores converted images; run it with a converter")
        with closing(with_copies([each.image for each in returned], converter, how)) as copies:
            return {
                each.sha256: copy if isinstance(copy, Accepted) else None
                for each, copy in zip(returned, copies, strict=True)
            }

    def _count(self, outcomes: RevisedOutcomes, revision: Revision) -> None:
        """Set the counts and the samples of the attempt."""
        counts = self.context.counts
        counts.accepted = len(revision.kept)
        back = {each.image.download.candidate.url for each in revision.kept if each.sha256 in revision.returned}
        counts.samples = [sample for sample in counts.samples if sample.url not in back]
        for each in revision.removed.values():
            counts.reject(each)
        if outcomes.stored.outcomes:
            counts.rejected, counts.earlier = outcomes.rejected, outcomes.missed

    # -- what is stored anew --------------------------------------------------------------------------------------

    def _upload_rejected(self, stored: StoredChunk, revision: Revision) -> StoredBlob | None:
        """Store the bytes of removed images with those of the earlier ones, if the dataset keeps them.

        An image that is brought back stays among them, because the archive does not hold it yet.
        """
        if not (revision.removed and self.context.request.quality.keep_rejected):
            return stored.rejected
        for each in stored.images:
            if not each.in_archive or each.sha256 in revision.removed:
                self.rejects.keep(each.values, each.image.download.path)
        return upload_rejected(self.context, self.rejects, self.folder)

    def _upload_previews(self, stored: StoredChunk, revision: Revision) -> StoredBlob | None:
        """Store previews of the removed images with the earlier ones."""
        found = stored.blobs.beside(PREVIEWS)
        if not revision.removed:
            return found[1] if found else None
        if found:
            self.rejects.add_previews(pictures(found[0]))
        for each in stored.images:
            if each.sha256 in revision.removed:
                self.rejects.preview(each.image)
        return upload_previews(self.context, self.rejects, self.folder)

    def _result(
        self,
        blob: Blob,
        archive: Archive,
        revision: Revision,
        rows: Sequence[Row],
        beside: tuple[StoredBlob | None, StoredBlob | None, StoredBlob | None],
    ) -> ChunkResult:
        context = self.context
        numbers = [each.number for each in revision.kept if each.number is not None]
        outcomes, previews, rejected = beside
        return evolve(
            context.result(blob, archive, rows),
            columns={**self.former.columns, **dict(context.request.columns), **COLUMN_TYPES},
            twins=revision.twins,
            kept=as_text(numbers) if len(numbers) == len(revision.kept) else "",
            outcomes=outcomes,
            previews=previews,
            rejected=rejected,
        )
