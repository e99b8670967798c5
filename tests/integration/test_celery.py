"""The Celery runner: its app, its task in other apps, its workers' words, ends and limits, and its queue.

What it shares with the other runners is in the contract; kill -9, restarts and floods have a suite of their own.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import servers.redis
from attrs import define, evolve
from celery import Celery
from celery.exceptions import Reject, Retry, SoftTimeLimitExceeded
from databases import new_name
from fleet import Fleet, Program, await_true, fleet, kill
from memory_assembly import MemoryAssembly
from memory_assembly import picture as pictured
from servers.addresses import Redis
from servers.fixtures import Own

from pixcore import InvalidRequest, NoValidImages, PermanentError, Status
from pixcore_runners.celery import CeleryRunner, make_app, register
from pixcore_runners.celery.progress import Progress
from pixcore_runners.celery.task import NAME
from pixcore_runners.queueing.delivery import Deliveries
from pixcore_runners.queueing.runner import QueueUnavailable
from pixcore_runners.settings import SecretUrl, Settings, load_here

READY = "celery@"
PASSWORD = "correct-horse-battery"  # noqa: S105 - none

# An app as others write them: its own serializer, routes, log format and task.
SHOP = """
import logging, os, sys
from celery import Celery, signals
from pixcore_runners.celery import register

app = Celery("shop", broker=os.environ["PIXCORE_BROKER"], backend=os.environ["PIXCORE_BROKER"])
app.conf.update(
    task_serializer="pickle", result_serializer="pickle", accept_content=["pickle", "json"],
    task_routes={"pixcore.*": {"queue": os.environ["PIXCORE_QUEUE"]}},
)

@signals.setup_logging.connect
def shop_logging(**_):
    logging.basicConfig(level="INFO", format="SHOP %(name)s %(message)s", stream=sys.stderr)

@app.task
def price(): return {1, 2}

register(app)
"""


@define(eq=False)
class CeleryCommand(Program):
    """The ``celery`` command instead of ``pixcore``."""

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        command = [sys.executable, "-m", "celery", *map(str, self.words)]
        with self._log.open("w") as log:
            environ = os.environ | {"TMPDIR": str(self.folder), "PYTHONPATH": "."}
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, text=True, process_group=0
            )


@pytest.fixture
def home(tmp_path: Path, redis: Redis) -> Iterator[Fleet]:
    """A fleet without workers, with a queue of its own and a status database."""
    # Celery's workers greet all others in their Redis database, and some tests have one that others do not understand
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    with fleet("celery", tmp_path, broker=redis.url(own), queue=new_name()) as made:
        made.listed(1)
        assert made.assembly
        yield made


def celery(home: Fleet, *words: object, app: str = "pixcore_runners.celery") -> CeleryCommand:
    """Start the documented command."""
    program = CeleryCommand(home.folder / "tmp" / str(len(home.programs)), ("-A", app, *words))
    home.programs.append(program)
    return program


def worker(home: Fleet, *words: object, app: str = "pixcore_runners.celery") -> CeleryCommand:
    """Start a worker of an app."""
    return celery(home, "worker", "--concurrency", 1, "--loglevel", "info", *words, app=app)


def described(home: Fleet, **more: object) -> dict[str, Any]:
    """Metadata of a chunk of the site's pictures."""
    return {"keyword": "cat", "sources": [f"urls:{home.folder}/cats.txt"], "count": home.size, **more}


def task(settings: Settings | None = None) -> Any:  # noqa: ANN401 - Celery ships no types
    """The ready app's task, for its callers."""
    return make_app(settings or load_here().settings).tasks[NAME]


def delivered(retry: Callable[..., object]) -> Any:  # noqa: ANN401 - Celery ships no types
    """A task as its function sees it, which defers with ``retry``."""
    request = SimpleNamespace(id="1", hostname="here", retries=0, called_directly=False, is_eager=True)
    return SimpleNamespace(request=request, retry=retry, update_state=lambda **_: None)


def said(program: Program, text: str, within: float = 30) -> str:
    """Everything that a program has said, once it has said this."""
    await_true(lambda: text in program.output, within)
    return program.output


# -- the ready app ---------------------------------------------------------------------------------------------------


def test_importing_it_does_nothing(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings are read, so wrong ones do no harm; no handler, no signal, no connection."""
    assert home
    monkeypatch.setenv("PIXCORE_BROKER", "nonsense")
    looks = (
        "import logging, socket; socket.socket.connect = None; import pixcore_runners.celery;"
        "from celery import signals, current_app;"
        "print(logging.getLogger().handlers, logging.getLogger('pixcore').handlers,"
        " [s.receivers for s in vars(signals).values() if isinstance(s, signals.Signal) and s.receivers],"
        " current_app.main)"
    )
    ran = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("[] [] [] default\n", "")


def test_the_documented_command_works_a_chunk_off(home: Fleet) -> None:
    """The task is registered, the URL comes back as a plain string, and each log line stands there once."""
    program = worker(home)
    call = (
        "from pixcore_runners.celery import process_chunk_task;"
        f"asked = process_chunk_task.delay(7, metadata={described(home)}); print(asked.id, asked.get(timeout=60))"
    )
    ran = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
    task_id, url = ran.stdout.split()
    assert url == f"file://{home.folder}/blobs/chunk_7.zip"
    lines = [line for line in program.output.splitlines() if f"task_id={task_id}" in line]
    assert all(re.fullmatch(r"\[task_id=\S+\]\[chunk=7\]\[phase=[A-Z]+\] \S.*", line) for line in lines), lines
    assert len(lines) == len(set(lines))
    assert (
        sum("[phase=COMPLETE] completed with" in line for line in lines) == program.output.count("completed with") == 1
    )
    assert f". {NAME}" in program.output
    assert "Traceback" not in program.output


@pytest.mark.parametrize("metadata", [None, {}, {"count": 3}], ids=["none", "empty", "no keyword"])
def test_a_chunk_without_a_keyword_is_refused(home: Fleet, metadata: dict[str, Any] | None) -> None:
    """As a ``ValueError`` that says what is missing, also after its way through JSON."""
    program = worker(home)
    with pytest.raises(InvalidRequest, match="has no `keyword`") as refused:
        task().delay(7, metadata=metadata).get(timeout=60)
    assert isinstance(refused.value, ValueError)
    assert "Traceback" not in program.output


def test_what_fails_for_good_keeps_its_type_and_reason(home: Fleet) -> None:
    """Through JSON; and the worker tells it in lines, without a traceback."""
    program = worker(home)
    home.site.routes.clear()
    with pytest.raises(NoValidImages, match="http_404: 6"):
        task().delay(7, metadata=described(home)).get(timeout=60)
    assert "Traceback" not in program.output


def test_without_a_broker_the_remedy_is_told(home: Fleet) -> None:
    """Celery would take one on this machine, and wait for it."""
    assert home
    with pytest.raises(InvalidRequest, match="set PIXCORE_BROKER to a URL"):
        make_app(Settings())


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("STATUS", "sqlite:///elsewhere.db", "status"),
        ("STORE", "memory://", "store memory:// exists in one process only"),
        ("BROKER", "", "set PIXCORE_BROKER to a URL"),
    ],
)
def test_a_worker_that_could_do_nothing_does_not_start(
    home: Fleet, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, says: str
) -> None:
    """It says why, and takes no message."""
    line = CeleryRunner.of(load_here().settings)
    task().delay(7, metadata=described(home))
    monkeypatch.setenv(f"PIXCORE_{setting}", value)
    program = worker(home)
    assert program.code() != 0
    assert says in program.output
    assert line.waiting() == 1


def test_a_worker_of_the_command_refuses_before_it_starts(home: Fleet) -> None:
    """``work`` raises, so that ``pixcore worker`` tells it as it tells everything."""
    settings = evolve(load_here().settings, status=f"sqlite:///{home.folder}/elsewhere.db")
    with pytest.raises(InvalidRequest):
        CeleryRunner.of(settings).work(1)


def test_the_result_backend_is_the_broker_where_it_can_be() -> None:
    """Another one where it is named; none where the broker keeps no results. Over TLS, certificates are looked at."""
    redis, amqp, other = (SecretUrl(f"{scheme}://:{PASSWORD}@host/1") for scheme in ("redis", "amqp", "rediss"))

    def backend(**given: Any) -> Any:  # noqa: ANN401 - whatever Celery holds
        return make_app(Settings(**given)).conf.result_backend

    assert backend(broker=redis) == redis.reveal()
    assert backend(broker=amqp) is None
    assert backend(broker=amqp, result_backend=other) == f"{other.reveal()}?ssl_cert_reqs=required"


def test_a_result_backend_that_is_away_costs_the_chunk_seconds(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It completes all the same, and the log says once that nobody is told."""
    monkeypatch.setenv("PIXCORE_RESULT_BACKEND", f"redis://:{PASSWORD}@127.0.0.1:1/0")
    home.submit(1)
    program = worker(home)
    (record,) = home.until_settled(20)
    assert record.status is Status.COMPLETED
    assert program.output.count("the progress of this delivery is no longer stored") == 1
    program.terminate()
    assert program.code() == 0
    assert PASSWORD not in program.output


# -- in another app --------------------------------------------------------------------------------------------------


def test_registering_leaves_an_app_and_its_logging_alone(home: Fleet) -> None:
    """Settings, signals and handlers are the host's; only the task is new."""
    assert home
    app = Celery("shop", broker="memory://", set_as_current=False)
    before = dict(app.conf)
    register(app)
    assert dict(app.conf) == before
    assert NAME in app.tasks
    assert app.log.__class__.__module__ == "celery.app.log"


def test_in_another_app_a_chunk_is_worked_off(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """With that app's serializer, route and logging, in which each of pixcore's lines stands once."""
    monkeypatch.setenv("C_FORCE_ROOT", "1")  # else root may not read pickles
    (home.folder / "shop.py").write_text(SHOP)
    program = worker(home, "--queues", os.environ["PIXCORE_QUEUE"], app="shop")
    app = Celery("caller", broker=os.environ["PIXCORE_BROKER"], backend=os.environ["PIXCORE_BROKER"])
    app.conf.update(result_serializer="pickle", accept_content=["pickle", "json"])
    asked = app.send_task(NAME, (7,), {"metadata": described(home)}, queue=os.environ["PIXCORE_QUEUE"])
    assert asked.get(timeout=60) == f"file://{home.folder}/blobs/chunk_7.zip"
    text = said(program, "SHOP celery.app.trace Task process_chunk_task")
    assert text.count(f"SHOP pixcore completed with {home.size} of {home.size} images") == 1
    assert "[chunk=7]" not in text


# -- passwords -------------------------------------------------------------------------------------------------------


def test_a_worker_never_says_the_password(tmp_path: Path, own: Own) -> None:
    """Whether the broker is there, goes away, stays away, or does not let it in."""
    server = own(servers.redis.prepare)
    password = server.address.password
    with fleet("celery", tmp_path, broker=server.address.url(), queue=new_name()) as home:
        home.listed(1)
        assert home.assembly
        ours, documented = home.worker(), worker(home, "--loglevel", "debug")
        task().delay(7, metadata=described(home)).get(timeout=60)
        said(documented, " ready.")
        server.stop()
        said(ours, "Trying to re-establish the connection")
        said(documented, "Trying to re-establish the connection")
        without = worker(home)
        said(without, "Cannot connect to")
        for program in (ours, documented, without):
            program.kill()
            assert password not in program.output


def test_a_worker_that_is_not_let_in_does_not_say_with_what(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password may be the right one for something else."""
    broker = re.sub(":[^:@]+@", f":{PASSWORD}@", os.environ["PIXCORE_BROKER"])
    monkeypatch.setenv("PIXCORE_BROKER", broker)
    program = worker(home)
    said(program, "password")  # in the words of Redis
    program.kill()
    assert PASSWORD not in program.output


# -- progress --------------------------------------------------------------------------------------------------------


def test_progress_names_each_phase_at_once_and_images_each_second(tmp_path: Path) -> None:
    """Twelve images, the clock of which ticks a quarter of a second each time it is looked at."""
    told: list[tuple[str, dict[str, Any]]] = []
    ticks = count(1)
    assembly = MemoryAssembly(tmp_path / "work", [pictured(number) for number in range(12)])
    progress = Progress(lambda state, meta: told.append((state, meta)), lambda: next(ticks) / 4)
    assembly.pipeline(progress).run(key := assembly.chunk(12))
    assert {state for state, _ in told} == {"PROGRESS"}
    phases = [meta["phase"] for _, meta in told]
    assert list(dict.fromkeys(phases)) == [
        *("init", "download", "validate", "compress", "upload", "complete", "cleanup")
    ]
    images = [meta["accepted"] for _, meta in told if meta["phase"] == "validate"]
    assert images == sorted(set(images))
    assert 3 <= len(images) <= 5
    last = {"chunk": str(key), "phase": "cleanup", "accepted": 12, "target": 12, "rejected": 0, "missed": 0}
    assert told[-1][1] == last


def test_progress_stops_with_the_first_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A result backend that is away is waited for once a delivery."""
    asked = []

    def store(state: str, meta: dict[str, Any]) -> None:
        asked.append((state, meta))
        raise ConnectionError("away")

    assembly = MemoryAssembly(tmp_path / "work", [pictured(number) for number in range(3)])
    assembly.pipeline(Progress(store)).run(assembly.chunk(3))
    assert len(asked) == 1
    assert caplog.messages == ["the progress of this delivery is no longer stored: ConnectionError: away"]


# -- told to stop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_that_is_told_to_stop_gives_its_chunk_back(home: Fleet, pool: str) -> None:
    """At once, no failure counted, the delivery back in the queue; the next worker completes it."""
    home.hold()
    home.submit(1)
    program = worker(home, "--pool", pool)
    home.until_running("download")
    program.terminate()
    assert program.code(15) == 0
    (record,) = home.records()
    assert (record.status, record.failures) == (Status.PENDING, 0)
    assert home.queue.waiting() == 1
    home.held.clear()
    worker(home)
    (record,) = home.until_settled()
    assert (record.status, record.failures, home.queue.waiting()) == (Status.COMPLETED, 0, 0)


def test_a_sigterm_to_all_processes_of_a_worker_loses_nothing(home: Fleet) -> None:
    """As systemd and containers with an init send it: the pool's processes live long enough to give back."""
    home.hold()
    home.submit(1)
    program = worker(home)
    home.until_running("download")
    kill(*program.pids, number=signal.SIGTERM)
    assert program.code(15) == 0
    (record,) = home.records()
    assert (record.status, record.failures) == (Status.PENDING, 0)
    assert home.queue.waiting() == 1


def test_an_idle_process_of_the_pool_ends_with_sigterm(home: Fleet) -> None:
    """Only while it has a chunk is it asked instead of killed."""
    program = worker(home)
    said(program, " ready.")
    (child,) = children(program)
    kill(child, number=signal.SIGTERM)
    await_true(lambda: child not in program.pids, 10)


def children(program: Program) -> list[int]:
    """The processes of a worker's pool."""
    found = subprocess.run(["pgrep", "-P", str(program.process.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def test_a_worker_is_not_stopped_by_what_an_earlier_one_was_told(home: Fleet) -> None:
    """In one process, as in the tests of those who use it."""
    assert home
    looks = (
        "from celery import signals; from pixcore_runners.celery import app, process_chunk_task as task\n"
        "for _ in range(2):\n"
        "    worker = app.Worker(hostname='one@here', pool='solo', quiet=True)\n"
        "    print(task.chunks.deliveries.stop())\n"
        "    signals.worker_shutting_down.send(sender=worker.hostname, sig='SIGTERM', how='Warm', exitcode=0)\n"
        "    print(task.chunks.deliveries.stop())"
    )
    ran = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"] * 2


def test_a_delivery_that_cannot_be_deferred_comes_again(home: Fleet) -> None:
    """Celery drops what it cannot send once more; here the broker keeps the delivery that it has."""
    assert home

    def retry(**_: object) -> None:
        raise Reject("the broker is away", requeue=False)

    chunks = task().chunks
    chunks.stop()
    home.submit(1)
    (record,) = home.records()
    with pytest.raises(Reject) as rejected:
        chunks.process(delivered(retry), record.chunk.id, {"keyword": "cats", "dataset": "cats"})
    assert rejected.value.requeue


# -- time limits -----------------------------------------------------------------------------------------------------


def test_the_soft_time_limit_ends_in_a_true_status(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that hangs is interrupted, its attempt counts, and who waits for it is told."""
    monkeypatch.setenv("PIXCORE_CHUNK_DEADLINE", "3")
    monkeypatch.setenv("PIXCORE_MAX_FAILURES", "1")
    home.hold()
    worker(home)
    asked = task().delay(7, metadata=described(home))
    (record,) = home.until(lambda chunks: chunks and chunks[0].status is Status.FAILED, dataset="")
    assert record.failures == 1
    assert "SoftTimeLimitExceeded" in record.error
    with pytest.raises(PermanentError, match="SoftTimeLimitExceeded"):
        asked.get(timeout=60)
    assert not list((home.folder / "work").glob("chunk-*"))


def test_a_time_limit_before_the_claim_loses_nothing(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery is deferred, for the chunk knows nothing of it."""

    def interrupted(*_: object) -> None:
        raise SoftTimeLimitExceeded

    chunks = task().chunks
    deferred: list[dict[str, Any]] = []
    monkeypatch.setattr(Deliveries, "assembly", interrupted)
    with pytest.raises(Retry):
        chunks.process(delivered(lambda **how: deferred.append(how) or Retry()), 7, described(home))
    assert [how["countdown"] for how in deferred] == [10]


def test_after_the_hard_time_limit_a_chunk_is_taken_up_again(home: Fleet) -> None:
    """A process that no longer answers is killed; its delivery is deferred until the lease has run out."""
    home.hold()
    program = worker(home)
    asked = task().apply_async((7,), {"metadata": described(home)}, soft_time_limit=7, time_limit=8)
    home.until(lambda chunks: chunks and chunks[0].status is Status.PROCESSING, dataset="")
    kill(*children(program), number=signal.SIGSTOP)
    home.held.clear()
    said(program, "Hard time limit (8s) exceeded")
    (record,) = home.until_settled(dataset="")
    assert (record.status, record.attempt, record.failures) == (Status.COMPLETED, 2, 1)
    await_true(lambda: asked.state == "SUCCESS")


# -- the queue -------------------------------------------------------------------------------------------------------


def test_chunks_that_are_sent_wait_until_a_worker_takes_them(home: Fleet) -> None:
    """A queue that nobody has used yet is empty."""
    line = CeleryRunner.of(load_here().settings)
    assert line.waiting() == 0
    assert line.send([]) == 0
    home.submit(3)
    assert line.waiting() == 3
    assert line.send(home.records()) == 3
    assert line.waiting() == 6
    worker(home)
    home.until_settled()
    await_true(lambda: line.waiting() == 0)


@pytest.mark.parametrize("answers", [True, False], ids=["silent", "refused"])
@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_is_named_within_seconds(home: Fleet, scheme: str, answers: bool) -> None:
    """Without its password, whether it refuses or takes the connection and never says a word."""
    home.submit(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not answers:
            silent.close()
        broker = SecretUrl(f"{scheme}://user:{PASSWORD}@127.0.0.1:{port}/0")
        line = CeleryRunner.of(evolve(load_here().settings, broker=broker))
        began = time.monotonic()
        with pytest.raises(QueueUnavailable, match=f"{scheme}://user:\\*\\*\\*@127.0.0.1:{port}") as unsent:
            line.send(home.records())
        with pytest.raises(QueueUnavailable) as uncounted:
            line.waiting()
        assert time.monotonic() - began < 60
    assert PASSWORD not in f"{unsent.value!r}{unsent.value.__cause__!r}{uncounted.value!r}"
