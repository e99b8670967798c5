"""Log lines: each names its chunk, fits on one line, and goes only to the handlers that the user configured."""

import json
import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from pixcore.model.chunks import ChunkKey, ChunkResult, Phase, Progress, Status
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Miss, Rejected
from pixcore.model.quality import Fingerprint
from pixcore.model.requests import ChunkRequest, Slice
from pixcore_runners.observing.chunk_lines import LogObserver
from pixcore_runners.observing.logs import ChunkContext, JsonLine, OneLine, escaped, log_to_stderr, task

LOGGER = logging.getLogger("pixcore")
CATS = ChunkKey("cats", 7)
CANDIDATE = Candidate(CandidateKey("folder", "/cats", 0), address="a\n[task_id=evil]\x1b[2J.jpg")
DOWNLOAD = Download(CANDIDATE, Path("0"), size=9, fetched_at=datetime.now(UTC))


def claimed(chunk: ChunkKey = CATS) -> ChunkClaimed:
    """Return the first event of a chunk."""
    request = ChunkRequest(0, "cat", 5, (Slice("folder", "/cats", 0, 9),), dataset=chunk.dataset)
    return ChunkClaimed(chunk, 1, request)


def untimed(line: str, level: str) -> str:
    """Check the time and the level of a line, and return the rest."""
    time, rest = line.split(f" {level} ", 1)
    written = datetime.fromisoformat(time)
    assert time.endswith("Z")
    assert abs((datetime.now(UTC) - written).total_seconds()) < 60
    return rest


class Lines(logging.Handler):
    """Records the level and the line of each log record."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, str]] = []
        self.addFilter(ChunkContext())
        self.setFormatter(OneLine())

    def emit(self, record: logging.LogRecord) -> None:
        """Record level and line, without time and level."""
        self.kept.append((record.levelname, untimed(self.format(record), record.levelname)))


@pytest.fixture
def lines(clean_logger: None) -> list[tuple[str, str]]:
    """Return the list to which all records of the logger pixcore are added, as levels and lines."""
    del clean_logger
    handler = Lines()
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    return handler.kept


@pytest.fixture
def clean_logger() -> Generator[None]:
    """Restore the logger pixcore after the test."""
    handlers, level = LOGGER.handlers[:], LOGGER.level
    yield
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)


def test_lines_name_task_chunk_and_phase_until_the_chunk_ends(lines: list[tuple[str, str]]) -> None:
    """Operators search for these three; a line after the end of a chunk must not name that chunk."""
    observe = LogObserver()
    with task("owner-1"):
        observe(claimed())
        observe(PhaseEntered(CATS, 1, Phase.UPLOAD))
        LOGGER.info("a word in between")
        observe(PhaseEntered(CATS, 1, Phase.CLEANUP))
        observe(ChunkCompleted(CATS, 1, ChunkResult("file:///z", "0", 10, 5, 1, Progress(4, {"x": 2}), {})))
        LOGGER.info("between chunks")
    LOGGER.info("no task")
    completed = "completed with 4 of 5 images, 2 rejected, 0 missed: 10 bytes at file:///z"
    assert lines == [
        ("INFO", "[task_id=owner-1][chunk=cats/7][phase=INIT] attempt 1: 5 images of 'cat' wanted"),
        ("INFO", "[task_id=owner-1][chunk=cats/7][phase=UPLOAD] upload begins"),
        ("INFO", "[task_id=owner-1][chunk=cats/7][phase=UPLOAD] a word in between"),
        ("INFO", "[task_id=owner-1][chunk=cats/7][phase=CLEANUP] cleanup begins"),
        ("INFO", f"[task_id=owner-1][chunk=cats/7][phase=COMPLETE] {completed}"),
        ("INFO", "[task_id=owner-1][chunk=-][phase=-] between chunks"),
        ("INFO", "[task_id=-][chunk=-][phase=-] no task"),
    ]


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (CandidateMissed(CATS, 1, Miss(CANDIDATE, "gone", permanent=True)), "DEBUG", "missed a"),
        (
            ImageAccepted(CATS, 1, Accepted(DOWNLOAD, "0", 4, 3, "JPEG", Fingerprint(0, 0, "m", flat=False))),
            "DEBUG",
            "4 x 3 pixels, 9 bytes",
        ),
        (ImageRejected(CATS, 1, Rejected(DOWNLOAD, "damaged", "cut\nshort")), "DEBUG", "damaged (cut\\nshort)"),
        (StepRetried(CATS, 1, Phase.UPLOAD, 2, 1.25, "503"), "WARNING", "failure 2"),
        (CleanupFailed(CATS, 1, Path("/w\udcff"), "busy"), "WARNING", "/w\\udcff could not be removed"),
        (ChunkFailed(CATS, 1, "bad\rluck", Status.FAILED), "ERROR", "[phase=ERROR] failed: bad\\rluck"),
        (ChunkFailed(CATS, 1, "503", Status.PENDING), "WARNING", "failed and will be retried: 503"),
        (ChunkFailed(CATS, 1, "503", None), "ERROR", "failed and the failure could not be recorded: 503"),
        (ChunkInterrupted(CATS, 1), "INFO", "interrupted"),
        (ChunkLost(CATS, 1, "taken"), "WARNING", "another worker took over: taken"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_every_event_is_one_line_of_its_level(
    event: Event, level: str, text: str, lines: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """Alarms depend on the level, and names chosen by strangers must not forge a line in any handler."""
    here = copy_context()  # keeps the open chunk out of the next test's context
    here.run(LogObserver(), claimed())
    here.run(LogObserver(), event)
    got, line = lines[-1]
    assert got == level
    assert text in line
    assert line.isprintable()
    assert caplog.messages[-1].isprintable()  # the handler of another program


def test_lines_of_two_chunks_in_two_threads_are_not_mixed_up(lines: list[tuple[str, str]]) -> None:
    """Workers run chunks in parallel, and a wrong label would lead the operator to the wrong chunk."""
    both = Barrier(2, timeout=10)

    def work(number: int) -> None:
        observe, chunk = LogObserver(), ChunkKey("cats", number)
        for event in (claimed(chunk), PhaseEntered(chunk, 1, Phase.DOWNLOAD)):
            observe(event)
            both.wait()
            LOGGER.info("of chunk %s", number)
            both.wait()
        if number == 1:
            observe(ChunkEnded(chunk, 1))
        both.wait()
        LOGGER.info("later %s", number)

    with task("me"), ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(copy_context().run, work, number) for number in (1, 2)]:
            done.result()
    texts = [text for _, text in lines]
    for number in (1, 2):
        assert [text for text in texts if f"of chunk {number}" in text] == [
            f"[task_id=me][chunk=cats/{number}][phase={phase}] of chunk {number}" for phase in ("INIT", "DOWNLOAD")
        ]
    assert "[task_id=me][chunk=-][phase=-] later 1" in texts
    assert "[task_id=me][chunk=cats/2][phase=DOWNLOAD] later 2" in texts


def test_a_chunks_own_pool_threads_inherit_its_context(lines: list[tuple[str, str]]) -> None:
    """Threads that fetch and decode log lines about the same chunk."""
    with task("me"), ThreadPoolExecutor(1) as pool:
        pool.submit(LOGGER.info, "too early").result()  # the thread exists before the chunk does
        LogObserver()(claimed())
        pool.submit(copy_context().run, LOGGER.info, "within").result()
        LogObserver()(ChunkEnded(CATS, 1))
    assert lines[0][1] == "[task_id=-][chunk=-][phase=-] too early"
    assert "[task_id=me][chunk=cats/7][phase=INIT] within" in [text for _, text in lines]


@given(st.text())
def test_escaping_gives_printable_text_and_is_idempotent(text: str) -> None:
    """The observer escapes the text, and the formatter escapes it again."""
    assert escaped(text).isprintable()
    assert escaped(escaped(text)) == escaped(text)


def test_a_message_of_other_code_is_one_line(lines: list[tuple[str, str]]) -> None:
    """Adapters and third-party code also log to this logger."""
    LOGGER.info("got %s", "x\n[task_id=evil]\x1b[2J")
    assert lines == [("INFO", "[task_id=-][chunk=-][phase=-] got x\\n[task_id=evil]\\x1b[2J")]


def test_a_traceback_cannot_imitate_a_record(lines: list[tuple[str, str]]) -> None:
    """The text of an exception may come from a foreign server."""
    error = RuntimeError("x\n[task_id=1][chunk=1][phase=COMPLETE] completed\x1b[2J")
    LOGGER.warning("observer failed", exc_info=error)
    first, *rest = lines[0][1].split("\n")
    assert first == "[task_id=-][chunk=-][phase=-] observer failed"
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@pytest.mark.usefixtures("clean_logger")
def test_the_command_logs_once_to_standard_error_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for data, and the root logger belongs to the program that embeds pixcore."""
    root = logging.getLogger().handlers[:]
    log_to_stderr("debug")
    log_to_stderr()
    LOGGER.debug("an image")
    logging.getLogger("pixcore.deeper").warning("careful")
    out, err = capsys.readouterr()
    assert (out, untimed(err, "WARNING")) == ("", "[task_id=-][chunk=-][phase=-] careful\n")
    log_to_stderr("debug")
    LOGGER.debug("an image")
    assert untimed(capsys.readouterr().err, "DEBUG") == "[task_id=-][chunk=-][phase=-] an image\n"
    assert logging.getLogger().handlers == root


# -- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("clean_logger")
def test_a_line_of_json_names_what_is_known_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Log collectors index the members; an empty or placeholder value would be a value to them."""
    log_to_stderr("info", "json", "host:1")
    with task("owner-1"):
        observe = LogObserver()
        observe(claimed())
        observe(PhaseEntered(CATS, 1, Phase.UPLOAD))
        observe(ChunkEnded(CATS, 1))
        logging.getLogger("pixcore.deeper").error("between chunks")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    times = [datetime.fromisoformat(line.pop("time")) for line in lines]
    assert times == sorted(times)
    known = {"level": "INFO", "logger": "pixcore", "task": "owner-1", "worker": "host:1"}
    chunk = known | {"chunk": "cats/7", "dataset": "cats"}
    assert lines == [
        chunk | {"phase": "INIT", "message": "attempt 1: 5 images of 'cat' wanted"},
        chunk | {"phase": "UPLOAD", "message": "upload begins"},
        chunk | {"phase": "UPLOAD", "message": "ChunkEnded"},
        known | {"level": "ERROR", "logger": "pixcore.deeper", "message": "between chunks"},
    ]


@given(st.text(st.characters(exclude_categories=[])))
def test_any_message_is_one_object_in_one_line_of_ascii(text: str) -> None:
    """Names of files and answers of servers may hold anything; a collector drops what is no JSON."""
    error = RuntimeError(text)
    record = logging.LogRecord("pixcore", logging.INFO, "", 0, "%s", (text,), (RuntimeError, error, None))
    line = JsonLine().format(record)
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line)
    assert found["traceback"].startswith("RuntimeError")
    for member in found.values():
        member.encode()  # no lone surrogates


@pytest.mark.parametrize("formatter", [OneLine(), JsonLine()], ids=["text", "json"])
def test_no_line_holds_a_credential(formatter: logging.Formatter) -> None:
    """Libraries put URLs with passwords and signatures into their messages and tracebacks."""
    error = RuntimeError("https://host/z?sig=SECRET and redis://u:SECRET@host/0")
    record = logging.LogRecord("pixcore", logging.INFO, "", 0, "%s", (error,), (RuntimeError, error, None))
    ChunkContext().filter(record)
    line = formatter.format(record)
    assert "SECRET" not in line
    assert line.count("sig=***") == 2
