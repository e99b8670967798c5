"""The Celery runner: its app, its task in other apps, the output, end and time limits of its workers, and its queue.

The contract tests what it shares with the other runners; test_queue_faults.py has kill -9, restarts and floods.
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
from celery.concurrency.base import BasePool
from celery.exceptions import Reject, Retry, SoftTimeLimitExceeded
from databases import new_name
from fleet import Fleet, Program, await_true, fleet, kill
from memory_assembly import MemoryAssembly
from memory_assembly import picture as pictured
from servers.addresses import Redis
from servers.fixtures import Own

from pixcore import InvalidRequest, NoValidImages, PermanentError, Status
from pixcore_runners.celery import CeleryRunner, make_app, register
from pixcore_runners.celery.progress import TaskProgress
from pixcore_runners.celery.task import NAME
from pixcore_runners.queueing.delivery import AlreadyFailed, Deliveries
from pixcore_runners.queueing.runner import QueueUnavailable
from pixcore_runners.settings import SecretUrl, Settings, load_here

READY = "celery@"
PASSWORD = "correct-horse-battery"  # noqa: S105 - of a test

# An app of another project, with its own serializer, routes, log format and task.
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
    """A ``celery`` command instead of a ``pixcore`` command."""

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        command = [sys.executable, "-m", "celery", *map(str, self.words)]
        with self._log.open("w") as log:
            paths = os.pathsep.join((".", os.environ.get("PYTHONPATH", "")))
            environ = os.environ | {"TMPDIR": str(self.folder), "PYTHONPATH": paths}
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, text=True, process_group=0
            )


@pytest.fixture
def home(tmp_path: Path, redis: Redis) -> Iterator[Fleet]:
    """Return a fleet without workers, with a queue of its own and a status database."""
    # Celery's workers message all others in their Redis database, and some tests have workers that others cannot read
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    with fleet("celery", tmp_path, broker=redis.url(own), queue=new_name()) as made:
        made.listed(1)
        assert made.assembly
        yield made


def celery(home: Fleet, *words: object, app: str = "pixcore_runners.celery") -> CeleryCommand:
    """Start the documented ``celery`` command."""
    program = CeleryCommand(home.folder / "tmp" / str(len(home.programs)), ("-A", app, *words))
    home.programs.append(program)
    return program


def worker(home: Fleet, *words: object, app: str = "pixcore_runners.celery") -> CeleryCommand:
    """Start a worker of an app."""
    return celery(home, "worker", "--concurrency", 1, "--loglevel", "info", *words, app=app)


def described(home: Fleet, **more: object) -> dict[str, Any]:
    """Return the metadata of a chunk of the site's pictures."""
    return {"keyword": "cat", "sources": [f"urls:{home.folder}/cats.txt"], "count": home.size, **more}


def task(settings: Settings | None = None) -> Any:  # noqa: ANN401 - Celery ships no types
    """Return the task of the ready app, for its callers."""
    return make_app(settings or load_here().settings).tasks[NAME]


def delivered(retry: Callable[..., object], **more: object) -> Any:  # noqa: ANN401 - Celery ships no types
    """Return a task as its function receives it, which is deferred by ``retry``, with ``more`` of its request."""
    usual = {"id": "1", "hostname": "here", "retries": 0, "headers": None, "called_directly": False, "is_eager": True}
    request = SimpleNamespace(**usual | more)
    return SimpleNamespace(request=request, retry=retry, update_state=lambda **_: None)


def await_output(program: Program, text: str, within: float = 30) -> str:
    """Wait until a program has printed ``text``; return its whole output."""
    await_true(lambda: text in program.output, within)
    return program.output


# -- the ready app ---------------------------------------------------------------------------------------------------


def test_importing_the_app_has_no_side_effects(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import must read no settings, even invalid ones, and add no handler, no signal and no connection."""
    assert home
    monkeypatch.setenv("PIXCORE_BROKER", "nonsense")
    program = (
        "import logging, socket; socket.socket.connect = None; import pixcore_runners.celery;"
        "from celery import signals, current_app;"
        "print(logging.getLogger().handlers, logging.getLogger('pixcore').handlers,"
        " [s.receivers for s in vars(signals).values() if isinstance(s, signals.Signal) and s.receivers],"
        " current_app.main)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("[] [] [] default\n", "")


def test_the_documented_command_completes_a_chunk(home: Fleet) -> None:
    """The worker has the task, returns the URL as a plain string, and writes each log line once."""
    program = worker(home)
    call = (
        "from pixcore_runners.celery import process_chunk_task;"
        f"sent = process_chunk_task.delay(7, metadata={described(home)}); print(sent.id, sent.get(timeout=60))"
    )
    ran = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
    task_id, url = ran.stdout.split()
    assert url == f"file://{home.folder}/blobs/chunk_7.zip"
    lines = [line for line in program.output.splitlines() if f"task_id={task_id}" in line]
    assert all(re.fullmatch(r"\S+Z INFO \[task_id=\S+\]\[chunk=7\]\[phase=[A-Z]+\] \S.*", line) for line in lines), (
        lines
    )
    assert len(lines) == len(set(lines))
    assert (
        sum("[phase=COMPLETE] completed with" in line for line in lines) == program.output.count("completed with") == 1
    )
    assert f". {NAME}" in program.output
    assert "Traceback" not in program.output


@pytest.mark.parametrize("metadata", [None, {}, {"count": 3}], ids=["none", "empty", "no keyword"])
def test_a_chunk_without_a_keyword_is_refused(home: Fleet, metadata: dict[str, Any] | None) -> None:
    """The caller must get a ``ValueError`` that names what is missing, even through JSON."""
    program = worker(home)
    with pytest.raises(InvalidRequest, match="has no `keyword`") as refused:
        task().delay(7, metadata=metadata).get(timeout=60)
    assert isinstance(refused.value, ValueError)
    assert "Traceback" not in program.output


def test_a_permanent_failure_keeps_its_type_and_reason(home: Fleet) -> None:
    """The caller must get the error through JSON, and the worker must log it without a traceback."""
    program = worker(home)
    home.site.routes.clear()
    with pytest.raises(NoValidImages, match="http_404: 6"):
        task().delay(7, metadata=described(home)).get(timeout=60)
    assert "Traceback" not in program.output


def test_without_a_broker_the_remedy_is_named(home: Fleet) -> None:
    """Celery alone would use a broker on this machine and wait for it."""
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
def test_a_worker_with_unusable_settings_does_not_start(
    home: Fleet, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, says: str
) -> None:
    """The worker must name the reason and take no message from the queue."""
    queue = CeleryRunner.of(load_here().settings)
    task().delay(7, metadata=described(home))
    monkeypatch.setenv(f"PIXCORE_{setting}", value)
    program = worker(home)
    assert program.code() != 0
    assert says in program.output
    assert queue.waiting() == 1


def test_work_refuses_unusable_settings_before_the_worker_starts(home: Fleet) -> None:
    """``work`` must raise the error, so that ``pixcore worker`` prints it like every command."""
    settings = evolve(load_here().settings, status=f"sqlite:///{home.folder}/elsewhere.db")
    with pytest.raises(InvalidRequest):
        CeleryRunner.of(settings).work(1)


def test_the_result_backend_defaults_to_the_broker_if_that_stores_results() -> None:
    """A backend that is set takes precedence, AMQP has none, and TLS connections check certificates."""
    redis, amqp, other = (SecretUrl(f"{scheme}://:{PASSWORD}@host/1") for scheme in ("redis", "amqp", "rediss"))

    def backend(**given: Any) -> Any:  # noqa: ANN401 - Celery ships no types
        return make_app(Settings(**given)).conf.result_backend

    assert backend(broker=redis) == redis.reveal()
    assert backend(broker=amqp) is None
    assert backend(broker=amqp, result_backend=other) == f"{other.reveal()}?ssl_cert_reqs=required"


def test_an_unreachable_result_backend_delays_the_chunk_only_by_seconds(
    home: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk must complete, and the log must report once that its progress is not stored."""
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
    """Registering must add only the task; settings, signals and handlers belong to the app."""
    assert home
    app = Celery("shop", broker="memory://", set_as_current=False)
    before = dict(app.conf)
    register(app)
    assert dict(app.conf) == before
    assert NAME in app.tasks
    assert app.log.__class__.__module__ == "celery.app.log"


def test_another_app_completes_a_chunk(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The serializer, routes and logging of that app must hold, and each line of pixcore must be logged once."""
    monkeypatch.setenv("C_FORCE_ROOT", "1")  # otherwise root may not read pickles
    (home.folder / "shop.py").write_text(SHOP)
    program = worker(home, "--queues", os.environ["PIXCORE_QUEUE"], app="shop")
    app = Celery("caller", broker=os.environ["PIXCORE_BROKER"], backend=os.environ["PIXCORE_BROKER"])
    app.conf.update(result_serializer="pickle", accept_content=["pickle", "json"])
    sent = app.send_task(NAME, (7,), {"metadata": described(home)}, queue=os.environ["PIXCORE_QUEUE"])
    assert sent.get(timeout=60) == f"file://{home.folder}/blobs/chunk_7.zip"
    text = await_output(program, "SHOP celery.app.trace Task process_chunk_task")
    assert text.count(f"SHOP pixcore completed with {home.size} of {home.size} images") == 1
    assert "[chunk=7]" not in text


# -- passwords -------------------------------------------------------------------------------------------------------


def test_a_worker_never_prints_the_password(tmp_path: Path, own: Own) -> None:
    """This must hold whether the broker is reachable, stops, or is away from the start."""
    server = own(servers.redis.prepare)
    password = server.address.password
    with fleet("celery", tmp_path, broker=server.address.url(), queue=new_name()) as home:
        home.listed(1)
        assert home.assembly
        ours, documented = home.worker(), worker(home, "--loglevel", "debug")
        task().delay(7, metadata=described(home)).get(timeout=60)
        await_output(documented, " ready.")
        server.stop()
        await_output(ours, "Trying to re-establish the connection")
        await_output(documented, "Trying to re-establish the connection")
        without = worker(home)
        await_output(without, "Cannot connect to")
        for program in (ours, documented, without):
            program.kill()
            assert password not in program.output


def test_a_worker_with_a_wrong_password_does_not_print_it(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password may be the right one of another service."""
    broker = re.sub(":[^:@]+@", f":{PASSWORD}@", os.environ["PIXCORE_BROKER"])
    monkeypatch.setenv("PIXCORE_BROKER", broker)
    program = worker(home)
    await_output(program, "password")  # from the error of Redis
    program.kill()
    assert PASSWORD not in program.output


# -- progress --------------------------------------------------------------------------------------------------------


def test_progress_reports_each_phase_at_once_and_images_once_a_second(tmp_path: Path) -> None:
    """A report for each image would overload the backend; the clock here advances a quarter of a second a call."""
    reports: list[tuple[str, dict[str, Any]]] = []
    ticks = count(1)
    assembly = MemoryAssembly(tmp_path / "work", [pictured(number) for number in range(12)])
    progress = TaskProgress(lambda state, meta: reports.append((state, meta)), lambda: next(ticks) / 4)
    assembly.pipeline(progress).run(key := assembly.chunk(12))
    assert {state for state, _ in reports} == {"PROGRESS"}
    phases = [meta["phase"] for _, meta in reports]
    assert list(dict.fromkeys(phases)) == [
        *("init", "download", "validate", "compress", "upload", "complete", "cleanup")
    ]
    images = [meta["accepted"] for _, meta in reports if meta["phase"] == "validate"]
    assert images == sorted(set(images))
    assert 3 <= len(images) <= 5
    last = {"chunk": str(key), "phase": "cleanup", "accepted": 12, "target": 12, "rejected": 0, "missed": 0}
    assert reports[-1][1] == last


def test_progress_stops_with_the_first_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A delivery must wait only once for an unreachable result backend."""
    calls = []

    def store(state: str, meta: dict[str, Any]) -> None:
        calls.append((state, meta))
        raise ConnectionError("away")

    assembly = MemoryAssembly(tmp_path / "work", [pictured(number) for number in range(3)])
    assembly.pipeline(TaskProgress(store)).run(assembly.chunk(3))
    assert len(calls) == 1
    assert caplog.messages == ["the progress of this delivery is no longer stored: ConnectionError: away"]


# -- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_stopping_worker_gives_its_chunk_back(home: Fleet, pool: str) -> None:
    """The chunk must be pending without a failure, its delivery in the queue again, and the next worker complete it."""
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
    """If a service manager signals all processes, those of the pool must still give their chunks back."""
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
    """Only a process with a chunk delays its end, to give the chunk back."""
    program = worker(home)
    await_output(program, " ready.")
    (child,) = children(program)
    kill(child, number=signal.SIGTERM)
    await_true(lambda: child not in program.pids, 10)


def children(program: Program) -> list[int]:
    """Return the processes of a worker's pool."""
    found = subprocess.run(["pgrep", "-P", str(program.process.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def test_the_stop_of_one_worker_does_not_stop_the_next_in_its_process(home: Fleet) -> None:
    """Tests of other projects run several workers in one process."""
    assert home
    program = (
        "from celery import signals; from pixcore_runners.celery import app, process_chunk_task as task\n"
        "for _ in range(2):\n"
        "    worker = app.Worker(hostname='one@here', pool='solo', quiet=True)\n"
        "    print(task.chunks.deliveries.stop())\n"
        "    signals.worker_shutting_down.send(sender=worker.hostname, sig='SIGTERM', how='Warm', exitcode=0)\n"
        "    print(task.chunks.deliveries.stop())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"] * 2


def test_a_delivery_that_cannot_be_deferred_is_requeued(home: Fleet) -> None:
    """Celery would drop a delivery that it cannot send again, so the broker must keep it."""
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


def test_a_stale_delivery_costs_one_result(home: Fleet) -> None:
    """Thousands may wait after a cancel: none may store a state or a traceback. A caller still gets the error."""
    home.submit(1)
    (record,) = home.records()
    home.status.cancel("cats")
    words = (record.chunk.id, {"keyword": "cats", "dataset": "cats"})
    sent = delivered(pytest.fail, headers={"pixcore_dataset": "cats"})
    sent.update_state = lambda **_: pytest.fail("a state was stored")
    assert task().chunks.process(sent, *words) == f"chunk cats/{record.chunk.id} failed earlier: cancelled"
    assert "has no chunk cats/999" in task().chunks.process(sent, 999, words[1])  # its dataset was deleted
    for other in (delivered(pytest.fail), delivered(pytest.fail, headers={"pixcore_dataset": "cats"}, retries=1)):
        with pytest.raises(AlreadyFailed, match="cancelled"):
            task().chunks.process(other, *words)


# -- time limits -----------------------------------------------------------------------------------------------------


def test_the_soft_time_limit_fails_the_attempt_and_the_task(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that hangs must be interrupted, its failure counted, and the caller must get the error."""
    monkeypatch.setenv("PIXCORE_CHUNK_DEADLINE", "3")
    monkeypatch.setenv("PIXCORE_MAX_FAILURES", "1")
    home.hold()
    worker(home)
    sent = task().delay(7, metadata=described(home))
    (record,) = home.until(lambda chunks: chunks and chunks[0].status is Status.FAILED, dataset="")
    assert record.failures == 1
    assert "SoftTimeLimitExceeded" in record.error
    with pytest.raises(PermanentError, match="SoftTimeLimitExceeded"):
        sent.get(timeout=60)
    assert not list((home.folder / "work").glob("chunk-*"))


def test_a_time_limit_before_the_claim_loses_nothing(home: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery must be deferred, because no attempt has begun."""

    def interrupted(*_: object) -> None:
        raise SoftTimeLimitExceeded

    chunks = task().chunks
    deferred: list[dict[str, Any]] = []
    monkeypatch.setattr(Deliveries, "assembly", interrupted)
    with pytest.raises(Retry):
        chunks.process(delivered(lambda **how: deferred.append(how) or Retry()), 7, described(home))
    assert [how["countdown"] for how in deferred] == [10]


def test_a_chunk_is_run_again_after_the_hard_time_limit(home: Fleet) -> None:
    """Celery kills a process that hangs; its delivery must be deferred until the lease has expired."""
    home.hold()
    program = worker(home)
    sent = task().apply_async((7,), {"metadata": described(home)}, soft_time_limit=7, time_limit=8)
    home.until(lambda chunks: chunks and chunks[0].status is Status.PROCESSING, dataset="")
    kill(*children(program), number=signal.SIGSTOP)
    home.held.clear()
    await_output(program, "Hard time limit (8s) exceeded")
    (record,) = home.until_settled(dataset="")
    assert (record.status, record.attempt, record.failures) == (Status.COMPLETED, 2, 1)
    await_true(lambda: sent.state == "SUCCESS")


# -- the queue -------------------------------------------------------------------------------------------------------


def test_sent_chunks_are_counted_until_a_worker_takes_them(home: Fleet) -> None:
    """A queue that does not exist yet must count as empty."""
    queue = CeleryRunner.of(load_here().settings)
    assert queue.waiting() == 0
    assert queue.send([]) == 0
    home.submit(3)
    assert queue.waiting() == 3
    assert queue.send(home.records()) == 3
    assert queue.waiting() == 6
    worker(home)
    home.until_settled()
    await_true(lambda: queue.waiting() == 0)


@pytest.mark.parametrize("answers", [True, False], ids=["silent", "refused"])
@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_an_unreachable_broker_is_named_within_seconds(home: Fleet, scheme: str, answers: bool) -> None:
    """The error must not contain the password, whether the broker refuses the connection or accepts and is silent."""
    home.submit(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not answers:
            silent.close()
        broker = SecretUrl(f"{scheme}://user:{PASSWORD}@127.0.0.1:{port}/0")
        queue = CeleryRunner.of(evolve(load_here().settings, broker=broker))
        began = time.monotonic()
        with pytest.raises(QueueUnavailable, match=f"{scheme}://user:\\*\\*\\*@127.0.0.1:{port}") as unsent:
            queue.send(home.records())
        with pytest.raises(QueueUnavailable) as uncounted:
            queue.waiting()
        assert time.monotonic() - began < 60
    assert PASSWORD not in f"{unsent.value!r}{unsent.value.__cause__!r}{uncounted.value!r}"


class Greenlets(BasePool):  # type: ignore[misc]  # Celery ships no types
    """A pool like those of gevent and eventlet."""

    is_green = True


def test_a_pool_of_greenlets_is_refused() -> None:
    """Images would be judged wrongly, and the worker would ignore the signal to stop."""
    app = make_app(Settings(broker=SecretUrl("redis://localhost:1/0")))
    with pytest.raises(SystemExit, match="a pool of greenlets cannot run chunks; use --pool=prefork"):
        app.WorkController(pool=Greenlets)
