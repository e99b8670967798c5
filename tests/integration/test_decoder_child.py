"""Decoder children: whatever a file does to a child, the worker survives and no process is left."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from textwrap import dedent, indent
from typing import NoReturn

import pytest
from pictures import animation, encoded, exif_with_thumbnail, photo, plain_png, postscript, scan_bomb
from PIL import Image

from pixcore.errors import InvalidRequest, TransientError
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download, Rejected, RejectReason
from pixcore_adapters.validator.decoder import Decoder
from pixcore_adapters.validator.picture import Limits, Picture, Refusal
from pixcore_adapters.validator.pillow import PillowValidator

GIB = 1 << 30
Write = Callable[..., Download]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes bytes to a file, like a downloader."""

    def write(data: bytes, name: str = "0.jpg") -> Download:
        path = tmp_path / name
        path.write_bytes(data)
        return Download(Candidate(CandidateKey("test", "", 0), name), path, len(data), datetime.now(UTC))

    return write


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    """Return a decoder for a test that changes the child or its environment."""
    with closing(Decoder(Limits(), seconds=10.0, memory=GIB)) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def hardened() -> Iterator[Decoder]:
    """Return one decoder with a short deadline for all crafted files."""
    with closing(Decoder(Limits(), seconds=2.0, memory=GIB)) as decoder:
        yield decoder


@pytest.fixture
def bmp_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that plants code which later children run when they decode a BMP."""

    def plant(code: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "from PIL.BmpImagePlugin import BmpImageFile\ndef load(self):\n"
            + indent(dedent(code), "    ")
            + "\nBmpImageFile.load = load\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    return plant


def pid(decoder: Decoder) -> int:
    """Return the child's process id."""
    assert decoder._process
    return decoder._process.pid


def children(validator: PillowValidator) -> list[int]:
    """Return the process ids of the validator's children."""
    return [decoder._process.pid for decoder in validator.children.all if decoder._process]


def decode(decoder: Decoder, download: Download) -> Picture | Refusal:
    """Decode a file; return the outcome."""
    decoder.give(download.path)
    return decoder.take()


def reason_of(verdict: Accepted | Rejected) -> str:
    """Return ``accepted`` or the reason of the rejection."""
    return str(verdict.reason) if isinstance(verdict, Rejected) else "accepted"


def has_ended(process: int, seconds: float) -> bool:
    """Return whether the process of a descriptor ends within some seconds."""
    ending = select.poll()
    ending.register(process, select.POLLIN)
    return bool(ending.poll(1_000 * seconds))


def alive(process: int) -> bool:
    """Return whether the process exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (scan_bomb(8000), RejectReason.TOO_MANY_SCANS),
        (plain_png(1, 60_000_000), RejectReason.TOO_MANY_PIXELS),
        (plain_png(50, 999_999), RejectReason.TOO_MANY_PIXELS),
        (plain_png(13_350, 13_350), RejectReason.TOO_MANY_PIXELS),
        (animation(300), RejectReason.TOO_MANY_FRAMES),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", RejectReason.NOT_AN_IMAGE),
        (encoded(photo(1), exif=exif_with_thumbnail(1))[:-2000], RejectReason.DAMAGED),
    ],
    ids=["scans", "1 x 60 M", "50 x 1 M", "178 MP", "300 frames", "HTML", "truncated"],
)
def test_crafted_files_cost_neither_time_nor_memory(
    hardened: Decoder, write: Write, data: bytes, reason: RejectReason
) -> None:
    """Each file must be refused within 2 seconds, and the peak of memory over all of them be below 300 MB."""
    outcome = decode(hardened, write(data))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == reason
    peak = next(line for line in Path(f"/proc/{pid(hardened)}/status").read_text().splitlines() if "VmHWM" in line)
    assert int(peak.split()[1]) < 300_000


def test_a_child_that_was_started_early_is_used(write: Write) -> None:
    """The child has imported its libraries during planning, which a second child would waste."""
    with PillowValidator(workers=1) as validator:
        validator.start()
        early = children(validator)
        assert reason_of(next(validator.validate([write(encoded(photo(1)))]))) == "accepted"
        assert children(validator) == early
        assert len(early) == 1
    assert not any(map(alive, early))


def test_postscript_starts_no_ghostscript(
    decoder: Decoder, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow alone would pass a file with the content of an EPS to ``gs``, whatever its name."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    outcome = decode(decoder, write(postscript()))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == RejectReason.FORMAT
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; subprocess.run(['touch', {!r}])",
        "import os; os.system('touch ' + {!r})",
        "import os; os.posix_spawn('/bin/touch', ['touch', {!r}], {{}})",
        "import os; os.fork() or open({!r}, 'w')",
        "import socket; socket.socket(); open({!r}, 'w')",
    ],
)
def test_a_codec_starts_no_program_and_opens_no_socket(
    decoder: Decoder, write: Write, tmp_path: Path, bmp_codec: Callable[[str], None], code: str
) -> None:
    """The kernel must refuse this even to a codec that was taken over."""
    bmp_codec(code.format(str(tmp_path / "started")))
    assert isinstance(decode(decoder, write(encoded(photo(1), "BMP"))), Refusal)
    assert not (tmp_path / "started").exists()


def test_a_crash_rejects_only_one_file(decoder: Decoder, write: Write, bmp_codec: Callable[[str], None]) -> None:
    """A codec that segfaults ends its child, and the next file must get a new one."""
    bmp_codec("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    good, bad = write(encoded(photo(1))), write(encoded(photo(1), "BMP"), "1.bmp")
    assert isinstance(decode(decoder, good), Picture)
    first = pid(decoder)
    assert decode(decoder, bad) == Refusal(RejectReason.DECODER_DIED, "the decoder ended with SIGSEGV")
    assert isinstance(decode(decoder, good), Picture)
    assert pid(decoder) != first


@pytest.mark.parametrize("codec", ["import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "while True: pass"])
def test_only_the_file_that_ends_a_child_is_rejected(
    write: Write, bmp_codec: Callable[[str], None], codec: str
) -> None:
    """A child gets several files ahead, and those behind one that crashes or hangs must still be decoded."""
    bmp_codec(codec)
    bad, *good = write(encoded(photo(1), "BMP"), "bad"), *(write(encoded(photo(n)), f"{n}.jpg") for n in (1, 2))
    with closing(Decoder(Limits(), seconds=1.0, memory=GIB)) as decoder:
        for download in (good[0], bad, good[1]):
            decoder.give(download.path)
        assert [type(decoder.take()) for _ in range(3)] == [Picture, Refusal, Picture]


def test_a_preview_in_the_middle_of_a_validation_changes_no_verdict(
    write: Write, bmp_codec: Callable[[str], None]
) -> None:
    """A selection asks for previews between two verdicts, and while the validator draws its next download."""
    bmp_codec("import os; os._exit(1)")
    good = [write(encoded(photo(number, 400, 300)), f"{number}.jpg") for number in range(6)]
    crash = write(encoded(photo(9), "BMP"), "9.bmp").path
    pictures: list[bytes] = []
    with PillowValidator(workers=1) as validator:

        def drawn() -> Iterator[Download]:
            for download in good:
                yield download
                pictures.append(validator.preview(good[0].path))

        verdicts = []
        for verdict in validator.validate(drawn()):
            verdicts.append(verdict)
            if len(verdicts) == 2:
                assert validator.preview(crash) == b""
        assert validator.preview(good[0].path) == pictures[0]
    assert [verdict.download for verdict in verdicts] == good
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert len(validator.children.all) == 1
    assert len(set(pictures)) == 1
    assert pictures[0].startswith(b"RIFF")
    assert len(pictures[0]) <= 4096


def test_an_interrupt_does_not_mix_up_verdicts(write: Write) -> None:
    """A time limit may be raised at any point, and the next chunk must get the verdicts of its own files."""
    large, small = (write(encoded(Image.new("RGB", (side, side)), "PNG"), str(side)) for side in (4000, 40))

    def raise_(*_: object) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, raise_)
    try:
        with PillowValidator(workers=1) as validator:
            list(validator.validate([small]))  # the child is started
            for milliseconds in range(1, 40, 3):
                signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
                with pytest.raises(TimeoutError):
                    list(validator.validate([large] * 50))
                [verdict] = validator.validate([small])
                assert isinstance(verdict, Accepted)
                assert verdict.width == 40
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_within_an_answer_discards_all_of_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of an answer must not be read as the next one."""
    large, small = (write(encoded(Image.new("RGB", (side, side)), "PNG"), str(side)) for side in (400, 40))
    received: list[int] = []
    receive = Connection._recv

    def interrupted(pipe: Connection, size: int) -> object:
        received.append(size)
        if len(received) == 2:
            raise TimeoutError
        return receive(pipe, size)

    with PillowValidator(workers=1) as validator:
        list(validator.validate([small]))
        monkeypatch.setattr(Connection, "_recv", interrupted)
        with pytest.raises(TimeoutError):
            list(validator.validate([large]))
        [verdict] = validator.validate([small])
        assert isinstance(verdict, Accepted)
        assert verdict.width == 40


def test_a_hang_ends_at_the_deadline(write: Write, bmp_codec: Callable[[str], None]) -> None:
    """The child must be killed even if it ignores all other signals, and the next file must get a new one."""
    bmp_codec("while True: pass")
    with closing(Decoder(Limits(), seconds=0.5, memory=GIB)) as decoder:
        bad = decode(decoder, write(encoded(photo(1), "BMP")))
        assert bad == Refusal(RejectReason.TOO_SLOW, "not decoded within 0.5 seconds")
        assert isinstance(decode(decoder, write(encoded(photo(1)))), Picture)


def test_a_hanging_child_ends_without_its_parent(write: Write, bmp_codec: Callable[[str], None]) -> None:
    """If the parent has died, no process can kill the child, which never reads from its closed pipe."""
    bmp_codec("while True: pass")
    with closing(Decoder(Limits(), seconds=0.5, memory=GIB)) as decoder:
        decode(decoder, write(encoded(photo(1))))
        assert decoder._pipe
        assert decoder._process
        decoder._pipe.send_bytes(os.fsencode(write(encoded(photo(1), "BMP")).path))
        assert decoder._process.wait() == -signal.SIGALRM


def test_memory_is_limited(write: Write) -> None:
    """A file that needs more must be rejected, and the child must go on with the next file."""
    with closing(Decoder(Limits(), seconds=10.0, memory=200 << 20)) as decoder:
        large = decode(decoder, write(encoded(Image.new("RGBA", (7000, 7000)), "PNG", compress_level=1)))
        assert isinstance(large, Refusal)
        assert large.reason == RejectReason.TOO_MUCH_MEMORY
        first = pid(decoder)
        assert isinstance(decode(decoder, write(encoded(photo(1)))), Picture)
        assert pid(decoder) == first


def test_a_child_that_was_killed_while_idle_rejects_no_file(decoder: Decoder, write: Write) -> None:
    """The system may have killed the child for memory that others used, which must not reject the next picture."""
    good = write(encoded(photo(1)))
    decode(decoder, good)
    os.kill(pid(decoder), signal.SIGKILL)
    os.waitid(os.P_PID, pid(decoder), os.WEXITED | os.WNOWAIT)
    assert isinstance(decode(decoder, good), Picture)


@pytest.mark.parametrize("polite", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_children_ignore_the_signals_of_a_polite_stop(decoder: Decoder, write: Write, polite: signal.Signals) -> None:
    """Ctrl-C and service managers signal every process, which must not reject the picture being decoded."""
    good = write(encoded(photo(1)))
    decode(decoder, good)
    first = pid(decoder)
    os.kill(first, polite)
    assert isinstance(decode(decoder, good), Picture)
    assert pid(decoder) == first == os.getpgid(first)


def test_a_codec_cannot_write_into_the_log(
    decoder: Decoder, write: Write, bmp_codec: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    """C libraries print text of the file to standard error, including terminal escapes."""
    bmp_codec("import os; os.write(2, b'words of the file')")
    decode(decoder, write(encoded(photo(1), "BMP")))
    assert capfd.readouterr().err == ""


def test_the_kernel_kills_children_first_when_memory_runs_out(hardened: Decoder, write: Write) -> None:
    """The worker must survive to record the failure."""
    decode(hardened, write(encoded(photo(1))))
    assert int(Path(f"/proc/{pid(hardened)}/oom_score_adj").read_text()) == 1000


def test_children_do_not_get_credentials(decoder: Decoder, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that decodes foreign files must have no secrets that it could leak."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=secret")
    decode(decoder, write(encoded(photo(1))))
    assert b"secret" not in Path(f"/proc/{pid(decoder)}/environ").read_bytes()


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere/python"])
def test_a_child_that_cannot_start_is_an_error(
    decoder: Decoder, write: Write, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    """A broken installation must not reject pictures."""
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(TransientError, match="decoder child"):
        decode(decoder, write(encoded(photo(1))))


@pytest.mark.parametrize("settings", [{"workers": 0}, {"seconds": 0}, {"memory": 1 << 20}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, int]) -> None:
    """The error must come at the start, instead of a thousand rejections."""
    with pytest.raises(InvalidRequest, match="take at least"):
        PillowValidator(**settings)  # type: ignore[arg-type]


def test_the_look_ahead_depends_only_on_the_number_of_workers(write: Write) -> None:
    """The look-ahead must not depend on speed, so that the same source gives the same verdicts."""
    good = write(encoded(photo(1)))
    with PillowValidator(workers=2) as validator:
        pulled = iter([good] * 20)
        with closing(validator.validate(pulled)) as found:
            next(found)
            assert len(list(pulled)) == 16


def test_threads_share_one_validator(write: Write) -> None:
    """Threads of the direct runner share it, and each must get its own verdicts while children are reused."""
    downloads = [[write(encoded(photo(10 * row + n)), f"{row}-{n}.jpg") for n in range(8)] for row in range(4)]
    with PillowValidator(workers=2) as validator, ThreadPoolExecutor(4) as threads:
        for _ in range(2):
            found = list(threads.map(lambda row: list(validator.validate(row)), downloads))
            assert [[verdict.download for verdict in row] for row in found] == downloads
            assert {reason_of(verdict) for row in found for verdict in row} == {"accepted"}
        assert len(children(validator)) <= 2 * len(downloads)


def test_closing_early_does_not_wait_for_a_hang(write: Write, bmp_codec: Callable[[str], None]) -> None:
    """Ctrl-C must end at once, although a decode may take until the deadline."""
    bmp_codec("while True: pass")
    seconds = 60.0
    good, bad = write(encoded(photo(1))), write(encoded(photo(1), "BMP"), "1.bmp")
    with PillowValidator(workers=2, seconds=seconds) as validator:
        begin = time.monotonic()
        with closing(validator.validate([good, bad, bad, bad, bad])) as found:
            assert reason_of(next(found)) == "accepted"
        assert time.monotonic() - begin < seconds


def test_no_child_is_left_after_close_or_garbage_collection(write: Write) -> None:
    """Children must end with their validator."""
    good = write(encoded(photo(1)))
    validator = PillowValidator(workers=1)
    list(validator.validate([good]))
    [first] = children(validator)
    validator.close()
    validator.close()
    assert not alive(first)
    list(validator.validate([good]))
    [second] = children(validator)
    del validator
    assert not alive(second)


_PROGRAM = """
import os, sys
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from pixcore.model.images import Accepted, Candidate, CandidateKey, Download
from pixcore_adapters.validator.pillow import PillowValidator

validator = PillowValidator(workers=1)
download = Download(Candidate(CandidateKey("test", "", 0), ""), Path(sys.argv[1]), 1, datetime.now(UTC))

def children():
    [verdict] = validator.validate([download])
    assert isinstance(verdict, Accepted), verdict
    return [decoder._process.pid for decoder in validator.children.all]

mine = children()
if not os.fork():  # does not use the validator
    sys.stdin.read()
    sys.exit()
if not os.fork():
    assert set(children()).isdisjoint(mine)
    print(*children(), flush=True)
    sys.stdin.read()
    sys.exit()
assert children() == mine
print(os.getpid(), *mine, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kill", [True, False], ids=["kill -9", "ordinary end"])
def test_children_end_with_their_process_and_a_fork_has_its_own(write: Write, kill: bool) -> None:
    """Queues fork their workers, and a fork that lives on must not keep the children of a dead worker alive."""
    good = write(encoded(photo(1)))
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(good.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin
        assert worker.stdout
        lines = sorted((worker.stdout.readline().split() for _ in range(2)), key=len)
        [[of_fork], [parent, of_parent]] = [list(map(int, line)) for line in lines]
        ends = {child: os.pidfd_open(child) for child in (of_fork, of_parent)}
        if kill:
            os.kill(parent, signal.SIGKILL)
            assert has_ended(ends[of_parent], 30)
            assert not has_ended(ends[of_fork], 0)
        worker.stdin.close()
        for end in ends.values():
            assert has_ended(end, 30)
            os.close(end)
        assert worker.wait() == (-signal.SIGKILL if kill else 0)
