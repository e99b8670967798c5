"""Run one chunk through the pipeline, case by case; tests/unit/test_pipeline_faults.py injects faults at random."""

import errno
import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import pytest
from memory_assembly import MemoryAssembly, picture

from pixcore import (
    Busy,
    Cancelled,
    ChunkKey,
    ChunkRequest,
    ClaimLost,
    Done,
    Exhausted,
    InvalidRequest,
    LeaseTerms,
    NotDue,
    NoValidImages,
    Phase,
    Progress,
    Slice,
    SourceUnavailable,
    Status,
    StatusRepo,
    StoreUnavailable,
    TransientError,
)
from pixcore.chunk.events import (
    CandidateMissed,
    ChunkCompleted,
    ChunkFailed,
    ChunkInterrupted,
    CleanupFailed,
    Event,
    ImageAccepted,
    ImageRejected,
    PhaseEntered,
    StepRetried,
)
from pixcore.model.archives import Archive
from pixcore.model.chunks import Claim
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Miss, MissReason, Rejected
from pixcore.model.rows import COLUMN_TYPES, Row
from pixcore_adapters.archiver.memory import MemoryArchiver
from pixcore_adapters.downloader.memory import MemoryDownloader
from pixcore_adapters.validator.memory import MemoryValidator


@pytest.fixture
def assembly(tmp_path: Path) -> MemoryAssembly:
    """Return the adapters in memory, with ten good pictures to download."""
    return MemoryAssembly(tmp_path / "work", [picture(number) for number in range(10)])


def phases(assembly: MemoryAssembly) -> list[str]:
    """Return the phases that the run entered, in order."""
    return [event.phase for event in assembly.events if isinstance(event, PhaseEntered)]


def test_a_chunk_goes_from_claim_to_result(assembly: MemoryAssembly) -> None:
    """A run without faults enters every phase once, stores the result and uploads the archive to the chunk's key."""
    key = assembly.chunk(10)
    outcome = assembly.pipeline().run(key)
    assert isinstance(outcome, Done)
    assert outcome.result.shortfall == 0
    assert outcome.result.url == f"memory:///d/data/chunk_{key.id}.json"
    assert assembly.status.get(key).result == outcome.result
    assert phases(assembly) == ["download", "validate", "compress", "upload", "complete", "cleanup"]
    assert isinstance(assembly.events[-1], ChunkCompleted)
    assert set(outcome.result.seconds) == {"download", "validate", "compress", "upload"}


def test_running_again_gives_the_stored_result_and_does_nothing(assembly: MemoryAssembly) -> None:
    """A queue may deliver a chunk twice; the second delivery must return the stored result and do no work."""
    key = assembly.chunk(5)
    first = assembly.pipeline().run(key)
    assembly.events.clear()
    assembly.faults.calls.clear()
    assert assembly.pipeline().run(key) == first
    assert assembly.faults.calls == ["claim"]
    assert not assembly.events


def test_collecting_stops_at_the_target(assembly: MemoryAssembly) -> None:
    """The pipeline must accept no more images than the target, and download none beyond it."""
    outcome = assembly.pipeline().run(assembly.chunk(3))
    assert isinstance(outcome, Done)
    assert outcome.result.progress.accepted == 3
    assert sum(isinstance(event, ImageAccepted) for event in assembly.events) == 3


def test_rejections_and_misses_are_replaced_and_counted_by_reason(assembly: MemoryAssembly) -> None:
    """The target counts accepted images only; rejections and misses are counted by their reasons."""
    assembly.pictures[1:4] = [b"garbage", None, picture(0)]
    outcome = assembly.pipeline().run(assembly.chunk(5))
    assert isinstance(outcome, Done)
    assert outcome.result.progress.accepted == 5
    assert outcome.result.progress.rejected == {"not_an_image": 1, "duplicate": 1}
    assert outcome.result.progress.missed == {"gone": 1}
    assert sum(isinstance(event, ImageRejected) for event in assembly.events) == 2
    assert sum(isinstance(event, CandidateMissed) for event in assembly.events) == 1


def test_a_result_has_counts_of_its_images_and_samples_of_the_rejected_ones(assembly: MemoryAssembly) -> None:
    """The dataset card is made from results alone, without the archives; a result keeps few samples of each reason."""
    assembly.pictures = [picture(0), *[b"no picture"] * 9, picture(1), picture(1)]
    outcome = assembly.pipeline().run(assembly.chunk(3))
    assert isinstance(outcome, Done)
    assert outcome.result.tally == {"source": {"memory": 2}, "license": {"": 2}, "format": {"JSON": 2}}
    assert Counter(reject.reason for reject in outcome.result.rejects) == {"not_an_image": 4, "duplicate": 1}
    assert outcome.result.rejects[0].url == "memory:q/1"
    assert outcome.result.columns == COLUMN_TYPES
    assert assembly.status.get(assembly.chunk(3)).result == outcome.result


def test_a_result_names_the_columns_of_the_lists_with_their_types(assembly: MemoryAssembly) -> None:
    """Exports and the card read the columns from results; pixcore's own columns keep their types."""
    listed = (("score", "integer"), ("note", "string"))
    request = ChunkRequest(0, "q", 3, [Slice("memory", "q", 0, 10)], "d", columns=listed)
    [chunk] = assembly.status.ensure([request])
    outcome = assembly.pipeline().run(chunk.key)
    assert isinstance(outcome, Done)
    assert outcome.result.columns == {**COLUMN_TYPES, "score": "integer", "note": "string"}
    assert assembly.status.get(chunk.key).result == outcome.result


def test_a_chunk_below_its_target_completes_with_a_shortfall(assembly: MemoryAssembly) -> None:
    """The caller must be able to see that images are lacking."""
    outcome = assembly.pipeline().run(assembly.chunk(12))
    assert isinstance(outcome, Done)
    assert outcome.result.shortfall == 2
    assert assembly.status.get(assembly.chunk(12)).status is Status.COMPLETED


def test_a_chunk_without_a_valid_image_fails_for_good(assembly: MemoryAssembly) -> None:
    """NoValidImages is a permanent ValueError, names the counts, and leads to no further attempt."""
    assembly.pictures[:] = [b"garbage", None]
    key = assembly.chunk(2)
    with pytest.raises(NoValidImages, match=r"gone: 1|not_an_image: 1") as raised:
        assembly.pipeline().run(key)
    assert isinstance(raised.value, ValueError)
    record = assembly.status.get(key)
    assert record.status is Status.FAILED
    assert record.progress == Progress(rejected={"not_an_image": 1}, missed={"gone": 1})
    assert assembly.pipeline().run(key) == Exhausted(str(raised.value))
    assert not assembly.left()


def test_a_chunk_with_only_temporary_misses_is_tried_again_later(assembly: MemoryAssembly) -> None:
    """If every candidate was missed only for now, the chunk must become pending again, not failed."""

    class TemporaryMiss:
        def download(self, *_: object) -> Generator[Miss]:
            yield Miss(Candidate(CandidateKey("memory", "q", 0), "u"), MissReason.UNREADABLE, permanent=False)

    key = assembly.chunk(1)
    with pytest.raises(SourceUnavailable, match="unreadable: 1"):
        assembly.pipeline(downloader=TemporaryMiss()).run(key)
    assert assembly.status.get(key).status is Status.PENDING


def test_an_image_of_another_chunk_is_rejected_as_seen(assembly: MemoryAssembly) -> None:
    """Of two equal images in one dataset, the second to arrive is rejected."""
    first, second = assembly.chunk(3, stop=5), assembly.chunk(3, index=1, start=2)
    assembly.pipeline().run(first)
    outcome = assembly.pipeline().run(second)
    assert isinstance(outcome, Done)
    assert outcome.result.progress.rejected == {"seen_in_dataset": 1}
    assert outcome.result.progress.accepted == 3


def test_a_rerun_does_not_reject_its_own_images(assembly: MemoryAssembly) -> None:
    """A failed attempt must release the images that it held in SeenImages."""
    key = assembly.chunk(10)
    broken = assembly.pipeline(store=_Broken(StoreUnavailable("away"), tries=99))
    with pytest.raises(StoreUnavailable):
        broken.run(key)
    assembly.later()
    outcome = assembly.pipeline().run(key)
    assert isinstance(outcome, Done)
    assert outcome.result.progress.accepted == 10


class _Broken:
    """A port whose methods raise ``error`` the first ``tries`` times, then behave as those of ``then``."""

    def __init__(self, error: BaseException, tries: int, then: object = None) -> None:
        self.error, self.tries, self.then = error, tries, then

    def __getattr__(self, name: str) -> object:
        if self.tries == 0:
            return getattr(self.then, name)

        def fail(*_: object, **__: object) -> object:
            self.tries -= 1
            raise self.error

        return fail


def test_an_upload_retry_downloads_nothing_again(assembly: MemoryAssembly) -> None:
    """If four uploads fail and the fifth succeeds, the chunk is downloaded and packed only once."""
    key = assembly.chunk(5)
    flaky = _Broken(StoreUnavailable("busy"), tries=4, then=assembly.store)
    assert isinstance(assembly.pipeline(store=flaky).run(key), Done)
    assert (assembly.faults.calls.count("download"), assembly.faults.calls.count("pack")) == (1, 1)
    retried = [event for event in assembly.events if isinstance(event, StepRetried)]
    assert [(event.phase, event.failures) for event in retried] == [(Phase.UPLOAD, n) for n in (1, 2, 3, 4)]
    assert assembly.naps == [event.wait for event in retried]


@pytest.mark.parametrize(
    ("port", "error", "tries"),
    [
        ("downloader", SourceUnavailable("x"), 3),
        ("archiver", TransientError("x"), 2),
        ("store", StoreUnavailable("x"), 5),
    ],
)
def test_the_tries_of_each_phase_are_bounded(
    assembly: MemoryAssembly, port: str, error: TransientError, tries: int
) -> None:
    """A download has 3 tries, compressing 2 and an upload 5; then the chunk waits for its next attempt."""
    broken = _Broken(error, tries=99)
    broken.suffix, broken.content_type = ".json", "application/json"
    key = assembly.chunk(5)
    with pytest.raises(type(error)):
        assembly.pipeline(**{port: broken}).run(key)
    assert 99 - broken.tries == tries
    record = assembly.status.get(key)
    assert (record.status, record.failures, record.error) == (Status.PENDING, 1, "x")
    assert isinstance(assembly.pipeline().run(key), NotDue)


def test_images_are_packed_while_others_are_collected(assembly: MemoryAssembly) -> None:
    """Packing must overlap with downloading; after the last image is accepted, only the last few are still to pack."""
    accepted: list[int] = []

    class Counting(MemoryArchiver):
        def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
            def counted() -> Generator[tuple[Row, Path]]:
                for image in images:
                    accepted.append(sum(isinstance(event, ImageAccepted) for event in assembly.events))
                    yield image

            return super().pack(counted(), target)

    assembly.pictures = [picture(number) for number in range(100)]
    assembly.pipeline(archiver=Counting()).run(assembly.chunk(100))
    assert [number for number, count in enumerate(accepted) if count == 100] == list(range(96, 100))


def test_a_retry_of_packing_uses_the_images_already_collected(assembly: MemoryAssembly) -> None:
    """A temporary error of the local disk must not cause a second download."""
    tries = 0

    class Hiccup(MemoryArchiver):
        def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
            nonlocal tries
            tries += 1
            if tries == 1:
                next(iter(images))
                raise TransientError("hiccup")
            return super().pack(images, target)

    assembly.pictures = [picture(number) for number in range(100)]
    outcome = assembly.pipeline(archiver=Hiccup()).run(assembly.chunk(100))
    assert isinstance(outcome, Done)
    assert (tries, outcome.result.progress.accepted, assembly.faults.calls.count("download")) == (2, 100, 1)
    assert [event.phase for event in assembly.events if isinstance(event, StepRetried)] == [Phase.COMPRESS]
    assert sum(outcome.result.tally["source"].values()) == 100


def test_an_error_of_collecting_is_not_retried_as_one_of_packing(assembly: MemoryAssembly) -> None:
    """Each step has tries of its own: an unreachable source is tried 3 times, not 3 times for each try of packing."""
    key = assembly.chunk(5)
    with pytest.raises(SourceUnavailable):
        assembly.pipeline(downloader=_Broken(SourceUnavailable("away"), tries=99)).run(key)
    assert assembly.faults.calls.count("pack") == 1
    assert {event.phase for event in assembly.events if isinstance(event, StepRetried)} == {Phase.DOWNLOAD}


@pytest.mark.parametrize("translated", [TransientError("packing failed"), OSError("packing failed"), None])
def test_an_archiver_cannot_hide_that_collecting_failed(assembly: MemoryAssembly, translated: Exception | None) -> None:
    """An archiver that translates or swallows the error of collecting changes neither the error nor the retries."""

    class Translating(MemoryArchiver):
        def pack(self, images: Iterable[tuple[Row, Path]], target: Path) -> Archive:
            try:
                return super().pack(images, target)
            except SourceUnavailable as error:
                if translated is None:
                    return super().pack((), target)
                raise translated from error

    key = assembly.chunk(5)
    with pytest.raises(SourceUnavailable, match="away"):
        assembly.pipeline(downloader=_Broken(SourceUnavailable("away"), tries=99), archiver=Translating()).run(key)
    assert assembly.faults.calls.count("pack") == 1
    assert {event.phase for event in assembly.events if isinstance(event, StepRetried)} == {Phase.DOWNLOAD}


def test_a_source_that_fails_midway_continues_where_it_stopped(assembly: MemoryAssembly) -> None:
    """The second call of download skips the candidates yielded before; the validator keeps its state."""

    class Halting(MemoryDownloader):
        def download(self, slices: object, into: Path, skip: frozenset[CandidateKey], *more: object) -> object:
            for number, item in enumerate(super().download(slices, into, skip, *more)):
                if number == 4 and not skip:
                    raise SourceUnavailable("hung up")
                yield item

    assembly.pictures[7] = picture(0)
    outcome = assembly.pipeline(downloader=Halting({"q": assembly.pictures})).run(assembly.chunk(9))
    assert isinstance(outcome, Done)
    assert outcome.result.progress.accepted == 9
    assert outcome.result.progress.rejected == {"duplicate": 1}
    assert assembly.faults.calls.count("validate") == 1


def test_download_and_validation_overlap(assembly: MemoryAssembly) -> None:
    """The first image must be validated before the last candidate is downloaded."""
    downloaded: list[int] = []

    class Watched(MemoryDownloader):
        def download(self, *args: object) -> object:
            for item in super().download(*args):
                downloaded.append(item.candidate.key.position)
                yield item

    at_first_verdict: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, PhaseEntered) and event.phase is Phase.VALIDATE:
            at_first_verdict.extend(downloaded)

    assembly.pipeline(observe, downloader=Watched({"q": assembly.pictures})).run(assembly.chunk(10))
    assert len(at_first_verdict) < len(downloaded) == 10


def test_arrived_images_are_judged_while_the_source_is_slow(assembly: MemoryAssembly) -> None:
    """A chunk that waits for one slow image must count all images that arrived before it."""
    accepted: list[int] = []

    def counted() -> int:
        return sum(isinstance(event, ImageAccepted) for event in assembly.events)

    class Slow(MemoryDownloader):
        def download(self, slices: object, into: Path, skip: object, waiting: Callable[[], None], *_: object) -> object:
            for item in super().download(slices, into, skip):
                waiting()
                accepted.append(counted())
                yield item

    assembly.pipeline(downloader=Slow({"q": assembly.pictures})).run(assembly.chunk(5))
    assert accepted == [0, 1, 2, 3, 4]


def test_a_rejected_download_leaves_the_work_directory_at_once(assembly: MemoryAssembly) -> None:
    """The work directory must hold only images that will be packed."""
    assembly.pictures[0] = b"garbage"
    existing: list[bool] = []

    def observe(event: Event) -> None:
        if isinstance(event, ImageRejected):
            existing.append(event.image.download.path.exists())

    assembly.pipeline(observe).run(assembly.chunk(9))
    assert existing == [False]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupt_gives_the_claim_back_without_a_failure(
    assembly: MemoryAssembly, interrupt: BaseException
) -> None:
    """After Ctrl-C the chunk is pending and due at once, without a counted failure or a left work directory."""
    key = assembly.chunk(5)
    with pytest.raises(type(interrupt)):
        assembly.pipeline(store=_Broken(interrupt, tries=1)).run(key)
    record = assembly.status.get(key)
    assert (record.status, record.failures, record.due_in) == (Status.PENDING, 0, 0.0)
    assert isinstance(assembly.events[-1], ChunkInterrupted)
    assert not assembly.left()


def test_a_time_limit_in_an_observer_is_not_swallowed(assembly: MemoryAssembly) -> None:
    """A runner's time limit may be raised anywhere; in an observer it must still end the chunk and set its status."""

    class SoftLimit(Exception):
        pass

    def observe(event: Event) -> None:
        if isinstance(event, ImageAccepted):
            raise SoftLimit

    key = assembly.chunk(5)
    with pytest.raises(SoftLimit):
        assembly.pipeline(observe, interrupts=(SoftLimit,)).run(key)
    record = assembly.status.get(key)
    assert (record.status, record.failures) == (Status.PENDING, 1)
    assert record.error == "SoftLimit (in phase validate, deadline 600 s; plan smaller chunks or raise it)"
    assert not assembly.left()


def test_a_failing_observer_is_reported_once_and_harms_nothing(
    assembly: MemoryAssembly, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of progress bars or metrics must not fail a chunk."""

    def observe(_: Event) -> None:
        raise RuntimeError("no terminal")

    with caplog.at_level(logging.WARNING, logger="pixcore"):
        assert isinstance(assembly.pipeline(observe).run(assembly.chunk(5)), Done)
    assert len(caplog.records) == 1


def test_a_work_directory_that_cannot_be_created_is_recorded(assembly: MemoryAssembly) -> None:
    """If the work directory cannot be created, the chunk must be pending with an error, not stay claimed."""
    assembly.work.write_text("a file is in the way")
    key = assembly.chunk(5)
    with pytest.raises(InvalidRequest, match="work directory"):
        assembly.pipeline().run(key)
    record = assembly.status.get(key)
    assert (record.status, record.failures) == (Status.PENDING, 1)
    assert "work directory" in record.error
    assert isinstance(assembly.events[-1], ChunkFailed)


def test_stop_gives_the_chunk_back_between_images(assembly: MemoryAssembly) -> None:
    """The stop callback of a runner must end a chunk without a signal in this thread."""
    answers = iter([False] * 8 + [True] * 99)
    key = assembly.chunk(10)
    with pytest.raises(KeyboardInterrupt):
        assembly.pipeline(stop=lambda: next(answers)).run(key)
    assert assembly.status.get(key).status is Status.PENDING
    assert assembly.status.get(key).failures == 0


class _Renewing:
    """Sets an event after two renewals reported the cancel: by the second, the lease has processed the first."""

    def __init__(self, status: StatusRepo, reported: threading.Event) -> None:
        self._status, self._reported = status, reported
        self._times = 0

    def renew(self, claim: Claim, ttl: float, progress: Progress) -> bool:
        cancelled = self._status.renew(claim, ttl, progress)
        self._times += cancelled
        if self._times == 2:
            self._reported.set()
        return cancelled

    def __getattr__(self, name: str) -> object:
        return getattr(self._status, name)


def test_a_cancelled_chunk_ends_failed(assembly: MemoryAssembly) -> None:
    """A renewal reports the cancel, and the chunk must end at the next image."""
    key = assembly.chunk(10)
    renewed = threading.Event()

    class Waiting(MemoryValidator):
        def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
            for number, verdict in enumerate(super().validate(downloads)):
                if number == 2:
                    assembly.status.cancel("d")
                    assert renewed.wait(30)
                yield verdict

    with pytest.raises(Cancelled):
        assembly.pipeline(
            validator=Waiting(), status=_Renewing(assembly.status, renewed), terms=LeaseTerms(ttl=0.03)
        ).run(key)
    assert (assembly.status.get(key).status, assembly.status.get(key).error) == (Status.FAILED, "cancelled")


def test_a_claim_that_expired_and_went_to_another_worker_is_lost(assembly: MemoryAssembly) -> None:
    """If another worker claims the chunk during validation, this one must stop and change nothing."""
    key = assembly.chunk(10)

    class Overtaken(MemoryValidator):
        def validate(self, downloads: Iterable[Download]) -> Generator[Accepted | Rejected]:
            for verdict in super().validate(downloads):
                assembly.later()
                assembly.status.claim(key, "another", 60.0)
                yield verdict

    with pytest.raises(ClaimLost):
        assembly.pipeline(validator=Overtaken()).run(key)
    assert assembly.status.get(key).owner == "another"
    assert not assembly.left()


def test_a_chunk_that_another_worker_holds_is_busy(assembly: MemoryAssembly) -> None:
    """The outcome says in how many seconds to try again, so that the chunk is deferred and not dropped."""
    key = assembly.chunk(5)
    assembly.status.claim(key, "another", 60.0)
    assert assembly.pipeline().run(key) == Busy(retry_in=60.0)


def test_an_unknown_chunk_is_an_invalid_request(assembly: MemoryAssembly) -> None:
    """The error must name the key that was never planned."""
    with pytest.raises(InvalidRequest, match="d/99"):
        assembly.pipeline().run(ChunkKey("d", 99))


def test_no_thread_survives_a_run(assembly: MemoryAssembly) -> None:
    """The thread of the lease must end with the chunk."""
    assembly.pipeline().run(assembly.chunk(5))
    assert not [thread for thread in threading.enumerate() if "lease" in thread.name]


def test_a_work_directory_that_cannot_be_removed_is_an_event(
    assembly: MemoryAssembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed cleanup is reported as an event and must not change the result."""

    def fail(path: Path, onerror: object = None, **_: object) -> None:
        error = OSError(errno.EBUSY, "busy")
        onerror(None, str(path), (OSError, error, None))

    monkeypatch.setattr(shutil, "rmtree", fail)
    assert isinstance(assembly.pipeline().run(assembly.chunk(5)), Done)
    assert [event.error for event in assembly.events if isinstance(event, CleanupFailed)]
