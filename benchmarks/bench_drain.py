"""Stale deliveries: how fast one worker drains the deliveries of a cancelled dataset, by their number.

    .venv/bin/python benchmarks/bench_drain.py --full

The dataset is cancelled in the status database alone, so all of its deliveries stay in the queue; ``pixcore cancel``
removes them, too, and takes the time that is printed behind it. The worker is ``pixcore worker``, with one process for
chunks. CPU is that of all of its processes, Redis excluded. Start-up is not measured. Each measurement takes at most
``SECONDS``, even if deliveries are left.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from attrs import frozen
from figures import arguments, print_figure
from from_tests import redis, started
from process_cost import clean_environment, sample

from pixcore import ChunkRequest, Slice
from pixcore.stored.identity import identify
from pixcore_runners.assembly.assembly import Assembly, assemble
from pixcore_runners.queueing.dispatch import submit
from pixcore_runners.queueing.runner import RUNNERS, Runner, open_runner
from pixcore_runners.settings import SecretUrl, Settings

SECONDS = 30.0
WORKER = (sys.executable, "-c", "from pixcore_runners.cli import main; main()", "worker")
BATCH = 1000


@frozen
class Drained:
    """What one worker drained."""

    rate: float
    """Deliveries a second."""
    cpu: float
    """Milliseconds a delivery."""
    discarded: float
    """Seconds in which ``cancel`` removes as many deliveries."""


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, most=(2_000, 20_000))
    sizes = [size for size in (200, 2_000, 20_000) if size <= args.most]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; SQLite, Redis")
    print(f"{'':20} {'deliveries/s':>12} {'ms of CPU':>10} {'s to cancel':>12}")
    for runner in RUNNERS:
        found = [drained(runner, size) for size in sizes]
        for size, one in zip(sizes, found, strict=True):
            print(f"{runner:10}{size:10,} {one.rate:12.0f} {one.cpu:10.2f} {one.discarded:12.2f}", flush=True)
        print_figure("deliveries/s, least", min(one.rate for one in found), least=200)
        print_figure("CPU a delivery, most over fewest", found[-1].cpu / found[0].cpu, most=1.2)


def drained(runner: str, size: int) -> Drained:
    """Return what one worker drains of a queue of ``size`` stale deliveries."""
    with (
        tempfile.TemporaryDirectory(prefix="pixcore-bench-") as folder,
        chdir(folder),
        started(redis.prepare) as server,
    ):
        settings = Settings(
            broker=SecretUrl(server.address.url()),
            status=f"sqlite:///{folder}/status.db",
            store=f"file://{folder}/blobs",
            work=Path(folder, "work"),
        )
        assembly, queue = assemble(settings, create=True), open_runner(runner, settings)
        cancelled(assembly, queue, settings.queue_at(runner), size)
        with worker(runner, server.address.url(), settings) as process:
            rate, cpu = measured(queue, process.pid, size)
        for record in assembly.status.find("old"):
            assembly.status.reopen(record.chunk.key)
        queue.discard("old")
        submit("old", assembly.status, queue, settings.queue_at(runner))
        began = time.monotonic()
        queue.discard("old")
        return Drained(rate, cpu, time.monotonic() - began)


def cancelled(assembly: Assembly, queue: Runner, name: str, size: int) -> None:
    """Submit a dataset of ``size`` chunks, and cancel it in the status database alone."""
    store = identify(assembly.store)
    for start in range(0, size, BATCH):
        indices = range(start, min(size, start + BATCH))
        assembly.status.ensure(
            [
                ChunkRequest(index, "cat", 1, (Slice("urls", "q", index, index + 1, "list"),), "old")
                for index in indices
            ],
            store=store,
        )
    submit("old", assembly.status, queue, name)
    assembly.status.cancel("old")


@contextmanager
def worker(runner: str, broker: str, settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker until the block ends."""
    environ = {
        "PIXCORE_BROKER": broker,
        "PIXCORE_STATUS": settings.status,
        "PIXCORE_STORE": settings.store,
        "PIXCORE_WORK": str(settings.work),
    }
    with Path("log").open("wb") as log:
        process = subprocess.Popen([*WORKER, runner], env=clean_environment() | environ, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def measured(queue: Runner, pid: int, size: int) -> tuple[float, float]:
    """Return deliveries a second and milliseconds of CPU a delivery, from the first deliveries on."""
    until = time.monotonic() + SECONDS
    while queue.waiting() > 0.9 * size and time.monotonic() < until:
        time.sleep(0.05)
    first, began, before = queue.waiting(), time.monotonic(), sample(pid).cpu
    until = began + SECONDS
    while queue.waiting() > 0.02 * size and time.monotonic() < until:
        time.sleep(0.05)
    last, ended, after = queue.waiting(), time.monotonic(), sample(pid).cpu
    return (first - last) / (ended - began), 1000 * (after - before) / (first - last)


if __name__ == "__main__":
    main()
