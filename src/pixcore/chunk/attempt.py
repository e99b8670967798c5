"""RunningAttempt: one claimed attempt at one chunk, its steps from top to bottom, and how it can end."""

import errno
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from attrs import define, evolve, field

from pixcore.chunk.collecting import Collector
from pixcore.chunk.context import AttemptContext
from pixcore.chunk.dependencies import Dependencies
from pixcore.chunk.events import (
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkGivenBack,
    ChunkInterrupted,
    ChunkLost,
    CleanupFailed,
    PhaseEntered,
)
from pixcore.chunk.rebuilding import Rebuilding
from pixcore.chunk.retry import retrying
from pixcore.chunk.unfilled import reopen_starved
from pixcore.chunk.uploading import upload_archive, upload_outcomes, upload_previews, upload_rejected
from pixcore.chunk.workspace import local_disk, room_wanted, workspace
from pixcore.errors import (
    ClaimLost,
    LibraryMissing,
    NoValidImages,
    PermanentError,
    PixcoreError,
    StoreFull,
    WorkspaceFull,
    fault_of,
    is_shared,
    one_line,
)
from pixcore.model.archives import Archive
from pixcore.model.chunks import ChunkResult, Phase, Status
from pixcore.model.claims import Claimed
from pixcore.model.rows import COLUMN_TYPES


@define(eq=False)
class RunningAttempt:
    """One claimed attempt at one chunk. ``run`` is called once."""

    using: Dependencies
    claimed: Claimed
    context: AttemptContext = field(init=False)
    _folder: Path | None = field(init=False, default=None)
    _archive: Archive | None = field(init=False, default=None)
    _gave_back: bool = field(init=False, default=False)
    _rebuilding: Rebuilding | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.context = AttemptContext(self.using, self.claimed)

    def run(self) -> ChunkResult:
        """Process the chunk, record how that ended, clean up, and report the end as the last event.

        Raises:
            BaseException: What made the attempt fail or interrupted it, after it was recorded.
        """
        context = self.context
        ending: ChunkEnded | None = None
        lacks = False
        try:
            with ExitStack() as cleanup:
                try:
                    result = self._work(cleanup)
                    lacks = result.shortfall > 0 and not self.claimed.rebuild  # that fetches nothing
                    ending = ChunkCompleted(*context.ids, result=result)
                except BaseException as error:
                    # stands if recording the end is itself interrupted
                    ending = ChunkFailed(*context.ids, error=self._message(error), status=None)
                    ending = self._record(error)
                    lacks = isinstance(error, NoValidImages)
                    raise
                finally:
                    context.observe(PhaseEntered(*context.ids, phase=Phase.CLEANUP))
        finally:
            reopen_starved(self.using, context.chunk, lacks=lacks, gave_back=self._gave_back)
            if ending is not None:
                context.observe(ending)
        return result

    # -- the steps ------------------------------------------------------------------------------------------------

    def _work(self, cleanup: ExitStack) -> ChunkResult:
        using, context = self.using, self.context
        context.observe(ChunkClaimed(*context.ids, request=context.request))
        folder = cleanup.enter_context(workspace(using.work, self._report_left_behind))
        cleanup.enter_context(context.lease)
        self._folder = folder
        context.read_decisions()
        result = self._rebuilt(cleanup, folder) if self.claimed.rebuild else self._collected(cleanup, folder)
        context.write(lambda: using.status.complete(context.claim, result))
        return result

    def _rebuilt(self, cleanup: ExitStack, folder: Path) -> ChunkResult:
        """Rebuild the archive from stored images."""
        rebuilding = self._rebuilding = Rebuilding(self.context, folder)
        cleanup.callback(rebuilding.rejects.close)
        try:
            return rebuilding.run()
        finally:
            self._archive = rebuilding.archive

    def _collected(self, cleanup: ExitStack, folder: Path) -> ChunkResult:
        """Collect the images from their sources, and store them."""
        using, context = self.using, self.context
        with local_disk("preparing the work directory"):
            (folder / "images").mkdir()

        context.enter(Phase.DOWNLOAD)
        with closing(Collector(context, folder / "images")) as collector:
            cleanup.callback(collector.rejects.close)
            try:
                archive = self._archive = self._pack(collector, folder / f"archive{using.archiver.suffix}")
            except NoValidImages:
                with suppress(PixcoreError):  # why there is no image matters more than that this could not be stored
                    collector.outcomes.settle()
                    upload_outcomes(context, collector.outcomes, folder)
                raise

        context.enter(Phase.UPLOAD)
        blob = upload_archive(context, archive)
        self._gave_back = collector.candidates.give_back()
        collector.rejects.take_over(collector.outcomes.settle())
        outcomes = upload_outcomes(context, collector.outcomes, folder)
        previews = upload_previews(context, collector.rejects, folder)
        rejected = upload_rejected(context, collector.rejects, folder)

        context.enter(Phase.COMPLETE)
        result = context.result(blob, archive, (row for row, _ in collector.selection.images))
        return evolve(
            result,
            columns=dict(context.request.columns) | COLUMN_TYPES,
            twins=collector.selection.twins,
            kept=collector.candidates.kept(path for _, path in collector.selection.images),
            outcomes=outcomes,
            previews=previews,
            rejected=rejected,
        )

    def _pack(self, collector: Collector, target: Path) -> Archive:
        """Pack the images while they are collected. Only a failure of packing itself is retried, from the first image.

        If an image that is packed already was replaced by a better one, packing begins again; that is no failure.

        Raises:
            BaseException: What made collecting or, in the last try, packing fail.
        """
        using, context = self.using, self.context

        def pack() -> Archive | BaseException:
            """Return the archive, or what made collecting fail: packing again would not help then."""
            while True:
                try:
                    archive = using.archiver.pack(collector, target)
                except BaseException:
                    if collector.is_outdated:
                        continue
                    if collector.failure is None:
                        raise
                    return collector.failure
                return archive if collector.failure is None else collector.failure

        with context.stopwatch.measure(Phase.COMPRESS):
            packed = context.retrying(using.policies.compress, Phase.COMPRESS)(pack)
        if isinstance(packed, BaseException):
            raise packed
        return packed

    # -- how an attempt that did not complete ends ----------------------------------------------------------------

    def _record(self, error: BaseException) -> ChunkEnded:
        """Write how the attempt ended. If even that fails, the lease runs out and the chunk is claimed again."""
        using, context = self.using, self.context
        message = self._message(error)
        if isinstance(error, ClaimLost):
            return ChunkLost(*context.ids, error=message)
        context.observe(PhaseEntered(*context.ids, phase=Phase.ERROR))
        # Not context.write, which checks the lease between tries: the lease may have ended by now.
        write = retrying(using.policies.status, using.sleep)
        try:
            if using.seen and not self.claimed.rebuild:  # else the next attempt begins with the same images
                write(using.seen.release, context.claim)
            if not isinstance(error, Exception):
                write(using.status.release, context.claim)
                return ChunkInterrupted(*context.ids)
            write(using.status.advance, context.claim, context.phase, context.counts.progress())
            if found := self._fault(error):
                write(using.status.release, context.claim, self._message(found))
                return self._given_back(found)
            status = write(self._fail, error)
        except ClaimLost as lost:
            return ChunkLost(*context.ids, error=one_line(lost))
        except using.interrupts:
            raise
        except Exception:  # noqa: BLE001 - the error that is being recorded matters more, and run() raises it next
            return ChunkFailed(*context.ids, error=message, status=None)
        return ChunkFailed(*context.ids, error=message, status=status)

    def _fail(self, error: BaseException) -> Status:
        """Record a failure; return the chunk's status. If an archive cannot be rebuilt, the former one stays."""
        using, context, message = self.using, self.context, self._message(error)
        is_published = self._rebuilding is not None and self._rebuilding.is_published
        is_permanent = isinstance(error, PermanentError)
        if self.claimed.rebuild and is_permanent and not is_published:
            using.status.abandon(context.claim, message)
            return Status.COMPLETED
        is_final = is_permanent and not is_shared(error)
        retry_in = None if is_final else using.policies.chunk.wait(self.claimed.failures + 1)
        return using.status.fail(context.claim, message, retry_in=retry_in)

    def _fault(self, error: BaseException) -> BaseException | None:
        """Return what is wrong with the machine or a service, if that made the attempt fail.

        A full disk or store, or a missing library, proves itself. Other errors count against the chunk unless the probe
        finds a fault, because a service may refuse one chunk alone, for ever, and so may a limit on the size of files.
        """
        if isinstance(error, WorkspaceFull | StoreFull | LibraryMissing) and not _is_size_limit(error):
            return error
        store = self._archive.size if self._archive and isinstance(error, StoreFull) else 0
        return self.using.probe(0, store) if is_shared(error) or isinstance(error, NoValidImages) else None

    def _given_back(self, found: BaseException) -> ChunkGivenBack:
        work = room_wanted(self._folder, found) if self._folder and isinstance(found, WorkspaceFull) else 0
        store = self._archive.size if self._archive and isinstance(found, StoreFull) else 0
        return ChunkGivenBack(
            *self.context.ids, error=self._message(found), fault=fault_of(found), work=work, store=store
        )

    def _message(self, error: BaseException) -> str:
        if isinstance(error, self.using.interrupts):  # most time limits do not name their length
            deadline = f"deadline {self.using.terms.deadline:g} s; plan smaller chunks or raise it"
            return f"{one_line(error)} (in phase {self.context.phase}, {deadline})"
        return one_line(error)

    def _report_left_behind(self, path: Path, error: OSError) -> None:
        self.context.observe(CleanupFailed(*self.context.ids, path=path, error=one_line(error)))


def _is_size_limit(error: BaseException) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EFBIG
