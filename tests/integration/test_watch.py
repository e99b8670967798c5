"""``pixcore status --watch`` shows correct counts on a terminal, in a pipe and as JSON until all is settled."""

import json
import os
import pty
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, evolve, field
from command import at_home, ended, fill, pixcore, start

from pixcore import Fault, Overview, RestingWorker, Status, StatusUnavailable
from pixcore.model.chunks import Phase
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_runners.cli.growth import Growth, GrowthMeter
from pixcore_runners.cli.shell import Shell
from pixcore_runners.cli.watch import View, views, watch
from pixcore_runners.settings import load

BEAT = 20.0
EMPTY = Overview(phases={}, accepted=0, workers=0, expired=0, oldest=0.0, errors={})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, without a terminal."""
    at_home(tmp_path, monkeypatch)
    return tmp_path


def overview(done: int = 0, running: int = 0, waiting: int = 0, **others: object) -> Overview:
    """Return an overview with so many chunks in each state."""
    phases = {
        Status.PENDING: {Phase.INIT: waiting},
        Status.PROCESSING: {Phase.VALIDATE: running},
        Status.COMPLETED: {Phase.COMPLETE: done},
    }
    return evolve(EMPTY, phases={status: found for status, found in phases.items() if any(found.values())}, **others)


@define
class Scene:
    """A status database whose reads return the next overview or raise for None, and a clock that naps advance."""

    finds: Iterator[Overview | None]
    now: float = 1000.0
    naps: list[float] = field(factory=list)

    def look(self) -> Overview:
        """Return the next overview, or raise StatusUnavailable."""
        found = next(self.finds)
        if found is None:
            raise StatusUnavailable("the database is away")
        return found

    def nap(self, seconds: float) -> None:
        """Advance the clock."""
        self.naps.append(seconds)
        self.now += seconds

    def views(self, beat: float = BEAT) -> Iterator[View]:
        """Return the views of this database."""
        return views(self.look, beat, clock=lambda: self.now, nap=self.nap)


def seen(*finds: Overview | None) -> list[View]:
    """Return all views of these overviews."""
    return list(Scene(iter(finds)).views())


# -- growth ----------------------------------------------------------------------------------------------------------


def rates(count: Callable[[int], int], until: int, every: int = 2) -> dict[int, float | None]:
    """Return the rate that is shown of a count at each look, by its time."""
    meter = GrowthMeter(60.0, BEAT)
    growths = {second: meter.record(second, count(second)) for second in range(0, until, every)}
    return {second: growth.rate if growth else None for second, growth in growths.items()}


@pytest.mark.parametrize("step", [1, 5, 20], ids=lambda step: f"every{step}")
@pytest.mark.parametrize("offset", [0, 7, 13])
def test_a_count_that_grows_in_steps_has_its_average_rate(step: int, offset: int) -> None:
    """Running chunks record their images only every 20 s, so the growth between two looks is no rate."""
    found = rates(lambda second: 10 * step * ((second + offset) // step), 300)
    known = {second: rate for second, rate in found.items() if rate is not None}
    assert min(known) <= 2 * BEAT + 2
    assert max(second for second in found if second not in known) < min(known)
    assert all(8.5 <= rate <= 11.5 for rate in known.values()), known


def test_no_rate_is_shown_before_a_full_beat() -> None:
    """The first step also contains the images from before the first look."""
    meter = GrowthMeter(60.0, BEAT)
    assert [meter.record(at, count) for at, count in ((0.0, 0), (1.0, 500), (3.0, 510), (20.9, 520))] == [None] * 4
    assert meter.record(21.0, 700) == Growth(200, 20.0)


def test_the_rate_of_a_count_that_stops_falls_to_zero() -> None:
    """If the workers die, the view must not go on to show their speed."""
    found = rates(lambda second: 10 * min(second, 100), 200)
    assert found[100] == pytest.approx(10.0)
    assert found[138] == pytest.approx(10.0)  # a beat may be late
    assert 0 < (found[150] or 0) < 5
    assert {found[second] for second in range(162, 200, 2)} == {0.0}


def test_a_count_that_never_grows_has_the_rate_zero_after_the_window() -> None:
    """Before the end of the window the count may only be slow."""
    found = rates(lambda _: 7, 100)
    assert {found[second] for second in range(0, 60, 2)} == {None}
    assert {found[second] for second in range(60, 100, 2)} == {0.0}


def test_a_slow_count_is_measured_over_the_step_before_the_window() -> None:
    """With one step every 50 s no minute contains two steps."""
    found = rates(lambda second: 500 * (second // 50), 400)
    assert {round(found[second] or 0, 1) for second in range(110, 400, 50)} == {10.0}


def test_the_rate_is_right_when_a_chunk_is_retried() -> None:
    """The count of a retried chunk starts at 0 again, but the rate must not be negative or zero."""
    found = rates(lambda second: 10 * second if second < 100 else 10 * (second - 100), 200)
    assert all(rate is None or 9 <= rate <= 10.1 for rate in found.values())


# -- views -----------------------------------------------------------------------------------------------------------


def test_the_watch_ends_when_every_chunk_is_completed_or_failed() -> None:
    """A script must be able to go on, and waiting cannot complete failed chunks."""
    last = evolve(overview(3), phases={Status.COMPLETED: {Phase.COMPLETE: 3}, Status.FAILED: {Phase.UPLOAD: 1}})
    found = seen(overview(2, 2), overview(3, 1), last)
    assert [(view.settled, view.chunks) for view in found] == [(2, 4), (3, 4), (4, 4)]


def test_the_watch_reads_every_two_seconds_until_the_end() -> None:
    """This is often enough for users and does not load the database."""
    scene = Scene(iter([overview(0, 1), overview(0, 1), overview(1)]))
    assert len(list(scene.views())) == 3
    assert scene.naps == [2.0, 2.0]


def test_during_an_outage_the_last_overview_is_shown_without_rates() -> None:
    """A restart of the database must not end the watch, and unknown numbers must not be shown."""
    away = View(overview(1, 1), away="the database is away")
    found = seen(overview(1, 1), None, None, overview(2))
    assert found == [View(overview(1, 1)), away, away, View(overview(2))]


def test_a_database_that_is_unreachable_at_the_start_is_an_error() -> None:
    """The setting may name the wrong database."""
    with pytest.raises(StatusUnavailable, match="away"):
        seen(None)


def test_the_time_left_is_shown_once_enough_chunks_have_settled() -> None:
    """With 60 chunks of 40 s each, four at a time, the first chunks alone give no estimate."""
    scene = Scene(iter([]))

    def look() -> Overview:
        done = min(60, 4 * int((scene.now - 1000) // 40))
        running = min(4, 60 - done)
        return overview(done, running, 60 - done - running)

    found = {}
    for view in views(look, BEAT, clock=lambda: scene.now, nap=scene.nap):
        found[scene.now - 1000] = view.left
    assert {left for at, left in found.items() if at < 160} == {None}
    promised = {at: at + left for at, left in found.items() if left}
    assert min(promised) == 160
    assert all(600 - 60 <= end <= 600 + 60 for at, end in promised.items() if at < 600), promised


# -- what is shown ---------------------------------------------------------------------------------------------------


def shown(*finds: Overview | None, as_json: bool = False) -> None:
    """Watch these overviews without waiting."""
    scene = Scene(iter(finds))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pixcore_runners.cli.watch.time.sleep", scene.nap)
        patched.setattr(views, "__kwdefaults__", {"clock": lambda: scene.now, "nap": scene.nap})
        watch(Shell(load(), as_json=as_json, quiet=False, verbose=False), "cats", scene.look)


BUSY = overview(
    1,
    2,
    5,
    accepted=1234,
    workers=2,
    expired=1,
    oldest=150.0,
    errors={"the store is away: \x1b[2J[red]" + "x" * 100: 3, "no valid image of '…'": 1},
    resting=(RestingWorker("host-7:4711", Fault.MACHINE, "the disk is full: \x1b[2J", 90.0),),
)


@pytest.mark.usefixtures("home")
def test_a_pipe_gets_plain_blocks_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each block must be complete, and the text of foreign errors must be escaped."""
    shown(BUSY, overview(8, accepted=4000))
    blocks = [[line.rstrip() for line in block.split("\n")] for block in capsys.readouterr().out.split("cats: ")[1:]]
    assert blocks == [
        [
            "1 of 8 chunks settled",
            "",
            "status      chunks  in phase",
            "pending          5  5 init",
            "processing       2  2 validate",
            "completed        1  1 complete",
            "failed           0",
            "",
            "images   1234 accepted",
            "workers  2 live, the oldest claim is held for 3 min",
            r"resting  host-7:4711 for 90 s, the machine is at fault: the disk is full: \x1b[2J",
            "expired  1, of workers that died: `pixcore reap`, or `pixcore run` again",
            "",
            "chunks  error",
            r"     3  the store is away: \x1b[2J[red]" + "x" * 100,
            "     1  no valid image of '…'",
            "",
            "",
        ],
        [
            "8 of 8 chunks settled",
            "",
            "status      chunks  in phase",
            "pending          0",
            "processing       0",
            "completed        8  8 complete",
            "failed           0",
            "",
            "images   4000 accepted",
            "workers  0 live",
            "",
            "",
        ],
    ]


@pytest.mark.usefixtures("home")
def test_json_is_one_document_a_line_with_equal_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown values must be null, and empty ones must be present."""
    shown(BUSY, overview(8, accepted=4000), as_json=True)
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "version": 1,
        "dataset": "cats",
        "chunks": {"pending": {"init": 5}, "processing": {"validate": 2}, "completed": {"complete": 1}, "failed": {}},
        "accepted": 1234,
        "images_per_second": None,
        "workers": 2,
        "resting": [
            {"worker": "host-7:4711", "fault": "machine", "reason": "the disk is full: \x1b[2J", "seconds": 90.0}
        ],
        "oldest_claim": 150.0,
        "expired_leases": 1,
        "seconds_left": None,
        "errors": [
            {"error": "the store is away: \x1b[2J[red]" + "x" * 100, "chunks": 3},
            {"error": "no valid image of '…'", "chunks": 1},
        ],
    }
    assert list(last) == list(first)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("as_json", [False, True], ids=["lines", "json"])
def test_an_outage_is_reported_once_without_repeating_old_counts(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """Each outage must give one line on standard error and nothing on standard output."""
    shown(overview(0, 1), None, None, None, overview(0, 1), None, overview(1), as_json=as_json)
    captured = capsys.readouterr()
    assert captured.err == "this round failed, the next one follows: the database is away\n" * 2
    assert captured.out.count('"version"' if as_json else "settled") == 3


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the command treat standard output as a terminal of the usual size."""
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("home", "terminal")
def test_a_terminal_shows_one_view_that_is_updated_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    """No line may wrap at 80 columns, the view must show the outage, and the cursor must be shown at the end."""
    shown(BUSY, None, overview(8, accepted=4000))
    out = capsys.readouterr().out
    assert "\x1b[?25l" in out
    assert "\x1b[?25h" in out.rpartition("settled")[2]
    plain = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"\r?\n|\r", out)]
    assert max(map(len, plain)) <= 80
    assert [line[-1] for line in plain if "the store is away" in line] == ["…", "…"]
    assert sum(line.startswith("this round failed") for line in plain) == 1


@pytest.mark.usefixtures("home", "terminal")
def test_no_color_gives_a_view_without_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR must remove the colours but not the cursor movements of the view."""
    monkeypatch.setenv("NO_COLOR", "1")
    shown(BUSY, overview(8))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", capsys.readouterr().out)


@pytest.mark.usefixtures("home", "terminal")
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell of an editor is such a terminal."""
    monkeypatch.setenv("TERM", "dumb")
    shown(overview(0, 1), overview(1))
    out = capsys.readouterr().out
    assert out.count("settled") == 2
    assert "\x1b[?25l" not in out


# -- the command -----------------------------------------------------------------------------------------------------

RUN = ("run", "--source", "folder:photos", "--chunk-size", "2", "--quiet")


def test_a_run_is_watched_to_its_end(home: Path) -> None:
    """The watch must show the final counts of one dataset and of all."""
    fill(home / "photos", 6)
    assert pixcore(*RUN).code == 0
    for words in ((), ("photos",)):
        ran = pixcore("status", *words, "--watch", "--json")
        assert (ran.code, ran.err) == (0, "")
        assert ran.document["chunks"] == {"pending": {}, "processing": {}, "completed": {"complete": 3}, "failed": {}}
        assert (ran.document["accepted"], ran.document["dataset"]) == (6, "".join(words))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere", "--watch"), "no dataset 'nowhere'"),
        (("photos", "--watch", "--duplicates"), "exclude each other"),
    ],
    ids=["unknown", "both"],
)
def test_an_invalid_watch_is_refused(words: tuple[str, ...], message: str) -> None:
    """A watch of an unknown dataset would never end."""
    ran = pixcore("status", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.fixture
def unfinished(home: Path) -> SqlStatusRepo:
    """Return the status database of a dataset of three chunks, one of which is pending."""
    fill(home / "photos", 6)
    assert pixcore(*RUN).code == 0
    repo = SqlStatusRepo(f"sqlite:///{home}/pixcore-data/status.db")
    repo.reopen(next(repo.find("photos")).chunk.key)
    return repo


@pytest.mark.usefixtures("unfinished")
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["lines", "json"])
def test_ctrl_c_ends_the_watch_with_130_and_no_message(as_json: tuple[str, ...]) -> None:
    """In `pixcore status cats --watch && next` the next command must not run on an unfinished dataset."""
    with start("status", "photos", "--watch", *as_json) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # the watch has begun
        process.send_signal(signal.SIGINT)
        ran = ended(process)
    assert (ran.code, ran.err) == (130, "")


def test_a_watch_shows_the_work_of_another_process(unfinished: SqlStatusRepo) -> None:
    """The watch must end when the other process has completed the dataset."""
    with start("status", "photos", "--watch", "--json") as process:
        assert process.stdout is not None
        assert sum(json.loads(process.stdout.readline())["chunks"]["pending"].values()) == 1
        assert pixcore(*RUN).code == 0
        ran = ended(process)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out.splitlines()[-1])["chunks"]["completed"] == {"complete": 3}
    assert {record.status for record in unfinished.find("photos")} == {Status.COMPLETED}


@pytest.mark.usefixtures("unfinished")
def test_ctrl_c_shows_the_cursor_of_the_terminal_again() -> None:
    """A terminal without a cursor would be hard to use after the watch."""
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with start("status", "photos", "--watch", stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        output = _read_until(ours, b"settled")
        process.send_signal(signal.SIGINT)
        output += _read_until(ours, b"\x1b[?25h")
        assert process.wait(30) == 130
    os.close(ours)
    assert b"\x1b[?25l" in output


def _read_until(terminal: int, wanted: bytes) -> bytes:
    output = b""
    while wanted not in output:
        output += os.read(terminal, 65536)
    return output
