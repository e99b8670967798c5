"""``pixcore status --watch``: true numbers, shown on a terminal, in a pipe and to programs, until all is settled."""

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

from pixcore import Overview, Status, StatusUnavailable
from pixcore.model.chunks import Phase
from pixcore_adapters.status_repo.sql import SqlStatusRepo
from pixcore_runners.cli.pace import Growth, Pace
from pixcore_runners.cli.shell import Shell
from pixcore_runners.cli.watch import View, views, watch
from pixcore_runners.settings import load

BEAT = 20.0
EMPTY = Overview(phases={}, accepted=0, workers=0, expired=0, oldest=0.0, errors={})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder, no terminal."""
    at_home(tmp_path, monkeypatch)
    return tmp_path


def overview(done: int = 0, running: int = 0, waiting: int = 0, **others: object) -> Overview:
    """So many chunks in each state."""
    phases = {
        Status.PENDING: {Phase.INIT: waiting},
        Status.PROCESSING: {Phase.VALIDATE: running},
        Status.COMPLETED: {Phase.COMPLETE: done},
    }
    return evolve(EMPTY, phases={status: found for status, found in phases.items() if any(found.values())}, **others)


@define
class Scene:
    """A status database of which each look finds the next of these, or nobody; and a clock that naps turn."""

    finds: Iterator[Overview | None]
    now: float = 1000.0
    naps: list[float] = field(factory=list)

    def look(self) -> Overview:
        """Find what is next."""
        found = next(self.finds)
        if found is None:
            raise StatusUnavailable("the database is away")
        return found

    def nap(self, seconds: float) -> None:
        """Let time pass."""
        self.naps.append(seconds)
        self.now += seconds

    def views(self, beat: float = BEAT) -> Iterator[View]:
        """What is seen of it."""
        return views(self.look, beat, clock=lambda: self.now, nap=self.nap)


def seen(*finds: Overview | None) -> list[View]:
    """All views of these."""
    return list(Scene(iter(finds)).views())


# -- pace ------------------------------------------------------------------------------------------------------------


def rates(count: Callable[[int], int], until: int, every: int = 2) -> dict[int, float | None]:
    """What is told of a count at each look, by its time."""
    pace = Pace(60.0, BEAT)
    told = {second: pace.look(second, count(second)) for second in range(0, until, every)}
    return {second: growth.rate if growth else None for second, growth in told.items()}


@pytest.mark.parametrize("step", [1, 5, 20], ids=lambda step: f"every{step}")
@pytest.mark.parametrize("offset", [0, 7, 13])
def test_a_count_that_grows_in_steps_has_the_rate_that_it_really_has(step: int, offset: int) -> None:
    """Running chunks note their images every 20 s: neither 0 nor all of them at once is how fast it goes."""
    found = rates(lambda second: 10 * step * ((second + offset) // step), 300)
    known = {second: rate for second, rate in found.items() if rate is not None}
    assert min(known) <= 2 * BEAT + 2
    assert max(second for second in found if second not in known) < min(known)
    assert all(8.5 <= rate <= 11.5 for rate in known.values()), known


def test_nothing_is_told_of_less_than_a_beat() -> None:
    """The first step holds what was done before anybody looked."""
    pace = Pace(60.0, BEAT)
    assert [pace.look(at, count) for at, count in ((0.0, 0), (1.0, 500), (3.0, 510), (20.9, 520))] == [None] * 4
    assert pace.look(21.0, 700) == Growth(200, 20.0)


def test_a_count_that_stands_still_slows_down_to_nothing() -> None:
    """When the workers die, the view must not go on promising their speed."""
    found = rates(lambda second: 10 * min(second, 100), 200)
    assert found[100] == pytest.approx(10.0)
    assert found[138] == pytest.approx(10.0)  # a beat may be late
    assert 0 < (found[150] or 0) < 5
    assert {found[second] for second in range(162, 200, 2)} == {0.0}


def test_a_count_that_never_grows_is_known_to_stand_still_after_the_window() -> None:
    """Before, it may only be slow."""
    found = rates(lambda _: 7, 100)
    assert {found[second] for second in range(0, 60, 2)} == {None}
    assert {found[second] for second in range(60, 100, 2)} == {0.0}


def test_a_slow_count_is_measured_over_the_step_before_the_window() -> None:
    """One step every 50 s is never two in a minute."""
    found = rates(lambda second: 500 * (second // 50), 400)
    assert {round(found[second] or 0, 1) for second in range(110, 400, 50)} == {10.0}


def test_work_that_is_done_again_is_neither_lost_nor_gained_twice() -> None:
    """A retried chunk's count begins at nothing again: the rate is never negative, nor a minute of zero."""
    found = rates(lambda second: 10 * second if second < 100 else 10 * (second - 100), 200)
    assert all(rate is None or 9 <= rate <= 10.1 for rate in found.values())


# -- views -----------------------------------------------------------------------------------------------------------


def test_it_ends_by_itself_when_every_chunk_is_completed_or_failed() -> None:
    """So that what comes next in a script comes next; failed ones need a person, not time."""
    last = evolve(overview(3), phases={Status.COMPLETED: {Phase.COMPLETE: 3}, Status.FAILED: {Phase.UPLOAD: 1}})
    found = seen(overview(2, 2), overview(3, 1), last)
    assert [(view.settled, view.chunks) for view in found] == [(2, 4), (3, 4), (4, 4)]


def test_it_looks_every_other_second_and_not_after_the_end() -> None:
    """Often enough for people, seldom enough for the database."""
    scene = Scene(iter([overview(0, 1), overview(0, 1), overview(1)]))
    assert len(list(scene.views())) == 3
    assert scene.naps == [2.0, 2.0]


def test_a_database_that_is_away_is_waited_for_and_the_rest_is_shown_as_it_was() -> None:
    """A restart of it ends no watch; numbers that nobody can know then are not shown."""
    away = View(overview(1, 1), away="the database is away")
    found = seen(overview(1, 1), None, None, overview(2))
    assert found == [View(overview(1, 1)), away, away, View(overview(2))]


def test_a_database_that_is_away_from_the_start_is_an_error() -> None:
    """It may be the wrong one."""
    with pytest.raises(StatusUnavailable, match="away"):
        seen(None)


def test_the_time_left_is_told_once_enough_chunks_have_settled() -> None:
    """Four at a time, each 40 s long, 60 in all: in waves, and so not from the first ones."""
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
    """Watch these without waiting."""
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
)


@pytest.mark.usefixtures("home")
def test_a_pipe_gets_plain_blocks_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each can be read by itself, nothing is cut, and no stranger's text steers a terminal."""
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
def test_programs_get_one_document_a_line_of_one_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not known is null; what is empty is there."""
    shown(BUSY, overview(8, accepted=4000), as_json=True)
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "version": 1,
        "dataset": "cats",
        "chunks": {"pending": {"init": 5}, "processing": {"validate": 2}, "completed": {"complete": 1}, "failed": {}},
        "accepted": 1234,
        "images_per_second": None,
        "workers": 2,
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
def test_an_outage_is_said_once_and_shows_nothing_old_as_new(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """Three looks in vain, twice: two lines on standard error, and only what was found on standard output."""
    shown(overview(0, 1), None, None, None, overview(0, 1), None, overview(1), as_json=as_json)
    captured = capsys.readouterr()
    assert captured.err == "this round failed, the next one follows: the database is away\n" * 2
    assert captured.out.count('"version"' if as_json else "settled") == 3


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is taken for a terminal of the usual size."""
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("home", "terminal")
def test_a_terminal_gets_one_view_that_is_renewed_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is folded at 80 columns, the outage is part of the view, and the cursor comes back."""
    shown(BUSY, None, overview(8, accepted=4000))
    out = capsys.readouterr().out
    assert "\x1b[?25l" in out
    assert "\x1b[?25h" in out.rpartition("settled")[2]
    plain = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"\r?\n|\r", out)]
    assert max(map(len, plain)) <= 80
    assert [line[-1] for line in plain if "the store is away" in line] == ["…", "…"]
    assert sum(line.startswith("this round failed") for line in plain) == 1


@pytest.mark.usefixtures("home", "terminal")
def test_no_colour_is_heeded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A view is renewed by moving the cursor; colours are another matter."""
    monkeypatch.setenv("NO_COLOR", "1")
    shown(BUSY, overview(8))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", capsys.readouterr().out)


@pytest.mark.usefixtures("home", "terminal")
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an editor's shell."""
    monkeypatch.setenv("TERM", "dumb")
    shown(overview(0, 1), overview(1))
    out = capsys.readouterr().out
    assert out.count("settled") == 2
    assert "\x1b[?25l" not in out


# -- the command -----------------------------------------------------------------------------------------------------

RUN = ("run", "--source", "folder:photos", "--chunk-size", "2", "--quiet")


def test_a_run_is_watched_to_its_end(home: Path) -> None:
    """On a real database, beside the run, by name and all datasets together."""
    fill(home / "photos", 6)
    assert pixcore(*RUN).code == 0
    for words in ((), ("photos",)):
        ran = pixcore("status", *words, "--watch", "--json")
        assert (ran.code, ran.err) == (0, "")
        assert ran.document["chunks"] == {"pending": {}, "processing": {}, "completed": {"complete": 3}, "failed": {}}
        assert (ran.document["accepted"], ran.document["dataset"]) == (6, "".join(words))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere", "--watch"), "no dataset 'nowhere'"),
        (("photos", "--watch", "--duplicates"), "exclude each other"),
    ],
    ids=["unknown", "both"],
)
def test_what_cannot_be_watched_is_refused(words: tuple[str, ...], said: str) -> None:
    """Rather than watched for ever."""
    ran = pixcore("status", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.fixture
def unfinished(home: Path) -> SqlStatusRepo:
    """The status database of a dataset of three chunks, one of which is still to be done."""
    fill(home / "photos", 6)
    assert pixcore(*RUN).code == 0
    repo = SqlStatusRepo(f"sqlite:///{home}/pixcore-data/status.db")
    repo.reopen(next(repo.find("photos")).chunk.key)
    return repo


@pytest.mark.usefixtures("unfinished")
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["lines", "json"])
def test_ctrl_c_ends_it_quietly_with_130(as_json: tuple[str, ...]) -> None:
    """Not 0: `pixcore status cats --watch && next` must not go on with what is not settled."""
    with start("status", "photos", "--watch", *as_json) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # it watches
        process.send_signal(signal.SIGINT)
        ran = ended(process)
    assert (ran.code, ran.err) == (130, "")


def test_a_watch_sees_what_another_process_does(unfinished: SqlStatusRepo) -> None:
    """And ends when that is done."""
    with start("status", "photos", "--watch", "--json") as process:
        assert process.stdout is not None
        assert sum(json.loads(process.stdout.readline())["chunks"]["pending"].values()) == 1
        assert pixcore(*RUN).code == 0
        ran = ended(process)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out.splitlines()[-1])["chunks"]["completed"] == {"complete": 3}
    assert {record.status for record in unfinished.find("photos")} == {Status.COMPLETED}


@pytest.mark.usefixtures("unfinished")
def test_ctrl_c_gives_the_terminal_its_cursor_back() -> None:
    """On a real terminal."""
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with start("status", "photos", "--watch", stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        said = _read_until(ours, b"settled")
        process.send_signal(signal.SIGINT)
        said += _read_until(ours, b"\x1b[?25h")
        assert process.wait(30) == 130
    os.close(ours)
    assert b"\x1b[?25l" in said


def _read_until(terminal: int, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said:
        said += os.read(terminal, 65536)
    return said
