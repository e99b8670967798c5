"""Progress of a run: bars on a terminal, plain lines elsewhere, log lines or nothing on request."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command import at_home, fill, pixcore, start
from memory_assembly import MemoryAssembly, picture

from pixcore import ChunkKey, Status, StoreUnavailable
from pixcore.chunk.events import ChunkClaimed, ChunkFailed, ChunkLost, StepRetried
from pixcore.model.chunks import Phase
from pixcore.model.requests import ChunkRequest, Slice
from pixcore_adapters.blob_store.memory import MemoryBlobStore
from pixcore_runners.cli.direct import stopping
from pixcore_runners.cli.shell import Shell
from pixcore_runners.observing.progress import progress
from pixcore_runners.settings import load

KEY = ChunkKey("d", 7)
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]m|\x1b\[[0-9;]*9[0-9]m")
LOG_LINE = re.compile(
    r"[\d-]+T[\d:.]+Z (?:DEBUG|INFO) \[task_id=([0-9a-f]{32})\]\[chunk=photos/\d\]\[phase=([A-Z]+)\] .+"
)

Say = Callable[..., str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, without a terminal."""
    at_home(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the command treat standard error as a wide terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def shell(*, quiet: bool = False, verbose: bool = False) -> Shell:
    """Return the shell of a call with these options."""
    return Shell(load(), as_json=False, quiet=quiet, verbose=verbose)


def shown(assembly: MemoryAssembly, capsys: pytest.CaptureFixture[str], target: int, **options: bool) -> str:
    """Run a chunk of that many images; return the output on standard error."""
    with progress(1, **options) as observer:
        assembly.pipeline(observer).run(assembly.chunk(target))
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


# -- lines -----------------------------------------------------------------------------------------------------------


def test_a_long_chunk_prints_a_line_every_hundred_images(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a log file a chunk of thousands of images must not look stopped, nor print a line for each."""
    assembly = MemoryAssembly(home / "work", [picture(number) for number in range(250)])
    assert shown(assembly, capsys, 250).splitlines() == [
        "chunk 1: started, 250 images of 'cat' wanted",
        "chunk 1: 100 images accepted",
        "chunk 1: 200 images accepted",
        "chunk 1: completed with 250 of 250 images",
    ]


def test_retries_and_failures_are_printed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines must name the error, and whether the step or the chunk is retried."""

    class Away(MemoryBlobStore):
        def put(self, *_: object, **__: object) -> object:
            raise StoreUnavailable("the store is away")

    assembly = MemoryAssembly(home / "work", [picture(0)])
    with progress(1) as observer, pytest.raises(StoreUnavailable):
        assembly.pipeline(observer, store=Away()).run(assembly.chunk(1))
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"chunk 1: upload failed and is retried in \d+\.\d s: the store is away", lines[1])
    assert lines[-1] == "chunk 1: failed and will be retried: the store is away"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ChunkFailed(KEY, 1, "x", Status.FAILED), "chunk 7: failed: x"),
        (ChunkFailed(KEY, 1, "x", None), "chunk 7: failed and the failure could not be recorded: x"),
        (ChunkLost(KEY, 1, "x"), "chunk 7: another worker took over: x"),
        (
            StepRetried(KEY, 1, Phase.UPLOAD, 1, 2.0, "a\n\x1b[2J[red]"),
            r"chunk 7: upload failed and is retried in 2.0 s: a\n\x1b[2J[red]",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_is_one_escaped_line(capsys: pytest.CaptureFixture[str], event: ChunkFailed, line: str) -> None:
    """The text of a foreign error must not control the terminal."""
    with progress(1) as observer:
        observer(event)
    assert capsys.readouterr().err == f"{line}\n"


def test_a_long_line_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """Users search logs line by line."""
    with progress(1) as observer:
        observer(ChunkFailed(KEY, 1, "word " * 100 + "end", Status.FAILED))
    assert capsys.readouterr().err.count("\n") == 1


# -- bars ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_bars_and_a_line_for_each_ended_chunk(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bars must disappear at the end, and the lines must stay."""
    assembly = MemoryAssembly(home / "work", [picture(number) for number in range(5)])
    assembly.pictures[2] = b"garbage"
    text = shown(assembly, capsys, 5)
    assert "chunks" in text
    assert "chunk 1: completed with 4 of 5 images, 1 short\n" in text
    assert text.endswith("\x1b[2K")  # the last bar is erased
    assert COLOUR.search(text)


@pytest.mark.usefixtures("terminal")
def test_no_color_gives_bars_without_colours(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users who set NO_COLOR must get no colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    assembly = MemoryAssembly(home / "work", [picture(number) for number in range(5)])
    assert not COLOUR.search(shown(assembly, capsys, 5))


@pytest.mark.usefixtures("terminal")
def test_a_retried_chunk_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar of chunks must advance when a chunk is settled, not at every failure."""
    request = ChunkRequest(0, "cat", 1, (Slice("memory", "q", 0, 1),), dataset="d")
    with progress(2) as observer:
        for status in (Status.PENDING, Status.PENDING, Status.FAILED):
            observer(ChunkClaimed(KEY, 1, request))
            observer(ChunkFailed(KEY, 1, "x", status))
    text = capsys.readouterr().err
    assert "1/2" in text
    assert "2/2" not in text


def test_bars_on_a_real_terminal_leave_the_document_clean(home: Path) -> None:
    """If standard error is a terminal and standard output a pipe, the pipe must get only the document."""
    fill(home / "photos", 6)
    ours, theirs = pty.openpty()
    words = ("run", "--source", "folder:photos", "--chunk-size", "3", "--json")
    process = start(*words, stderr=theirs, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while block := _read(ours):
        shown += block
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [chunk["status"] for chunk in json.loads(out)["chunks"]] == ["completed"] * 2
    text = shown.decode()
    assert "chunk 1: completed with 3 of 3 images" in text
    assert "2/2" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is shown again


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end of the terminal is closed
        return b""


# -- quiet, verbose --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tty", [False, True])
def test_quiet_shows_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest, tty: bool
) -> None:
    """``--quiet`` must print no progress, on a terminal and elsewhere."""
    if tty:
        request.getfixturevalue("terminal")
    assert shown(MemoryAssembly(home / "work", [picture(0)]), capsys, 1, quiet=True) == ""


def test_verbose_writes_log_lines_that_name_task_chunk_and_phase(home: Path) -> None:
    """All lines, also those of worker threads, must name the one task of the run, and no other progress appears."""
    fill(home / "photos", 6)
    (home / "photos/0001.jpg").write_text("no image")
    ran = pixcore("run", "--source", "folder:photos", "--chunk-size", "3", "--workers", "2", "--verbose")
    planned, *lines, advice = ran.err.splitlines()
    found = [match for line in lines if (match := LOG_LINE.fullmatch(line))]
    assert len(found) == len(lines)
    assert len({match[1] for match in found}) == 1
    assert {match[2] for match in found} == {
        *(phase.upper() for phase in Phase if phase is not Phase.ERROR),
    }
    assert (planned, advice[:11]) == ("dataset photos: new chunks: 2", "all candida")


def test_without_verbose_nothing_is_logged(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Python's last-resort handler would print warnings even with ``--quiet``."""
    fill(home / "photos", 1)
    (home / "photos/0000.jpg").write_text("no image")
    ran = pixcore("run", "--source", "folder:photos", "--quiet")
    assert (ran.code, ran.err, caplog.records) == (4, "", [])


class _Stream:
    """Standard error that is in the middle of a write when a signal arrives."""

    def write(self, _: str) -> int:
        """Raise the error of a reentrant call, as Python's own streams do."""
        raise RuntimeError("reentrant call inside <_io.BufferedWriter>")


def test_a_signal_in_the_middle_of_a_message_stops_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that arrives while the command prints must stop it, not cause an internal error."""
    with stopping(shell()) as stop:
        monkeypatch.setattr("sys.stderr", _Stream())
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.undo()
        assert stop.is_set()
