"""After Ctrl-C, SIGTERM or kill -9 of a real run, the next run must complete the dataset."""

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

# Keeps a decoder busy for half a second, so that a signal arrives in the middle of a chunk of these.
HEAVY = encoded(Image.new("RGB", (7000, 7000), "teal"))

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with photos for three chunks, of which the second takes long."""
    at_home(tmp_path, monkeypatch)
    monkeypatch.setenv("PIXCORE_LEASE_TTL", "600")  # longer than any test: see expire_leases
    fill(tmp_path / "photos", 12)
    for number in range(4, 8):
        (tmp_path / f"photos/{number:04}.jpg").write_bytes(HEAVY)
    return tmp_path


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Return a function that starts a command and waits for its output; kill all commands after the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(text: str, *words: object, **options: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - any of Popen's
        process = start(*words, **options)
        started.append(process)
        await_output(process, text)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def await_output(process: "subprocess.Popen[str]", text: str) -> None:
    """Read standard error until a line contains the text."""
    assert process.stderr is not None
    assert any(text in line for line in iter(process.stderr.readline, ""))


def decoders(process: "subprocess.Popen[str]") -> list[int]:
    """Return the children of a run."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def family(pid: int) -> list[int]:
    """Return all descendants of a process."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)  # exit code 1: none
    children = [int(child) for child in found.stdout.split()]
    return children + [pid for child in children for pid in family(child)]


@contextmanager
def hanging(process: "subprocess.Popen[str]") -> Iterator[list[int]]:
    """Stop the decoders of a run while the block runs."""
    children = decoders(process)
    for child in children:
        os.kill(child, signal.SIGSTOP)
    try:
        yield children
    finally:
        for child in children:
            os.kill(child, signal.SIGCONT)


def await_true(true: Callable[[], bool]) -> None:
    """Wait until a condition of another process is true."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def await_end(pids: list[int]) -> None:
    """Wait until these processes have ended."""
    command = ["ps", "-p", ",".join(map(str, pids))]
    await_true(lambda: not pids or subprocess.run(command, capture_output=True, check=False).returncode != 0)


def expire_leases(home: Path) -> None:
    """Let the leases of killed processes expire at once."""
    with closing(sqlite3.connect(home / "pixcore-data/status.db")) as database, database:
        database.execute("UPDATE pixcore_chunks SET lease_expires_at = 0 WHERE status = 'processing'")


def records(dataset: str = "photos") -> list[ChunkRecord]:
    """Return the records of a dataset in the status database."""
    return list(assemble(load_here().settings).status.find(dataset))


def work_directories(home: Path) -> list[Path]:
    """Return the work directories of chunks."""
    return list((home / "work").glob("chunk-*"))


def archived(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a chunk's archive, after a check of its checksum."""
    archive = Path(chunk["url"].removeprefix("file://"))
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == chunk["sha256"]
    with zipfile.ZipFile(archive) as members:
        return [json.loads(line) for line in members.read("rows.jsonl").splitlines()]


def check_next_run_completes(home: Path) -> None:
    """Run again; check that every photo is in one archive, every archive is as recorded, and nothing else is left."""
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
    """The exit code must be 130, with no counted failure, no leftover and no decoder alive; the next run continues."""
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
    check_next_run_completes(home)
    assert [record.attempt for record in records()] == [1, 2, 1]


def test_a_second_interrupt_kills(home: Path, begin: Begin) -> None:
    """It must kill even a run that hangs, whose chunk is free again after its lease."""
    process = begin("chunk 2: started", *RUN)
    with hanging(process) as children:
        process.send_signal(signal.SIGINT)
        await_output(process, "press Ctrl-C again to kill")
        process.send_signal(signal.SIGINT)
        assert ended(process).code == -signal.SIGINT
    await_end(children)
    expire_leases(home)
    check_next_run_completes(home)


def test_the_next_run_takes_over_from_a_killed_one(home: Path, begin: Begin) -> None:
    """After kill -9 the chunk is free after its lease, the work directory is swept, and no chunk runs twice."""
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
    check_next_run_completes(home)
    assert [(record.attempt, record.failures) for record in records()] == [(1, 0), (2, 1), (1, 0)]
    assert {path: path.stat().st_mtime_ns for path in first} == first


def test_all_workers_of_an_interrupted_run_give_their_chunks_back(home: Path, begin: Begin) -> None:
    """Ctrl-C of a terminal reaches every process; no failure may be counted and no process left."""
    process = begin(" started", *RUN, "--workers", 2, process_group=0)
    members = family(process.pid)
    with hanging(process):  # so that no chunk ends before the signal
        os.killpg(process.pid, signal.SIGINT)
        await_output(process, "stopping:")
    ran = ended(process)
    assert (ran.code, ran.out, "stopping:" in ran.err, "Traceback" in ran.err) == (130, "", False, False)
    await_end(members)
    assert Status.PROCESSING not in [record.status for record in records()]
    assert [record.failures for record in records()] == [0, 0, 0]
    assert not work_directories(home)
    check_next_run_completes(home)


@pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGTERM, signal.SIGTERM]], ids=["kill -9", "twice"])
def test_no_worker_outlives_its_run(home: Path, begin: Begin, signals: list[signal.Signals]) -> None:
    """Workers and their decoders must end with the run, and their chunks are free after their leases."""
    process = begin("chunk 2: started", *RUN, "--workers", 2)
    members = family(process.pid)
    assert len(members) >= 3  # a worker, its decoder and that of the main process
    process.send_signal(signals[0])
    for number in signals[1:]:
        await_output(process, "press Ctrl-C again to kill")
        process.send_signal(number)
    assert ended(process).code == -signals[-1]
    await_end(members)
    expire_leases(home)
    check_next_run_completes(home)


def test_images_held_by_a_killed_run_are_free_again(home: Path, begin: Begin) -> None:
    """A picture of two chunks must end up in exactly one of their archives."""
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
    assert (ran.code, [chunk["status"] for chunk in ran.chunks]) == (0, ["completed"] * 3)
    rows = [row for chunk in ran.chunks for row in archived(chunk)]
    assert [row["url"] for row in rows if row["url"] in ("0000.jpg", "0008.jpg")] in (["0000.jpg"], ["0008.jpg"])
    assert len({row["sha256"] for row in rows}) == len(rows)


def test_a_live_run_keeps_its_work_directory(home: Path, begin: Begin) -> None:
    """Another run that starts and ends meanwhile must sweep only directories of dead processes."""
    with hanging(begin("chunk 2: started", *RUN)):
        (held,) = work_directories(home)
        (home / "work/chunk-dead").mkdir()
        fill(home / "others", 2)
        assert pixcore("run", "--source", "folder:others").code == 0
        assert work_directories(home) == [held]


def test_two_runs_of_one_dataset_share_the_work(home: Path) -> None:
    """Every chunk must run once in either of them, and both must wait for the end and print the same."""
    fill(home / "photos", 12)
    both = [ended(process) for process in [start(*RUN, "--chunk-size", 2) for _ in range(2)]]
    assert [ran.code for ran in both] == [0, 0]
    assert both[0].out == both[1].out
    assert [(chunk["attempt"], chunk["accepted"]) for chunk in both[0].chunks] == [(1, 2)] * 6


def test_a_closed_pipe_for_progress_ends_the_run_quietly(home: Path, begin: Begin) -> None:
    """In ``pixcore run 2>&1 | head -1`` the next line of progress ends the run, and the next run continues."""
    fill(home / "photos", 12)
    process = begin("chunk 1: started", *RUN)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(60) == 1
    assert Status.PENDING in [record.status for record in records()]
    assert not work_directories(home)
    check_next_run_completes(home)
