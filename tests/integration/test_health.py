"""Workers, the reaper and the server of metrics answer the probes of supervisors."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from databases import new_name
from fleet import Fleet, Program, await_true, fleet
from http_client import get
from servers.addresses import Redis
from servers.server import free_port

from pixcore_runners.queueing.runner import RUNNERS

# A worker whose loop hangs after SIGWINCH, and counts as dead after 2 s.
HANGING = """
import signal, time
from pixcore_runners.observing import pulse
pulse.Pulse.fault.__defaults__ = (2.0,)
from pixcore_runners.queueing import health
health.LATE = pulse.LATE = 2.0
health.answer_probes.__defaults__ = (2.0,)
signal.signal(signal.SIGWINCH, lambda *_: time.sleep(3600))
from pixcore_runners.cli import main
main()
"""

# A reaper whose rounds fail while a file exists.
FAILING = """
import sys
from pathlib import Path
from pixcore import StatusUnavailable
from pixcore_runners.cli import main, reap
away, round_ = Path(sys.argv.pop(1)), reap._round
def failing(assembly):
    if away.exists():
        raise StatusUnavailable("the database is away")
    return round_(assembly)
reap._round = failing
main()
"""


def answers(port: int, path: str) -> tuple[int, str]:
    """Return the answer, or 0 if there is none."""
    with suppress(OSError):
        return get(port, path)
    return 0, ""


def await_answer(port: int, path: str, code: int, text: str) -> None:
    """Wait for an answer."""
    await_true(lambda: answers(port, path)[0] == code and text in answers(port, path)[1])


@pytest.mark.parametrize("runner", [*RUNNERS])
def test_a_worker_answers_while_it_works_rests_and_hangs(runner: str, redis: Redis, tmp_path: Path) -> None:
    """A supervisor must restart a worker that hangs, but not one that rests; a killed one frees its port."""
    port = free_port()
    with fleet(runner, tmp_path, broker=redis.url(9), queue=new_name()) as crew:
        assert crew.status
        work = tmp_path / "work"
        work.write_text("a file in the place of the folder")
        worker = start(crew, runner, port, work)
        await_answer(port, "/readyz", 503, "the worker rests")
        assert answers(port, "/healthz") == (200, "ok\n")
        work.unlink()
        await_answer(port, "/readyz", 200, "ok")
        os.kill(worker.process.pid, signal.SIGWINCH)
        await_answer(port, "/healthz", 503, "the loop has not run")
        worker.kill()
        await_true(lambda: answers(port, "/healthz")[0] == 0)
    logged_quietly_as_json(worker)


def start(crew: Fleet, runner: str, port: int, work: Path) -> Program:
    """Start a worker that SIGWINCH makes hang."""
    environ = {"PIXCORE_HEALTH": f"127.0.0.1:{port}", "PIXCORE_WORK": str(work)}
    words = ("worker", runner, "--quiet", "--log-format", "json")
    return crew.start(*words, command=(sys.executable, "-c", HANGING), environ=environ)


def logged_quietly_as_json(worker: Program) -> None:
    """Check that the worker wrote only JSON, with its name, and nothing below WARNING."""
    assert "[task_id=" not in worker.output
    lines = [json.loads(line) for line in worker.output.splitlines() if line.startswith("{")]
    assert {line["level"] for line in lines} == {"WARNING"}
    rest = next(line for line in lines if "work directory" in line["message"])
    assert rest["logger"] == "pixcore"
    assert rest["worker"].endswith(f":{worker.process.pid}")


def test_the_reaper_is_ready_while_its_rounds_succeed(redis: Redis, tmp_path: Path) -> None:
    """A reaper without its database must say so, and must not be restarted for it."""
    port = free_port()
    with fleet("rq", tmp_path, broker=redis.url(9), queue=new_name(), health=f"127.0.0.1:{port}") as crew:
        assert crew.status
        crew.start("reap", "--every", 0.1, command=(sys.executable, "-c", FAILING, str(tmp_path / "away")))
        await_answer(port, "/readyz", 200, "ok")
        (tmp_path / "away").touch()
        await_answer(port, "/readyz", 503, "the database is away")
        assert answers(port, "/healthz") == (200, "ok\n")
        (tmp_path / "away").unlink()
        await_answer(port, "/readyz", 200, "ok")
