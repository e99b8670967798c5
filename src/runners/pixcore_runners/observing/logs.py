"""Log lines ``[task_id=…][chunk=…][phase=…] message`` of the logger ``pixcore``.

Context variables hold the chunk that a line is about. Threads of a pool do not inherit them, so submit
``copy_context().run`` to a pool. Importing this configures no logging; ``log_to_stderr`` does, for the command line.
"""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from pixcore.chunk.events import (
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
    PhaseEntered,
    StepRetried,
)
from pixcore.model.chunks import Phase, Status
from pixcore.model.images import Rejected

FORMAT = "[task_id=%(task_id)s][chunk=%(chunk)s][phase=%(phase)s] %(message)s"

_UNKNOWN = "-"
_task_id = ContextVar("pixcore_task_id", default=_UNKNOWN)
_chunk = ContextVar("pixcore_chunk", default=_UNKNOWN)
_phase = ContextVar("pixcore_phase", default=_UNKNOWN)

_NEXT = {Status.PENDING: " and will be retried", None: " and the failure could not be recorded"}

_logger = logging.getLogger("pixcore")


@contextmanager
def task(task_id: str) -> Generator[None]:
    """Set ``task_id`` in the log lines of the block: the id of the queue's task, or the direct runner's owner."""
    token = _task_id.set(task_id)
    try:
        yield
    finally:
        _task_id.reset(token)


class ChunkContext(logging.Filter):
    """Adds ``task_id``, ``chunk`` and ``phase`` of the current context to each record, or ``-`` if there is none.

    Add it to a handler: the filters of a logger do not see the records of its child loggers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the three attributes; accept every record."""
        record.task_id, record.chunk, record.phase = _task_id.get(), _chunk.get(), _phase.get()
        return True


class OneLine(logging.Formatter):
    """Formats a record as ``FORMAT`` in one line, with characters escaped that could break it or control a terminal.

    A traceback follows in indented lines, so that none of them looks like a record.
    """

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the first line, without a traceback."""
        return escaped(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the first line, and the traceback below it if there is one."""
        line, *traceback = super().format(record).split("\n")
        return "\n".join([line, *(f"    {escaped(text)}" for text in traceback)])


class LogObserver:
    """Logs every event to the logger ``pixcore``, and sets the chunk and phase of this context's log lines.

    Images are DEBUG, phases and results INFO, retries, leftover folders and lost claims WARNING, failed chunks ERROR.
    """

    def __call__(self, event: Event) -> None:
        """See ``pixcore.chunk.events.Observer``."""
        match event:
            case ChunkClaimed(chunk=chunk):
                _chunk.set(str(chunk))
                _phase.set(Phase.INIT.upper())
            case PhaseEntered(phase=phase):
                _phase.set(phase.upper())
            case ChunkCompleted():
                _phase.set(Phase.COMPLETE.upper())  # the current phase is CLEANUP, but the line is about completion
            case ChunkFailed() | ChunkGivenBack() | ChunkLost():
                _phase.set(Phase.ERROR.upper())
        level, text = _ending(event) if isinstance(event, ChunkEnded) else _step(event)
        _logger.log(level, "%s", escaped(text))
        if isinstance(event, ChunkEnded):
            _chunk.set(_UNKNOWN)
            _phase.set(_UNKNOWN)


def log_to_stderr(*, verbose: bool) -> None:
    """Write the records of the logger ``pixcore`` to standard error, including DEBUG if ``verbose``.

    For a command, which owns its process. Leaves the root logger alone. A second call replaces the first handler.
    """
    handler = _ToStderr()
    handler.addFilter(ChunkContext())
    handler.setFormatter(OneLine())
    for former in [former for former in _logger.handlers if isinstance(former, _ToStderr)]:
        _logger.removeHandler(former)
    _logger.addHandler(handler)
    _logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def escaped(text: str) -> str:
    """Return the text with every unprintable character escaped as in a Python string."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _ToStderr(logging.Handler):
    """Writes to the current ``sys.stderr``, which progress bars replace for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (
            LookupError,
            OSError,
            TypeError,
            ValueError,
        ):  # not Exception: the time limits of queues are exceptions, too
            self.handleError(record)


def _step(event: Event) -> tuple[int, str]:
    match event:
        case ChunkClaimed(attempt=attempt, request=request):
            return logging.INFO, f"attempt {attempt}: {request.target} images of {request.keyword!r} wanted"
        case PhaseEntered(phase=phase):
            return logging.INFO, f"{phase} begins"
        case StepRetried(phase=phase, failures=failures, wait=wait, error=error):
            return logging.WARNING, f"{phase} failed (failure {failures}) and is retried in {wait:.1f} s: {error}"
        case CleanupFailed(path=path, error=error):
            return logging.WARNING, f"{path} could not be removed ({error}); a later start removes it"
        case _:
            return logging.DEBUG, _image(event)


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
        case ImageRejected(image=rejected):
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
