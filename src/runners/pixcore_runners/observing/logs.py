"""Log lines ``[task_id=…][chunk=…][phase=…] message`` of the logger ``pixcore``.

Which chunk a line is about lies in context variables. Threads of a pool do not inherit them: whoever starts one
submits ``copy_context().run``. Importing this configures no logging; ``log_to_stderr`` does, for the command line.
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
    ChunkInterrupted,
    ChunkLost,
    CleanupFailed,
    Event,
    ImageAccepted,
    ImageRejected,
    PhaseEntered,
    StepRetried,
)
from pixcore.model.chunks import Phase, Status

FORMAT = "[task_id=%(task_id)s][chunk=%(chunk)s][phase=%(phase)s] %(message)s"

_UNKNOWN = "-"
_task_id = ContextVar("pixcore_task_id", default=_UNKNOWN)
_chunk = ContextVar("pixcore_chunk", default=_UNKNOWN)
_phase = ContextVar("pixcore_phase", default=_UNKNOWN)

_NEXT = {Status.PENDING: ", to be tried again", None: ", which could not be recorded"}

_logger = logging.getLogger("pixcore")


@contextmanager
def task(task_id: str) -> Generator[None]:
    """Name the runner's task in this context's log lines: by the queue's id, or by the direct runner's owner."""
    token = _task_id.set(task_id)
    try:
        yield
    finally:
        _task_id.reset(token)


class ChunkContext(logging.Filter):
    """Gives each record ``task_id``, ``chunk`` and ``phase`` of where it was logged, ``-`` where there is none.

    Put it on a handler, not on a logger, whose filters do not see the records of the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the three; let every record pass."""
        record.task_id, record.chunk, record.phase = _task_id.get(), _chunk.get(), _phase.get()
        return True


class OneLine(logging.Formatter):
    """``FORMAT``, whatever the message holds: no character of it can begin a line or steer a terminal.

    A traceback follows on lines of its own, indented, so that none of them passes for a record.
    """

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The first line, without what follows it."""
        return escaped(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The first line and, where there is one, the traceback below it."""
        line, *traceback = super().format(record).split("\n")
        return "\n".join([line, *(f"    {escaped(text)}" for text in traceback)])


class LogObserver:
    """Tells the logger ``pixcore`` of every event, and the log lines of this context which chunk they are about.

    Images are DEBUG; phases and results INFO; tries that are repeated, leftovers and lost claims WARNING; chunks that
    failed ERROR.
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
                _phase.set(Phase.COMPLETE.upper())  # by now it is CLEANUP, which is not what the line is about
            case ChunkFailed() | ChunkLost():
                _phase.set(Phase.ERROR.upper())
        level, text = _ending(event) if isinstance(event, ChunkEnded) else _step(event)
        _logger.log(level, "%s", escaped(text))
        if isinstance(event, ChunkEnded):
            _chunk.set(_UNKNOWN)
            _phase.set(_UNKNOWN)


def log_to_stderr(*, verbose: bool) -> None:
    """Write the records of the logger ``pixcore`` to standard error, those of DEBUG too if ``verbose``.

    For a command, which owns its process; the root logger is left alone. Called again, it replaces its former self.
    """
    handler = _ToStderr()
    handler.addFilter(ChunkContext())
    handler.setFormatter(OneLine())
    for former in [former for former in _logger.handlers if isinstance(former, _ToStderr)]:
        _logger.removeHandler(former)
    _logger.addHandler(handler)
    _logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def escaped(text: str) -> str:
    """The text with every character that is not printable written as Python escapes it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _ToStderr(logging.Handler):
    """Writes to what ``sys.stderr`` is at that moment: progress bars put something else there for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (LookupError, OSError, TypeError, ValueError):  # not Exception: queues' time limits are some
            self.handleError(record)


def _step(event: Event) -> tuple[int, str]:
    match event:
        case ChunkClaimed(attempt=attempt, request=request):
            return logging.INFO, f"attempt {attempt}: {request.target} images of {request.keyword!r} wanted"
        case PhaseEntered(phase=phase):
            return logging.INFO, f"{phase} begins"
        case StepRetried(phase=phase, failures=failures, wait=wait, error=error):
            return logging.WARNING, f"{phase} failed (failure {failures}), tried again in {wait:.1f} s: {error}"
        case CleanupFailed(path=path, error=error):
            return logging.WARNING, f"{path} could not be removed and is left to a later start: {error}"
        case _:
            return logging.DEBUG, _image(event)


def _image(event: Event) -> str:
    match event:
        case CandidateMissed(miss=miss):
            return f"missed {miss.candidate.url}: {_reason(miss.reason, miss.detail)}"
        case ImageAccepted(image=image):
            size = f"{image.width} x {image.height} pixels, {image.download.size} bytes"
            return f"accepted {image.download.candidate.url}: {image.format}, {size}"
        case ImageRejected(image=image):
            return f"rejected {image.download.candidate.url}: {_reason(image.reason, image.detail)}"
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
        case ChunkLost(error=error):
            return logging.WARNING, f"left to another worker: {error}"
        case _:
            return logging.INFO, type(event).__name__


def _reason(reason: str, detail: str) -> str:
    return f"{reason} ({detail})" if detail else reason
