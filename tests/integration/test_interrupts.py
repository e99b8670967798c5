"""What Ctrl-C, SIGTERM and kill -9 leave behind of a real run: nothing that the next run does not put right."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import at_home, ended, fill, pixcore, start
from pictures import encoded
from PIL import Image

from pixcore import ChunkRecord, Status
from pixcore_runners.assembly.assembly import assemble
from pixcore_runners.settings import load_here

RUN = ("run", "--source", "folder:photos", "--chunk-size", "4", "--json")

# Keeps a decoder busy for half a second, so that a chunk of them can be met in the middle.
HEAVY = encoded(Image.new("RGB", (7000, 7000), "teal"))

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with photos for three chunks, of which the second takes long."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.setenv("PIXCORE_LEASE_TTL", "600")  # longer than any test: see expire_leases
    fill(tmp_path / "photos", 12)
    for number in range(4, 8):
        (tmp_path / f"photos/{number:04}.jpg").write_bytes(HEAVY)
    return tmp_path


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts a command and waits until it says something; a failed test leaves none running."""
    started: list[subprocess.Popen[str]] = []

    def begin(text: str, *words: object, **options: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - any of Popen's
        process = start(*words, **options)
        started.append(process)
        heard(process, text)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def heard(process: "subprocess.Popen[str]", text: str) -> None:
    """Read standard error until a line holds the text."""
    assert process.stderr is not None
    assert any(text in line for line in iter(process.stderr.readline, ""))


def decoders(process: "subprocess.Popen[str]") -> list[int]:
    """The children of a run."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def family(pid: int) -> list[int]:
    """All that descend from a process."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)  # 1: there are none
    children = [int(child) for child in found.stdout.split()]
    return children + [pid for child in children for pid in family(child)]


@contextmanager
def hanging(process: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """Keep the decoders of a run from going on."""
    children = decoders(process)
    for child in children:
        os.kill(child, signal.SIGSTOP)
    try:
        yield children
    finally:
        for child in children:
            os.kill(child, signal.SIGCONT)


def await_true(true: Callable[[], bool]) -> None:
    """Wait until something in another process has come about."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def await_end(pids: list[int]) -> None:
    """Wait until these processes are no more."""
    ask = ["ps", "-p", ",".join(map(str, pids))]
    await_true(lambda: not pids or subprocess.run(ask, capture_output=True, check=False).returncode != 0)


def expire_leases(home: Path) -> None:
    """Let the leases of killed processes expire, whatever the time."""
    with closing(sqlite3.connect(home / "pixcore-data/status.db")) as database, database:
        database.execute("UPDATE pixcore_chunks SET lease_expires_at = 0 WHERE status = 'processing'")


def records(dataset: str = "photos") -> list[ChunkRecord]:
    """The chunks of a dataset in the status database."""
    return list(assemble(load_here().settings).status.find(dataset))


def work_directories(home: Path) -> list[Path]:
    """Those of chunks."""
    return list((home / "work").glob("chunk-*"))


def archived(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a chunk's archive, which is as recorded."""
    archive = Path(chunk["url"].removeprefix("file://"))
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == chunk["sha256"]
    with zipfile.ZipFile(archive) as members:
        return [json.loads(line) for line in members.read("metadata.jsonl").splitlines()]


def completes(home: Path) -> None:
    """Run again: every chunk is full, every photo there once, every archive as recorded, nothing else left."""
    fill(home / "photos", 12)
    ran = pixcore(*RUN)
    assert ran.code == 0
    urls = []
    for chunk in ran.chunks:
        urls += [row["url"] for row in archived(chunk)]
    assert urls == [f"{number:04}.jpg" for number in range(12)]
    assert len(list(home.rglob("*.zip"))) == 3
    assert not work_directories(home)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_gives_its_chunk_back(home: Path, begin: Begin, number: signal.Signals) -> None:
    """Exit code 130, no failure counted, nothing left in the work directory, no decoder alive; then it goes on."""
    process = begin("chunk 2: started", *RUN)
    children = decoders(process)
    process.send_signal(number)
    ran = ended(process)
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.splitlines()[0] == "stopping: running chunks are given back; press Ctrl-C again to kill"
    assert ran.err.splitlines()[-1] == (
        "pixcore: interrupted; finished work is kept, run the same command again to continue"
    )
    await_end(children)
    assert [(record.status, record.attempt, record.failures) for record in records()] == [
        (Status.COMPLETED, 1, 0),
        (Status.PENDING, 1, 0),
        (Status.PENDING, 0, 0),
    ]
    assert not work_directories(home)
    completes(home)
    assert [record.attempt for record in records()] == [1, 2, 1]


def test_a_second_interrupt_kills(home: Path, begin: Begin) -> None:
    """Even a run that hangs; the lease gives its chunk back."""
    process = begin("chunk 2: started", *RUN)
    with hanging(process) as children:
        process.send_signal(signal.SIGINT)
        heard(process, "press Ctrl-C again to kill")
        process.send_signal(signal.SIGINT)
        assert ended(process).code == -signal.SIGINT
    await_end(children)
    expire_leases(home)
    completes(home)


def test_a_killed_run_is_taken_over(home: Path, begin: Begin) -> None:
    """After kill -9 the chunk comes free with its lease, the work directory is swept, and nothing is done twice."""
    process = begin("chunk 2: started", *RUN)
    children = decoders(process)
    process.kill()
    assert ended(process).code == -signal.SIGKILL
    await_end(children)
    assert len(work_directories(home)) == 1
    assert [record.status for record in records()] == [Status.COMPLETED, Status.PROCESSING, Status.PENDING]
    first = {path: path.stat().st_mtime_ns for path in home.rglob("chunk_*.zip")}
    assert first
    expire_leases(home)
    completes(home)
    assert [(record.attempt, record.failures) for record in records()] == [(1, 0), (2, 1), (1, 0)]
    assert {path: path.stat().st_mtime_ns for path in first} == first


def test_all_workers_of_an_interrupted_run_give_back(home: Path, begin: Begin) -> None:
    """A terminal's Ctrl-C reaches every process; as with one, no failure is counted and nobody is left."""
    process = begin(" started", *RUN, "--workers", 2, process_group=0)
    members = family(process.pid)
    with hanging(process):  # so that no chunk ends before the signal
        os.killpg(process.pid, signal.SIGINT)
        heard(process, "stopping:")
    ran = ended(process)
    assert (ran.code, ran.out, "stopping:" in ran.err, "Traceback" in ran.err) == (130, "", False, False)
    await_end(members)
    assert Status.PROCESSING not in [record.status for record in records()]
    assert [record.failures for record in records()] == [0, 0, 0]
    assert not work_directories(home)
    completes(home)


@pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGTERM, signal.SIGTERM]], ids=["kill -9", "twice"])
def test_no_worker_outlives_its_run(home: Path, begin: Begin, signals: list[signal.Signals]) -> None:
    """Nor do their decoders; what they had in hand comes free with its lease."""
    process = begin("chunk 2: started", *RUN, "--workers", 2)
    members = family(process.pid)
    assert len(members) >= 3  # a worker, its decoder and ours
    process.send_signal(signals[0])
    for number in signals[1:]:
        heard(process, "press Ctrl-C again to kill")
        process.send_signal(number)
    assert ended(process).code == -signals[-1]
    await_end(members)
    expire_leases(home)
    completes(home)


def test_what_a_killed_run_had_claimed_is_free_again(home: Path, begin: Begin) -> None:
    """A picture of two chunks blocks neither its own chunk's rerun nor the other for ever: one archive has it."""
    fill(home / "photos", 12)
    shutil.copy(home / "photos/0000.jpg", home / "photos/0008.jpg")
    (home / "photos/0001.jpg").write_bytes(HEAVY)
    process = begin("chunk 1: started", *RUN)
    with sqlite3.connect(home / "pixcore-data/status.db") as database:
        await_true(lambda: bool(database.execute("SELECT 1 FROM pixcore_seen_images").fetchall()))
    process.kill()
    ended(process)
    expire_leases(home)
    ran = pixcore(*RUN)
    assert (ran.code, [chunk["status"] for chunk in ran.chunks]) == (3, ["completed"] * 3)
    rows = [row for chunk in ran.chunks for row in archived(chunk)]
    assert [row["url"] for row in rows if row["url"] in ("0000.jpg", "0008.jpg")] in (["0000.jpg"], ["0008.jpg"])
    assert len({row["sha256"] for row in rows}) == len(rows)


def test_a_live_run_keeps_its_work_directory(home: Path, begin: Begin) -> None:
    """Another one that starts and ends meanwhile sweeps the dead ones' only."""
    with hanging(begin("chunk 2: started", *RUN)):
        (held,) = work_directories(home)
        (home / "work/chunk-dead").mkdir()
        fill(home / "others", 2)
        assert pixcore("run", "--source", "folder:others").code == 0
        assert work_directories(home) == [held]


def test_two_runs_of_one_dataset_share_the_work(home: Path) -> None:
    """Every chunk once, by whichever; both wait for the end and print the same."""
    fill(home / "photos", 12)
    both = [ended(process) for process in [start(*RUN, "--chunk-size", 2) for _ in range(2)]]
    assert [ran.code for ran in both] == [0, 0]
    assert both[0].out == both[1].out
    assert [(chunk["attempt"], chunk["accepted"]) for chunk in both[0].chunks] == [(1, 2)] * 6


def test_a_run_whose_progress_nobody_reads_any_more_stops_quietly(home: Path, begin: Begin) -> None:
    """As in ``pixcore run 2>&1 | head -1``: its next word ends it, and the next run goes on."""
    fill(home / "photos", 12)
    process = begin("chunk 1: started", *RUN)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(60) == 1
    assert Status.PENDING in [record.status for record in records()]
    assert not work_directories(home)
    completes(home)
