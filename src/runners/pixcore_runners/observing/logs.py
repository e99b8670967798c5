"""Log lines of pixcore, as text or as JSON, with the chunk that each is about.

A line of text is ``TIME LEVEL [task_id=…][chunk=…][phase=…] message``, a line of JSON one object. Times are UTC.

Context variables hold the chunk that a line is about. Threads of a pool do not inherit them, so submit
``copy_context().run`` to a pool. Importing this configures no logging; ``log_to_stderr`` does, for the command line.
"""

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from pixcore.model.chunks import ChunkKey, Phase
from pixcore.redaction import redacted

FORMAT = "%(asctime)s %(levelname)s [task_id=%(task_id)s][chunk=%(chunk)s][phase=%(phase)s] %(message)s"

_UNKNOWN = "-"
_task_id = ContextVar("pixcore_task_id", default=_UNKNOWN)
_chunk = ContextVar[ChunkKey | None]("pixcore_chunk", default=None)
_phase = ContextVar("pixcore_phase", default=_UNKNOWN)

# The members of a JSON line that are left out if they are not known, and the attributes of the record that hold them.
_CONTEXT = {"task": "task_id", "chunk": "chunk", "phase": "phase", "dataset": "dataset", "worker": "worker"}

_logger = logging.getLogger("pixcore")


@contextmanager
def task(task_id: str) -> Generator[None]:
    """Set ``task_id`` in the log lines of the block: the id of the queue's task, or the direct runner's owner."""
    token = _task_id.set(task_id)
    try:
        yield
    finally:
        _task_id.reset(token)


def enter_chunk(chunk: ChunkKey) -> None:
    """Set the chunk in the log lines of this context, in its first phase."""
    _chunk.set(chunk)
    enter_phase(Phase.INIT)


def enter_phase(phase: Phase) -> None:
    """Set the phase in the log lines of this context."""
    _phase.set(phase.upper())


def leave_chunk() -> None:
    """Set no chunk and no phase in the log lines of this context."""
    _chunk.set(None)
    _phase.set(_UNKNOWN)


def this_worker() -> str:
    """Return the name under which operators know the worker of this process: its host and process."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}"


class ChunkContext(logging.Filter):
    """Adds ``task_id``, ``chunk``, ``phase``, ``dataset`` and ``worker`` to each record; ``-`` if one is not known.

    Add it to a handler: the filters of a logger do not see the records of its child loggers.
    """

    def __init__(self, worker: str = _UNKNOWN) -> None:
        super().__init__()
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes; accept every record."""
        chunk = _chunk.get()
        record.task_id, record.phase, record.worker = _task_id.get(), _phase.get(), self._worker
        record.chunk = str(chunk) if chunk else _UNKNOWN
        record.dataset = (chunk and chunk.dataset) or _UNKNOWN
        return True


class _Utc(logging.Formatter):
    """Formats times as ISO 8601 in UTC, with milliseconds."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class OneLine(_Utc):
    """Formats a record as ``FORMAT`` in one line, with characters escaped that could break it or control a terminal.

    A traceback follows in indented lines, so that none of them looks like a record. Credentials are masked.
    """

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the first line, without a traceback."""
        return escaped(redacted(super().formatMessage(record).rstrip()))

    def format(self, record: logging.LogRecord) -> str:
        """Return the first line, and the traceback below it if there is one."""
        line, *traceback = super().format(record).split("\n")
        return "\n".join([line, *(f"    {escaped(redacted(text))}" for text in traceback)])


class JsonLine(_Utc):
    """Formats a record as one JSON object in one line, in ASCII, with credentials masked.

    Members: ``time``, ``level``, ``logger``, ``message``; if known, ``task``, ``chunk``, ``phase``, ``dataset`` and
    ``worker``; and ``traceback``, if there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        known = {name: str(getattr(record, attribute, _UNKNOWN)) for name, attribute in _CONTEXT.items()}
        members = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().rstrip(),
            **{name: text for name, text in known.items() if text != _UNKNOWN},
        }
        if record.exc_info:
            members["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: _encodable(redacted(text)) for name, text in members.items()})


FORMATTERS = {"text": OneLine, "json": JsonLine}  # by the value of the setting log_format


def log_to_stderr(level: str = "info", form: str = "text", worker: str = _UNKNOWN) -> None:
    """Write the records of the logger ``pixcore`` to standard error, from this level on.

    For a command, which owns its process. Leaves the root logger alone. A second call replaces the first handler.
    """
    stop_logging_to_stderr()
    handler = _ToStderr()
    handler.addFilter(ChunkContext(worker))
    handler.setFormatter(FORMATTERS[form]())
    _logger.addHandler(handler)
    _logger.setLevel(level.upper())


def stop_logging_to_stderr() -> None:
    """Undo ``log_to_stderr``, but for the level."""
    for former in [former for former in _logger.handlers if isinstance(former, _ToStderr)]:
        _logger.removeHandler(former)


def logs_json() -> bool:
    """Return whether ``log_to_stderr`` writes JSON, so that nothing else may be written to standard error."""
    return any(isinstance(each, _ToStderr) and isinstance(each.formatter, JsonLine) for each in _logger.handlers)


def escaped(text: str) -> str:
    """Return the text with every unprintable character escaped as in a Python string."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _encodable(text: str) -> str:
    """Return the text with lone surrogates, as of names of files, escaped: they are no valid JSON."""
    return text.encode(errors="backslashreplace").decode()


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
