"""ChunkPipeline: one chunk, from claim to result. Framework-free: a runner hands in a chunk's key.

::

    claim ──> [ download ══> validate ══> seen? ══> compress ]──> upload ──> complete ──> cleanup, always
"""

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from attrs import define, field, frozen
from tenacity import Retrying

from pixcore.chunk.events import (
    CandidateMissed,
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkInterrupted,
    ChunkLost,
    CleanupFailed,
    Event,
    ImageAccepted,
    ImageRejected,
    Observer,
    PhaseEntered,
    StepRetried,
    shielded,
    silent,
)
from pixcore.chunk.lease import Lease, LeaseTerms
from pixcore.chunk.publish import publish
from pixcore.chunk.retry import Policies, RetryPolicy, retrying
from pixcore.chunk.workspace import local_disk, workspace
from pixcore.errors import ClaimLost, NoValidImages, PermanentError, PixcoreError, SourceUnavailable, one_line
from pixcore.filters.apply import selected
from pixcore.model.archives import Archive, Blob
from pixcore.model.chunks import ChunkKey, ChunkResult, Claimed, Done, Outcome, Phase, Progress, Reject
from pixcore.model.images import Accepted, CandidateKey, Download, Miss, Rejected, RejectReason
from pixcore.model.rows import Row, row, tally
from pixcore.ports import Archiver, BlobStore, Downloader, StatusRepo, Validator
from pixcore.ports.seen_images import SeenImages

T = TypeVar("T")

# How many samples of a reason for rejecting are remembered: enough for people to see what it means.
_SAMPLES = 4

# The memory of images is asked about so many verdicts at once: each time costs as much as decoding half an image.
_TOGETHER = 32


class _NotCollected(BaseException):
    """Carries an error of collecting past the archiver that asks for images: it is none of packing."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@frozen
class ChunkPipeline:
    """Works chunks off, one a call; safe to call from many threads where its ports are.

    Attributes:
        downloader, validator, archiver, store, status: The five ports.
        work: Below this folder each attempt gets its private work directory.
        seen: The dataset-wide memory of images, if there is one.
        observer: Told of every event, in the thread that runs the chunk.
        policies: How often each step is tried.
        terms: How long a claim lives.
        stop: Asked between images and phases; once true, the chunk is given back as if Ctrl-C had been pressed.
        interrupts: Exceptions that the runner may raise in the middle of anything, such as its time limits.
        sleep: Waits that many seconds between tries.
        owner: Who claims: a UUID for each start of a worker, never a host name.
    """

    downloader: Downloader
    validator: Validator
    archiver: Archiver
    store: BlobStore
    status: StatusRepo
    work: Path
    seen: SeenImages | None = None
    observer: Observer = silent
    policies: Policies = Policies()
    terms: LeaseTerms = LeaseTerms()
    stop: Callable[[], bool] = lambda: False
    interrupts: tuple[type[BaseException], ...] = ()
    sleep: Callable[[float], None] = time.sleep
    owner: str = field(factory=lambda: uuid4().hex)

    def run(self, key: ChunkKey) -> Outcome:
        """Claim the chunk and work it off; or say why there is nothing to do.

        ``Done`` holds the result, made now or earlier; ``Busy`` and ``NotDue`` say when to call again; ``Exhausted``
        means that it failed for good earlier. Whatever happens, the work directory is removed and the status says
        what became of the attempt.

        Raises:
            TransientError: The attempt failed; unless its budget is spent, the chunk is pending and comes due later.
            PermanentError: The chunk failed for good; InvalidRequest also when there is no such chunk.
            ClaimLost: Another worker has the chunk now.
            BaseException: Whatever stopped the work from outside, after the claim was given back.
        """
        answer = retrying(self.policies.status, self.sleep)(self.status.claim, key, self.owner, self.terms.ttl)
        return Done(_Attempt(self, answer).run()) if isinstance(answer, Claimed) else answer


@define
class _Attempt:
    """One claimed attempt at one chunk."""

    pipeline: ChunkPipeline
    claimed: Claimed
    phase: Phase = Phase.INIT
    accepted: int = 0
    rejected: Counter[str] = field(factory=Counter[str])
    missed: dict[CandidateKey, Miss] = field(factory=dict[CandidateKey, Miss])
    seconds: dict[str, float] = field(factory=dict[str, float])
    rejects: list[Reject] = field(factory=list[Reject])
    verdicts: list[Accepted | Rejected] = field(factory=list[Accepted | Rejected])  # not judged yet
    images: list[tuple[Row, Path]] = field(factory=list[tuple[Row, Path]])
    observe: Observer = field(init=False)
    lease: Lease = field(init=False)

    def __attrs_post_init__(self) -> None:
        p = self.pipeline
        self.observe = shielded(p.observer, p.interrupts)
        self.lease = Lease(p.status, self.claimed.claim, p.terms, self.progress, p.stop)

    def run(self) -> ChunkResult:
        ending: ChunkEnded | None = None
        try:
            with ExitStack() as cleanup:
                try:
                    result = self._work(cleanup)
                    ending = self._event(ChunkCompleted, result)
                except BaseException as error:
                    ending = self._event(ChunkFailed, self._said(error), None)
                    ending = self._record(error)
                    raise
                finally:
                    self._tell(PhaseEntered, Phase.CLEANUP)
        finally:
            if ending is not None:
                self.observe(ending)
        return result

    def progress(self) -> Progress:
        missed = Counter(miss.reason for miss in list(self.missed.values()))
        return Progress(accepted=self.accepted, rejected=dict(self.rejected), missed=dict(missed))

    # -- the way forward ------------------------------------------------------------------------------------------

    def _work(self, cleanup: ExitStack) -> ChunkResult:
        p, request, claim = self.pipeline, self.claimed.chunk.request, self.claimed.claim
        self._tell(ChunkClaimed, request)
        folder = cleanup.enter_context(workspace(p.work, self._left_behind))
        cleanup.enter_context(self.lease)
        with local_disk("preparing the work directory"):
            (folder / "images").mkdir()

        self._enter(Phase.DOWNLOAD)
        with closing(self._collecting(folder / "images")) as collecting:
            archive = self._compress(collecting, folder / f"archive{p.archiver.suffix}")

        self._enter(Phase.UPLOAD)
        blob = self._timed(Phase.UPLOAD, lambda: self._upload(archive))

        self._enter(Phase.COMPLETE)
        result = ChunkResult(
            url=blob.url,
            sha256=archive.sha256,
            bytes=archive.size,
            target=request.target,
            attempt=claim.attempt,
            progress=self.progress(),
            seconds={phase: round(seconds, 3) for phase, seconds in self.seconds.items()},
            tally=tally(row for row, _ in self.images),
            rejects=self.rejects,
        )
        self._write(lambda: p.status.complete(claim, result))
        return result

    def _collecting(self, into: Path) -> Generator[None]:
        """Add to the images until there are enough or no more; pause each time that there are new ones."""
        request = self.claimed.chunk.request
        downloads = self._downloads(into)
        with (
            closing(downloads),
            closing(self.pipeline.validator.validate(downloads)) as decoded,
            closing(selected(decoded, request.quality)) as verdicts,
        ):
            there = 0
            for verdict in verdicts:
                if self.phase is not Phase.VALIDATE:
                    self._enter(Phase.VALIDATE)
                self.lease.check()
                self.verdicts.append(verdict)
                if len(self.verdicts) >= min(_TOGETHER, request.target - self.accepted):
                    self._judge()
                if self.accepted == request.target:
                    break
                if len(self.images) > there:
                    there = len(self.images)
                    yield
            self._judge()
        if not self.images:
            raise self._nothing()
        self._enter(Phase.COMPRESS)

    def _while_waiting(self) -> None:
        self.lease.check()
        self._judge()

    def _downloads(self, into: Path) -> Generator[Download]:
        """The chunk's downloads, the source re-opened when it fails; misses are noted on the way."""
        p = self.pipeline
        done: set[CandidateKey] = set()
        for attempt in self._retrying(p.policies.download, Phase.DOWNLOAD):
            with attempt:
                items = p.downloader.download(
                    self.claimed.chunk.request.slices, into, frozenset(done), self._while_waiting
                )
                with closing(items):
                    while item := self._timed(Phase.DOWNLOAD, partial(next, items, None)):
                        self.lease.check()
                        key = item.candidate.key
                        if isinstance(item, Miss):
                            if item.permanent:
                                done.add(key)
                            self.missed[key] = item
                            self._tell(CandidateMissed, item)
                        else:
                            done.add(key)
                            self.missed.pop(key, None)
                            yield item

    def _judge(self) -> None:
        """Take what the dataset does not have yet of the images that are not judged, and count them all."""
        judged, self.verdicts = self._unless_seen(self.verdicts), []
        for verdict in judged:
            if isinstance(verdict, Accepted):
                self.images.append((row(len(self.images), verdict, self.claimed.chunk.request), verdict.download.path))
                self.accepted += 1
                self._tell(ImageAccepted, verdict)
            else:
                self._note(verdict)
                with local_disk("removing a rejected image"):
                    verdict.download.path.unlink(missing_ok=True)
                self._tell(ImageRejected, verdict)

    def _unless_seen(self, verdicts: list[Accepted | Rejected]) -> list[Accepted | Rejected]:
        seen, claim = self.pipeline.seen, self.claimed.claim
        images = [verdict for verdict in verdicts if isinstance(verdict, Accepted)]
        if seen is None or not images:
            return verdicts
        holders = self._write(lambda: seen.hold(claim, images))
        taken = {image.sha256: holder for image, holder in zip(images, holders, strict=True) if holder}
        return [
            Rejected(verdict.download, RejectReason.SEEN, f"chunk {taken[verdict.sha256]} has the same bytes")
            if isinstance(verdict, Accepted) and verdict.sha256 in taken
            else verdict
            for verdict in verdicts
        ]

    def _note(self, rejected: Rejected) -> None:
        self.rejected[rejected.reason] += 1
        if self.rejected[rejected.reason] <= _SAMPLES:
            self.rejects.append(Reject(rejected.download.candidate.url, rejected.reason, rejected.detail))

    def _nothing(self) -> PixcoreError:
        request = self.claimed.chunk.request
        counts = Counter({**self.rejected, **self.progress().missed})
        reasons = ", ".join(f"{reason}: {n}" for reason, n in counts.most_common()) or "the source had no candidates"
        if any(not miss.permanent for miss in self.missed.values()):
            return SourceUnavailable(f"no image of {request.keyword!r} could be fetched for now ({reasons})")
        return NoValidImages(f"no valid image of {request.keyword!r} ({reasons}); try other sources or limits")

    def _compress(self, collecting: Generator[None], target: Path) -> Archive:
        """Pack the images while they are collected."""
        p = self.pipeline
        tries = self._retrying(p.policies.compress, Phase.COMPRESS)
        began = time.perf_counter()
        try:
            archive = tries(lambda: p.archiver.pack(self._packable(collecting), target))
        except _NotCollected as stopped:
            error: BaseException = stopped.error
        else:
            # all of it overlaps: what was not spent on getting more images counts as packing, and of that what was
            # not spent waiting for downloads as validation
            collected = self.seconds[Phase.VALIDATE]
            self.seconds[Phase.COMPRESS] = time.perf_counter() - began - collected
            self.seconds[Phase.VALIDATE] = collected - self.seconds[Phase.DOWNLOAD]
            return archive
        raise error

    def _packable(self, collecting: Generator[None]) -> Generator[tuple[Row, Path]]:
        """Every image, from the first one on; each when it is there."""
        for number in count():
            while number == len(self.images):
                try:
                    self._timed(Phase.VALIDATE, partial(next, collecting))
                except StopIteration:
                    if number == len(self.images):
                        return
                except BaseException as error:
                    raise _NotCollected(error) from error
            self.lease.check()
            yield self.images[number]

    def _upload(self, archive: Archive) -> Blob:
        p, claim = self.pipeline, self.claimed.claim
        key = claim.chunk.blob_key(p.archiver.suffix)
        return self._retrying(p.policies.upload)(
            lambda: publish(
                p.store,
                archive,
                key=key,
                content_type=p.archiver.content_type,
                claim=claim,
                identity=p.status.identity,
            )
        )

    # -- the ways out ---------------------------------------------------------------------------------------------

    def _record(self, error: BaseException) -> ChunkEnded:
        """Write what became of the attempt. If even that fails, the lease runs out and the chunk is claimed anew."""
        p, claim = self.pipeline, self.claimed.claim
        said = self._said(error)
        if isinstance(error, ClaimLost):
            return self._event(ChunkLost, said)
        self._tell(PhaseEntered, Phase.ERROR)
        # the lease may have ended by now, so nothing here asks it whether to go on
        write = retrying(p.policies.status, p.sleep)
        try:
            if p.seen:
                write(p.seen.release, claim)
            if not isinstance(error, Exception):
                write(p.status.release, claim)
                return self._event(ChunkInterrupted)
            write(p.status.advance, claim, self.phase, self.progress())
            again = None if isinstance(error, PermanentError) else p.policies.chunk.wait(self.claimed.failures + 1)
            status = write(p.status.fail, claim, said, retry_in=again)
        except ClaimLost as lost:
            return self._event(ChunkLost, one_line(lost))
        except p.interrupts:
            raise
        except Exception:  # noqa: BLE001 - the error that is being recorded matters more, and is raised next
            return self._event(ChunkFailed, said, None)
        return self._event(ChunkFailed, said, status)

    def _said(self, error: BaseException) -> str:
        if isinstance(error, self.pipeline.interrupts):  # most of them do not even say how long the time limit was
            deadline = f"deadline {self.pipeline.terms.deadline:g} s; plan smaller chunks or raise it"
            return f"{one_line(error)} (in phase {self.phase}, {deadline})"
        return one_line(error)

    def _left_behind(self, path: Path, error: OSError) -> None:
        self._tell(CleanupFailed, path, one_line(error))

    # -- small words ----------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase) -> None:
        self.lease.check()
        self.phase = phase
        self._tell(PhaseEntered, phase)
        self._write(lambda: self.pipeline.status.advance(self.claimed.claim, phase, self.progress()))

    def _write(self, change: Callable[[], T]) -> T:
        return self._retrying(self.pipeline.policies.status)(change)

    def _retrying(self, policy: RetryPolicy, phase: Phase | None = None) -> Retrying:
        def tell(failures: int, wait: float, error: BaseException) -> None:
            self._tell(StepRetried, phase or self.phase, failures, wait, one_line(error))

        return retrying(policy, self._pause, tell)

    def _pause(self, seconds: float) -> None:
        self.lease.check()
        self.pipeline.sleep(seconds)
        self.lease.check()

    def _timed(self, phase: Phase, step: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return step()
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - began

    def _event(self, kind: Callable[..., T], *what: object) -> T:
        return kind(self.claimed.claim.chunk, self.claimed.claim.attempt, *what)

    def _tell(self, kind: type[Event], *what: object) -> None:
        self.observe(self._event(kind, *what))
