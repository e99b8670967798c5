"""Log every event of a chunk to the logger ``pixcore``."""

import logging

from pixcore.chunk.events import (
    BlobStored,
    CandidateMissed,
    ChunkClaimed,
    ChunkCompleted,
    ChunkEnded,
    ChunkFailed,
    ChunkGivenBack,
    ChunkInterrupted,
    ChunkLost,
    CleanupFailed,
    Event,
    ImageAccepted,
    ImageRejected,
    ImageReplaced,
    ImageWithdrawn,
    PhaseEntered,
    StepRetried,
)
from pixcore.model.chunks import Phase, Status
from pixcore.model.images import Rejected
from pixcore_runners.observing.delivered import DeliveryEnded
from pixcore_runners.observing.logs import enter_chunk, enter_phase, escaped, leave_chunk

_NEXT = {Status.PENDING: " and will be retried", None: " and the failure could not be recorded"}

_logger = logging.getLogger("pixcore")


class LogObserver:
    """Logs every event to the logger ``pixcore``, and sets the chunk and phase of this context's log lines.

    Images are DEBUG, phases and results INFO, retries, leftover folders and lost claims WARNING, failed chunks ERROR.
    """

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``."""
        match event:
            case ChunkClaimed(chunk=chunk):
                enter_chunk(chunk)
            case PhaseEntered(phase=phase):
                enter_phase(phase)
            case ChunkCompleted():
                enter_phase(Phase.COMPLETE)  # the current phase is CLEANUP, but the line is about completion
            case ChunkFailed() | ChunkGivenBack() | ChunkLost():
                enter_phase(Phase.ERROR)
        level, text = _ending(event) if isinstance(event, ChunkEnded) else _step(event)
        _logger.log(level, "%s", escaped(text))
        if isinstance(event, ChunkEnded):
            leave_chunk()


def _step(event: Event) -> tuple[int, str]:
    match event:
        case ChunkClaimed(attempt=attempt, request=request):
            return logging.INFO, f"attempt {attempt}: {request.target} images of {request.keyword!r:.100} wanted"
        case PhaseEntered(phase=phase):
            return logging.INFO, f"{phase} begins"
        case StepRetried(phase=phase, failures=failures, wait=wait, error=error):
            return logging.WARNING, f"{phase} failed (failure {failures}) and is retried in {wait:.1f} s: {error}"
        case CleanupFailed(path=path, error=error):
            return logging.WARNING, f"{path} could not be removed ({error}); a later start removes it"
        case _:
            return logging.DEBUG, _detail(event)


def _detail(event: Event) -> str:
    match event:
        case BlobStored(key=key, bytes=size, seconds=seconds):
            return f"stored {key}: {size} bytes in {seconds:.1f} s"
        case DeliveryEnded(outcome=outcome):
            return f"the delivery of {event.chunk} has ended: {outcome}"
        case _:
            return _image(event)


def _image(event: Event) -> str:
    match event:
        case CandidateMissed(miss=miss):
            return f"missed {miss.candidate.url}: {_reason(miss.reason, miss.detail)}"
        case ImageAccepted(image=image):
            size = f"{image.width} x {image.height} pixels, {image.download.size} bytes"
            return f"accepted {image.download.candidate.url}: {image.format}, {size}"
        case ImageReplaced(image=image, rejected=rejected):
            reason = _rejection(rejected)
            return f"accepted {image.download.candidate.url}, rejected {rejected.download.candidate.url}: {reason}"
        case ImageRejected(image=rejected) | ImageWithdrawn(image=rejected):
            return f"rejected {rejected.download.candidate.url}: {_rejection(rejected)}"
        case _:
            return type(event).__name__


def _ending(event: ChunkEnded) -> tuple[int, str]:
    match event:
        case ChunkCompleted(result=result):
            rejected, missed = sum(result.progress.rejected.values()), sum(result.progress.missed.values())
            counts = f"{result.progress.accepted} of {result.target} images, {rejected} rejected, {missed} missed"
            return logging.INFO, f"completed with {counts}: {result.bytes} bytes at {result.url}"
        case ChunkFailed(error=error, status=status):
            level = logging.WARNING if status is Status.PENDING else logging.ERROR
            return level, f"failed{_NEXT.get(status, '')}: {error}"
        case ChunkInterrupted():
            return logging.INFO, "interrupted and given back"
        case ChunkGivenBack(error=error, fault=fault):
            return logging.WARNING, f"given back, because the {fault} is at fault: {error}"
        case ChunkLost(error=error):
            return logging.WARNING, f"another worker took over: {error}"
        case _:
            return logging.INFO, type(event).__name__


def _rejection(rejected: Rejected) -> str:
    kept = f"; {rejected.twin.download.candidate.url} is kept" if rejected.twin else ""
    return _reason(rejected.reason, f"{rejected.detail}{kept}")


def _reason(reason: str, detail: str) -> str:
    return f"{reason} ({detail})" if detail else reason
